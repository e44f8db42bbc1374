"""Recognising a product's own record by its members (event-format.md section 5.2a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mozdef_core.normalise.details import look_up
from mozdef_core.normalise.settings import Recogniser


def recognised(recognisers: Sequence[Recogniser], top: Mapping[str, Any], record: str) -> Recogniser | None:
    """Return the first recogniser that fits the top level of an item, None when none does.

    :param record: ``auto``; ``none`` recognises nothing; a category takes that product's recogniser unseen.
    """
    if record == "none" or not recognisers:
        return None
    if record != "auto":
        return next((one for one in recognisers if one.category == record), None)
    return next((one for one in recognisers if _fits(one, top)), None)


def _fits(recogniser: Recogniser, top: Mapping[str, Any]) -> bool:
    return (
        all(look_up(top, name) is not None for name in recogniser.members)
        and all(any(look_up(top, name) is not None for name in group) for group in recogniser.any_of)
        and all(look_up(top, name) == value for name, value in recogniser.equal.items())
    )
