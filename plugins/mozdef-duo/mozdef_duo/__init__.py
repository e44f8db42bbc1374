"""The logs of Duo: an input of MozDef."""

from __future__ import annotations

from mozdef_duo.input import DuoInput
from mozdef_duo.settings import DuoOptions

__all__ = ["DuoInput", "DuoOptions"]
