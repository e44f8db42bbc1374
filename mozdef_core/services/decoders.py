"""The decoders: what reads the raw bytes of an item, by the name that its origin carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mozdef_core.normalise import cef, parse_json
from mozdef_core.pipeline import Decoder
from mozdef_core.ports import Input
from mozdef_core.services import backfill

CORE: Final[Mapping[str, Decoder]] = {"json": parse_json, "cef": cef.decode}
"""What every worker can read."""

OWN: Final = "mozdef"
"""The entrance of MozDef's own events."""


def decoder_of(name: str, source: Input[Any]) -> str:
    """Return what the items of an input carry as their decoder.

    An input that reads its items itself does so with its own settings, so its decoder is called by its own name,
    which no other input has.
    """
    return source.decoder if source.decoder in CORE else name


def decoders(inputs: Mapping[str, Input[Any]]) -> dict[str, Decoder]:
    """Return all decoders of a worker with these inputs.

    The name that a class of inputs gives its decoder leads to the first of them: what came in at an input that
    has another name today can still be read.
    """
    own = {name: source.decode for name, source in inputs.items() if decoder_of(name, source) == name}
    for source in inputs.values():
        own.setdefault(source.decoder, source.decode)
    return {**own, **CORE}


def reserved_names(inputs: Mapping[str, Input[Any]]) -> list[str]:
    """Return what is wrong with names of inputs: MozDef's own, and those of the core's decoders for another one."""
    found = [
        f"input.{name}: {name!r} is the name of a decoder of the core; call this input something else"
        for name, source in inputs.items()
        if name in (*CORE, backfill.DECODER) and source.decoder not in CORE
    ]
    if OWN in inputs:
        found.append(f"input.{OWN}: only MozDef's own events have this name; call this input something else")
    return found
