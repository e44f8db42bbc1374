"""Reading JSON without losing what a fast parser drops: repeated keys, and integers beyond 64 bits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from mozdef_core.errors import InvalidItemError

MAX_DEPTH: Final = 100
"""An item that is nested deeper than this is refused (event-format.md section 5.10)."""
INT64: Final = range(-(2**63), 2**63)

DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
LONG_NUMBER: Final = b"0" * 19


class Replaced(dict[str, Any]):
    """An object whose bytes were not all UTF-8 and that has U+FFFD in their place."""


class Repeated(list[Any]):
    """The values of a key that occurred more than once in one object, in order of appearance."""


def parse_json(raw: bytes) -> object:
    """Return what a JSON text holds.

    A key that occurs several times has a :class:`Repeated` as its value; an integer beyond 64 bits is text; an
    object that held bytes which are not UTF-8 is a :class:`Replaced`. A typical event takes 3 us.

    :raises InvalidItemError: ``invalid-json`` with line and column, ``invalid-number`` for NaN and infinities,
        ``too-deep``, or ``empty-body``.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _carefully(raw, str(error))
    structure = _without_strings(raw)
    if structure.count(b"{") + structure.count(b"[") > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise InvalidItemError("too-deep", f"nested deeper than {MAX_DEPTH} levels")
    if structure.count(b":") != count_keys(value) or LONG_NUMBER in structure.translate(DIGITS):
        return _carefully(raw, "")
    return value


def not_an_object(value: object) -> tuple[str, str]:
    """Return code and reason of a JSON value that is no event because it is no object."""
    kinds = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return "not-an-object", f"the item is {kinds.get(type(value), 'null')}, an object is required"


def _without_strings(raw: bytes) -> bytes:
    """Return JSON without its strings: a colon for each key, the brackets, and the numbers digit by digit."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(raw.split(b'"')[::2])


def depth_of(value: object) -> int:
    """Return how deep a value is nested: 0 for a scalar, 1 for a flat object. It does not recurse."""
    depth, level = 0, [value]
    while True:
        below: list[Any] = []
        containers = False
        for node in level:
            if isinstance(node, dict):
                containers = True
                below.extend(node.values())
            elif isinstance(node, list):
                containers = True
                below.extend(node)
        if not containers:
            return depth
        depth += 1
        level = below


def count_keys(value: object) -> int:
    """Return how many keys the objects within a value have together. It does not recurse."""
    count, waiting = 0, [value]
    while waiting:
        node = waiting.pop()
        children: Iterable[Any] = ()
        if type(node) is dict:
            count += len(node)
            children = node.values()
        elif type(node) is list:
            children = node
        waiting.extend(child for child in children if type(child) is dict or type(child) is list)
    return count


def _carefully(raw: bytes, complaint: str) -> object:
    """Parse with the standard library, which sees every key and every digit, but is slower."""
    if not raw.strip():
        raise InvalidItemError("empty-body", "there is nothing to read")
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth_of_text(raw) > MAX_DEPTH:
        raise InvalidItemError("too-deep", f"nested deeper than {MAX_DEPTH} levels")
    replaced = False
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text, replaced = raw.decode("utf-8-sig", "replace"), True
    try:
        value = _DECODER.decode(text.strip(" \t\r\n"))
        return Replaced(value) if replaced and isinstance(value, dict) else value
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise InvalidItemError("invalid-json", reason) from None
    except RecursionError:
        raise InvalidItemError("too-deep", f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidItemError("invalid-number", str(error) or complaint) from None


def _depth_of_text(raw: bytes) -> int:
    """Return how deep brackets nest outside strings, whether or not the rest is JSON."""
    depth = deepest = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', raw, re.DOTALL):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key not in found:
            found[key] = value
        elif isinstance(found[key], Repeated):
            found[key].append(value)
        else:
            found[key] = Repeated([found[key], value])
    return found


def _integer(digits: str) -> int | str:
    if len(digits) > 20:  # more than any number of 64 bits has
        return digits
    number = int(digits)
    return number if number in INT64 else digits


def _not_a_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; send null or a number")


def _float(digits: str) -> float | str:
    number = float(digits)
    return digits if number in (float("inf"), float("-inf")) else number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_not_a_number,
    strict=False,
)
