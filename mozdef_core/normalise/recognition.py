"""Recognising a product's own record by its members (event-format.md section 5.2a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mozdef_core.normalise.details import look_up
from mozdef_core.normalise.settings import Recogniser


def recognised(recognisers: Sequence[Recogniser], top: Mapping[str, Any], record: str) -> Recogniser | None:
    """Return the first recogniser that fits the top level of an item, None when none does.

    :param record: ``auto``; ``none`` recognises nothing; a mapper's name or its category takes its recogniser unseen.
    """
    if record == "none" or not recognisers:
        return None
    if record != "auto":
        return next((one for one in recognisers if record in (one.name, one.category)), None)
    return next((one for one in recognisers if _fits(one, top)), None)


def _fits(recogniser: Recogniser, top: Mapping[str, Any]) -> bool:
    members = recogniser.members
    if members and members[0] not in top and "." not in members[0]:
        return False  # nearly all items end here
    return (
        all(look_up(top, name) is not None for name in members)
        and all(any(look_up(top, name) is not None for name in group) for group in recogniser.any_of)
        and all(look_up(top, name) == value for name, value in recogniser.equal.items())
        and all(isinstance(look_up(top, name), dict) for name in recogniser.objects)
    )
