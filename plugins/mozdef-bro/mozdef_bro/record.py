"""A record that came as JSON text, with its keys as the normaliser leaves them (event-format.md section 5.1)."""

from __future__ import annotations

import json
import math
import unicodedata
from functools import lru_cache
from typing import Any, Final, NoReturn

_DEEPEST: Final = 90
"""What is nested deeper cannot be put into an event; no log is."""
_LONGEST_INTEGER: Final = 19
_LONGEST_KEY: Final = 256


def read_record(text: str) -> dict[str, Any] | None:
    """Return the object that a text holds, None where it holds none."""
    if not text.startswith("{"):
        return None
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _depth(value, _DEEPEST) else None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; names that are one in lower case share a list of their values."""
    members: dict[str, Any] = {}
    for key, value in pairs:
        name = _name(key) if len(key) <= _LONGEST_KEY else _clean(key)
        members[name] = _united(members[name], value) if name in members else value
    return members


def _united(one: Any, other: Any) -> Any:
    if not isinstance(one, list) and not isinstance(other, list) and one == other:
        return one
    values = one if isinstance(one, list) else [one]
    more = other if isinstance(other, list) else [other]
    return [*values, *(value for value in more if value not in values)]


def _clean(key: str) -> str:
    name = unicodedata.normalize("NFC", key.lower()).strip().lstrip("@")
    if name.startswith(".") or name.endswith("."):
        name = name.replace(".", "")
    return name or "_empty"


_name = lru_cache(maxsize=4_096)(_clean)  # the logs have some 600 names


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INTEGER else text


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_number, parse_int=_integer, parse_constant=_refuse
)


def _depth(node: Any, room: int) -> bool:
    """Return whether a value is nested no deeper than so many levels."""
    if not isinstance(node, dict | list):
        return True
    children = node.values() if isinstance(node, dict) else node
    return room > 0 and all(_depth(child, room - 1) for child in children)
