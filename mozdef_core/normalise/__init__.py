"""The one normaliser, used by every entrance: parse, keys, aliases, types, defaults, limits."""

from __future__ import annotations

from mozdef_core.normalise import cef
from mozdef_core.normalise.conform import conform
from mozdef_core.normalise.limits import limit
from mozdef_core.normalise.normaliser import Normaliser
from mozdef_core.normalise.parse import depth_of, not_an_object, parse_json
from mozdef_core.normalise.settings import EntranceSettings, Recogniser

__all__ = [
    "EntranceSettings",
    "Normaliser",
    "Recogniser",
    "cef",
    "conform",
    "depth_of",
    "limit",
    "not_an_object",
    "parse_json",
]
