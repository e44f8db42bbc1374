"""The limits of a stored event (event-format.md section 5.10), applied after the mappers."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

from mozdef_core.event import Event
from mozdef_core.normalise.keys import clean_text
from mozdef_core.normalise.parse import DIGITS, INT64, LONG_NUMBER, count_keys
from mozdef_core.normalise.problems import Problems

DEPTH: Final = 20
KEYS: Final = 1_000
KEY_LENGTH: Final = 256
SUMMARY: Final = 8_192
STRING: Final = 32_768
ARRAY: Final = 1_000
_MARK: Final = " …"
_LONG_KEY: Final = re.compile(rb'"[^"]{%d,}":' % (KEY_LENGTH + 1))
"""What a key beyond its limit looks like in JSON without escapes; one of fewer characters may too, of several bytes."""


def limit(event: Event) -> Event:
    """Return an event within the limits; the same object when nothing was beyond them."""
    if _fits(event):
        return event
    outside = {name: value for name, value in event.body.items() if name not in ("details", "mozdef")}
    room = KEYS - count_keys(outside) - 2  # these two themselves; what the system notes is not counted
    cutter = _Cutter(room if count_keys(event.body.get("details")) <= room else room - 1)
    body = cutter.object(event.body, 1, "")
    if body == event.body:
        return event
    book = body.get("mozdef")
    if isinstance(book, dict):
        body["mozdef"] = {**book, "problems": [*book.get("problems", ()), *cutter.problems.notes]}
    return Event(event.id, body)


def _fits(event: Event) -> bool:
    """Return whether nothing exceeds a limit; cheap for an event whose JSON alone shows it, as that of most does."""
    try:
        raw = event.to_json()
    except TypeError:  # half a surrogate pair, an integer beyond 64 bits, or deeper than it goes
        return False
    escapes = b"\\" in raw
    if escapes and b"\\u0000" in raw:
        return False
    if (
        not escapes  # a quote within a key would cut it in two
        and len(raw) <= SUMMARY
        and raw.count(b",") < min(ARRAY, KEYS) - DEPTH  # a key more than commas in each object
        and raw.count(b"{") + raw.count(b"[") <= DEPTH
        and _LONG_KEY.search(raw) is None
        and LONG_NUMBER not in raw.translate(DIGITS)
    ):
        return True
    return _fits_on_a_walk(event.body)


def _fits_on_a_walk(body: dict[str, Any]) -> bool:
    """Return whether nothing exceeds a limit, after looking at every value."""
    summary = body.get("summary")
    if isinstance(summary, str) and len(summary) > SUMMARY:
        return False
    keys, depth = 0, 0
    level: list[Any] = [body]
    while level:
        depth += 1
        if depth > DEPTH:
            return False
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                keys += len(node)
                for key, value in node.items():
                    kind = type(value)
                    if len(key) > KEY_LENGTH or (kind is str and len(value) > STRING):
                        return False
                    if kind is int and not -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
                        return False
                    if kind is dict or kind is list:
                        below.append(value)
            else:
                if len(node) > ARRAY:
                    return False
                for value in node:
                    kind = type(value)
                    if kind is str and len(value) > STRING:
                        return False
                    if kind is int and not -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
                        return False
                    if kind is dict or kind is list:
                        below.append(value)
        level = below
    return keys <= KEYS or keys - count_keys(body.get("mozdef")) <= KEYS


def _as_json(value: Any) -> str:
    """Return a value as JSON text, also what the fast writer refuses: long integers, broken text, deep nesting."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Cutter:
    """Copies a body within the limits, and notes what was cut.

    :param keys: how many keys there may be under details.
    """

    def __init__(self, keys: int) -> None:
        self.problems = Problems()
        self._keys_left = keys
        self._overflow: dict[str, Any] = {}

    def object(self, node: dict[str, Any], depth: int, path: str) -> dict[str, Any]:
        """Return an object within the limits; the outermost call collects what has too many keys."""
        found: dict[str, Any] = {}
        for key, value in node.items():
            name = clean_text(key)
            here = f"{path}{name}"
            if path.startswith("details."):
                self._keys_left -= 1
                if self._keys_left < 0:
                    self._overflow[here] = value
                    continue
            if len(key) > KEY_LENGTH:
                self.problems.note("key-cut", here)
                name = name[:KEY_LENGTH]
                if name in found:
                    self._overflow[here] = value
                    continue
            found[name] = self._value(value, depth + 1, here, SUMMARY if here == "summary" else STRING)
        if depth == 1 and self._overflow:
            self.problems.note("keys-cut", "details")
            details = found.setdefault("details", {})
            if "overflow" in details:  # the sender's own goes where the rest is
                self._overflow["details.overflow"] = details["overflow"]
            text = _as_json(self._overflow)
            details["overflow"] = self._text(text, "details.overflow", STRING)
        return found

    def _value(self, value: Any, depth: int, path: str, longest: int) -> Any:
        if isinstance(value, str):
            return self._text(value, path, longest)
        if isinstance(value, int) and not isinstance(value, bool):
            return value if value in INT64 else str(value)
        if not isinstance(value, dict | list):
            return value
        if depth > DEPTH:
            self.problems.note("depth-cut", path)
            return self._text(_as_json(value), path, STRING)
        if isinstance(value, dict):
            return self.object(value, depth, f"{path}.")
        if len(value) > ARRAY:
            self.problems.note("array-cut", path)
        return [self._value(element, depth + 1, path, STRING) for element in value[:ARRAY]]

    def _text(self, text: str, path: str, longest: int) -> str:
        clean = clean_text(text)
        if clean != text:
            self.problems.note("utf8-replaced", path)
            text = clean
        if len(text) <= longest:
            return text
        self.problems.note("value-cut", path)
        return text[: longest - len(_MARK)] + _MARK
