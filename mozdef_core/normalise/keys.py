"""The key rules (event-format.md section 5.1), and what every text and number must be to be stored."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import orjson

from mozdef_core.normalise.parse import INT64, Repeated
from mozdef_core.normalise.problems import Problems

_REMEMBERED: Final = 50_000
_REMEMBERED_LENGTH: Final = 256  # so that a sender cannot fill the memory with keys
_LEAST, _MOST = INT64[0], INT64[-1]
_known: dict[str, str] = {}


def clean_key(key: str) -> str:
    """Return a key as it is stored: folded, composed, without blanks and ``@`` around it."""
    name = _known.get(key)
    if name is None:
        name = _clean_key(key)
        if len(key) <= _REMEMBERED_LENGTH:
            if len(_known) >= _REMEMBERED:
                _known.clear()
            _known[key] = name
    return name


def _clean_key(key: str) -> str:
    before = None
    while key != before:  # until nothing changes, so that cleaning a clean key is a no-op
        before = key
        key = unicodedata.normalize("NFC", "".join(map(_fold, clean_text(key)))).strip().lstrip("@")
        if key.startswith(".") or key.endswith("."):
            key = key.replace(".", "")
    return key or "_empty"


def _fold(character: str) -> str:
    """Return the simple case folding of a character, which is always one character."""
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return folded
    return character


def clean_text(text: str) -> str:
    """Return a text without NUL and without halves of surrogate pairs, which UTF-8 cannot hold."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clean_object(node: Mapping[Any, Any], problems: Problems, path: str = "") -> dict[str, Any]:
    """Return an object with clean keys at every depth; keys that become equal share an array."""
    clean: dict[str, Any] = {}
    collided: dict[str, list[Any]] | None = None
    known = _known
    for key, value in node.items():
        name = known.get(key) or clean_key(key if type(key) is str else str(key))
        kind = type(value)
        if kind is str:
            if "\x00" in value or not value.isascii():
                value = _text(value, problems, path + name)
        elif kind is int:
            if not _LEAST <= value <= _MOST:
                value = str(value)
        elif kind is not bool and value is not None:
            value = _other(value, problems, path + name)
        if name in clean:
            if collided is None:
                collided = {}
            collided.setdefault(name, [clean[name]]).append(value)
        else:
            clean[name] = value
    if collided is not None:
        for name, values in collided.items():
            problems.note("key-collision", path + name)
            clean[name] = united(*values)
    return clean


def _text(value: str, problems: Problems, path: str) -> str:
    text = clean_text(value)
    if text != value:
        problems.note("utf8-replaced", path)
    return text


def _other(value: Any, problems: Problems, path: str) -> Any:
    """Clean what is neither text, integer, boolean nor null; a decoder may bring types that JSON lacks."""
    if isinstance(value, Mapping):
        return clean_object(value, problems, path + ".")
    if isinstance(value, Repeated):
        problems.note("key-collision", path)
        return united(*(clean_value(element, problems, path) for element in value))
    if isinstance(value, list | tuple):
        return [clean_value(element, problems, path) for element in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, bytes | bytearray | memoryview):  # msgpack and its like know bytes
        return _text(bytes(value).decode("utf-8", "replace"), problems, path)
    return _text(str(value), problems, path)


def clean_value(value: Any, problems: Problems, path: str) -> Any:
    """Clean one value of any kind."""
    if isinstance(value, str):
        return _text(value, problems, path)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value in INT64 else str(value)
    return _other(value, problems, path)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same in JSON: ``1``, ``1.0`` and ``true`` are three different ones."""
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        return type(one) is type(other) and _dumped(one) == _dumped(other)
    return type(one) is type(other) and bool(one == other)


def _dumped(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def united(*values: Any) -> Any:
    """Return the values of one key as one: arrays joined, equal values once, one value alone as itself."""
    found: list[Any] = []
    seen: set[bytes] = set()
    for value in values:
        for element in value if isinstance(value, list) else (value,):
            written = _dumped(element)
            if written not in seen:
                seen.add(written)
                found.append(element)
    return found[0] if len(found) == 1 and not any(isinstance(one, list) for one in values) else found
