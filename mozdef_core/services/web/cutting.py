"""Cutting: JSON values that stand one after the other, cut apart exactly as they were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

# Numbers are not computed: only where a value ends matters here, and a number may have thousands of digits.
_DECODER: Final = json.JSONDecoder(strict=False, parse_int=len, parse_float=len, parse_constant=len)
_BETWEEN: Final = re.compile(r"[\s,]*", re.ASCII)
_NEXT_START: Final = re.compile(r"\n(?=,?[{\[])")
_NEXT_START_BYTES: Final = re.compile(rb"\n(?=,?[{\[])")
_LITERAL_LENGTH: Final = 12
"""Longer than any token but strings and numbers: an error closer to the end may come from the end itself."""

_STRIDE: Final = 256 * 1024
"""After an error further into the window than this, the window moves: each error counts the lines before it."""


class Cut(NamedTuple):
    """One value, or a stretch that is none.

    :param raw: its bytes; of a stretch no more than a value may have.
    :param problem: code and reason when it is no value.
    """

    raw: bytes
    problem: tuple[str, str] | None = None


class Cutter:
    """Cuts values off the front of a body, of which it holds only a window as text.

    So the memory that it takes does not grow with the body, however many values that holds. After what is no
    value it goes on at the next line that begins an object or an array.

    :param start: where in the body to begin.
    :param most_bytes: a value may be this long; the window has three times that.
    """

    def __init__(self, body: bytes, start: int, most_bytes: int) -> None:
        self._body = body
        self._most = most_bytes
        self._base = start
        self._line = body.count(b"\n", 0, start) + 1
        self._column = start - body.rfind(b"\n", 0, start)
        self._array = body[start : start + 1] == b"["
        self._fill()
        self._position = int(self._array)

    def _fill(self) -> None:
        end = self._base + 3 * self._most
        self._text = self._body[self._base : end].decode("utf-8", "surrogateescape")
        self._whole = end >= len(self._body)
        self._position = 0

    def _move(self, base: int) -> None:
        """Let the window begin at a place further on."""
        lines = self._body.count(b"\n", self._base, base)
        self._line += lines
        self._column = base - (
            self._body.rfind(b"\n", self._base, base) if lines else self._base - self._column
        )
        self._base = base
        self._fill()

    def _place(self) -> int:
        """Return the offset of the position in the body."""
        return self._base + len(_bytes(self._text[: self._position]))

    def __iter__(self) -> Iterator[Cut]:
        while True:
            if self._position > self._most and not self._whole:
                self._move(self._place())
            between = _BETWEEN.match(self._text, self._position)
            self._position = between.end() if between else self._position
            if self._position >= len(self._text):
                if not self._whole:
                    self._move(self._place())
                    continue
                if self._array:
                    yield Cut(b"", ("invalid-json", "the array has no end"))
                return
            if self._array and self._text[self._position] == "]":
                self._array = False
                self._position += 1
            else:
                yield self._next()

    def _next(self) -> Cut:
        try:
            _, stop = _DECODER.raw_decode(self._text, self._position)
        except RecursionError:
            return self._skip("too-deep", "nested deeper than 100 levels")
        except json.JSONDecodeError as error:
            if not self._whole and self._at_end(error):
                return self._skip("too-large", f"the item has more than {self._most} bytes, the limit")
            column = error.colno + (self._column - 1 if error.lineno == 1 else 0)
            place = f"line {self._line + error.lineno - 1}, column {column}"
            return self._skip("invalid-json", f"{place}: {error.msg}")
        raw = _bytes(self._text[self._position : stop])
        self._position = stop
        return Cut(raw)

    def _at_end(self, error: json.JSONDecodeError) -> bool:
        """Return whether a value failed only because the window ends in it; a string is reported by its beginning."""
        return error.pos > len(self._text) - _LITERAL_LENGTH or error.msg.startswith("Unterminated")

    def _skip(self, code: str, reason: str) -> Cut:
        start = self._position
        found = _NEXT_START.search(self._text, start)
        if found is not None or self._whole:
            self._position = found.end() if found is not None else len(self._text)
            stretch = _bytes(self._text[start : self._position][: self._most])
            if self._position > _STRIDE:
                self._move(self._place())
        else:
            place = self._place()
            further = _NEXT_START_BYTES.search(self._body, place)
            self._move(further.end() if further is not None else len(self._body))
            stretch = self._body[place : place + self._most]
        return Cut(stretch[: self._most].rstrip(), (code, reason))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
