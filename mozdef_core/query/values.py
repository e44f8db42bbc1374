"""When two values are equal: numbers and their spellings, booleans and their names, letters without case."""

from __future__ import annotations

import math
import re
from typing import Final

from mozdef_core.event import Scalar

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_LONGEST_NUMBER: Final = 400
_EXACT: Final = 2**63


def fold(text: str) -> str:
    """Return a text without differences of case, by Unicode's simple folding: one character for one."""
    if text.isascii():
        return text.lower()
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    return "".join(_fold_one(character) for character in text)


def _fold_one(character: str) -> str:
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return folded
    return character


def read_number(text: str) -> int | float | None:
    """Return the number that a text spells as JSON would, or None."""
    if len(text) > _LONGEST_NUMBER:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    if found[1] is None and found[2] is None:
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def spellings(value: Scalar) -> tuple[str, ...]:
    """Return the strings that a value equals.

    For a whole number that is the plain one and the one with ``.0`` (so ``443`` and ``"443.0"`` are equal as
    well), for other numbers the shortest that reads back, for a boolean ``true`` or ``false``.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bool):
        return ("true",) if value else ("false",)
    if value is None or not math.isfinite(value):
        return ()
    if isinstance(value, int):
        if abs(value) < _EXACT and float(value) == value:
            return (str(value), repr(float(value)))
        return (str(value),)
    if value.is_integer() and abs(value) < _EXACT:
        return (str(int(value)), repr(value + 0.0))
    return (repr(value),)


def spelt_number(text: str) -> int | float | None:
    """Return the number that equals a text, or None: the inverse of :func:`spellings`."""
    number = read_number(text)
    return number if number is not None and text in spellings(number) else None


def spelt_boolean(text: str) -> bool | None:
    """Return the boolean that equals a text, or None."""
    return {"true": True, "false": False}.get(text)
