"""A document: what a file of YAML or JSON holds, as plain values, and on which line each of them stands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from mozdef_core.host import contain

LARGEST: Final = 1_048_576
"""A file of more bytes than this is no rule."""

_MOST: Final = 200_000
_DEEPEST: Final = 60
_TOKEN: Final = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|\#[^\n]*|/\*.*?\*/)|(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<sign>[{}\[\],:])"""
    r"""|(?P<word>[^\s{}\[\],:"/#]+)""",
    re.DOTALL,
)

Place = tuple[str | int, ...]


class DocumentError(ValueError):
    """A file that cannot be read, with the line where that was noticed.

    :param line: from 1.
    """

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line


class Document:
    """Plain values (mappings with texts as keys, lists, texts, numbers, booleans, dates, None) and their lines."""

    def __init__(self, value: Any, lines: Mapping[Place, int]) -> None:
        self.value = value
        self._lines = lines

    def known(self, place: Place) -> Place:
        """Return as much of a place as there is."""
        node = self.value
        for depth, part in enumerate(place):
            listed = isinstance(node, list) and isinstance(part, int) and part < len(node)
            if not listed and not (isinstance(node, dict) and part in node):
                return place[:depth]
            node = node[part]
        return place

    def line(self, place: Place) -> int:
        """Return the line on which what is at a place begins, or else the nearest thing around it."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)


def read_document(path: Path, content: bytes) -> Document:
    """Return what a file holds; ``.json`` may have comments and commas behind the last item, anything else is YAML.

    :raises DocumentError: it holds something else.
    """
    if len(content) > LARGEST:
        raise DocumentError(f"has {len(content)} bytes; expected at most {LARGEST}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DocumentError(f"is not UTF-8 text: byte {content[error.start]:#04x}", line) from None
    if path.suffix == ".json":
        return _Json(text).document()
    return _yaml(text)


def _yaml(text: str) -> Document:
    from ruamel.yaml import YAML  # 40 ms, only where there are such files
    from ruamel.yaml.error import MarkedYAMLError

    reader = YAML(typ="rt", pure=True)
    found = contain(reader.load, text)  # what it raises for some odd texts is not only what it says it would
    if found.error is not None:
        mark = (
            getattr(found.error, "problem_mark", None) if isinstance(found.error, MarkedYAMLError) else None
        )
        reason = getattr(found.error, "problem", None) or str(found.error) or type(found.error).__name__
        line = mark.line + 1 if mark is not None else 1
        raise DocumentError(f"is no YAML: {' '.join(str(reason).split())}", line)
    lines: dict[Place, int] = {}
    return Document(_Plain(lines).value(found.value, ()), lines)


class _Plain:
    """Takes what the reader of YAML made for plain values, and notes the lines."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self._lines = lines
        self._left = _MOST

    def value(self, node: Any, place: Place) -> Any:
        self._left -= 1
        if self._left < 0 or len(place) > _DEEPEST:
            line = next(
                (self._lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self._lines),
                1,
            )
            raise DocumentError("holds too much, or is nested too deep", line)
        if isinstance(node, dict):
            return {key: self.value(below, (*place, key)) for key, below in self._members(node, place)}
        if isinstance(node, list | tuple | set | frozenset):
            return [self.value(below, self._item(node, place, number)) for number, below in enumerate(node)]
        if isinstance(node, str):
            return str(node)
        if node is None or isinstance(node, bool | datetime | date):
            return node
        if isinstance(node, int):
            return bool(node) if type(node).__name__ == "ScalarBoolean" else int(node)
        return float(node) if isinstance(node, float) else str(getattr(node, "value", node))

    def _members(self, node: dict[Any, Any], place: Place) -> Iterator[tuple[str, Any]]:
        for key, below in node.items():
            name = str(key)
            line = contain(lambda key=key: node.lc.key(key)[0])  # type: ignore[attr-defined]
            if line.error is None:
                self._lines[(*place, name)] = int(line.value) + 1
            yield name, below

    def _item(self, node: Any, place: Place, number: int) -> Place:
        line = contain(lambda: node.lc.item(number)[0])
        if line.error is None:
            self._lines[(*place, number)] = int(line.value) + 1
        return (*place, number)


class _Json:
    """Reads JSON as people write it by hand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._lines: dict[Place, int] = {}
        self._kind, self._token = "", ""

    def document(self) -> Document:
        self._next()
        value = self._value(())
        if self._kind:
            raise self._wrong("the end of the file")
        return Document(value, self._lines)

    def _next(self) -> None:
        """Go on to the next token, past blanks and comments."""
        self._line += self._token.count("\n")
        while self._at < len(self._text):
            form = _TOKEN.match(self._text, self._at)
            if form is None:
                self._kind, self._token = "word", self._text[self._at]
                raise self._wrong("JSON")
            self._at = form.end()
            self._kind, self._token = str(form.lastgroup), form[0]
            if self._kind != "blank":
                return
            self._line += self._token.count("\n")
        self._kind = self._token = ""

    def _wrong(self, expected: str) -> DocumentError:
        found = repr(self._token[:40]) if self._kind else "the end of the file"
        return DocumentError(f"is no JSON: expected {expected}, got {found}", self._line)

    def _value(self, place: Place) -> Any:
        self._lines.setdefault(place, self._line)
        if len(place) > _DEEPEST:
            raise DocumentError("is nested too deep", self._line)
        if self._is("{"):
            return self._object(place)
        if self._is("["):
            return self._array(place)
        if self._kind not in ("text", "word"):
            raise self._wrong("a value")
        value = self._scalar()
        self._next()
        return value

    def _scalar(self) -> Any:
        try:
            value = orjson.loads(self._token)
        except orjson.JSONDecodeError:
            raise self._wrong("a text, a number, true, false or null") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._wrong("a smaller number")
        return value

    def _object(self, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._next()
        while not self._is("}"):
            if self._kind != "text":
                raise self._wrong("a key in quotes or '}'")
            key = str(self._scalar())
            if key in found:
                raise DocumentError(f"is no JSON: the key {key!r} is there twice", self._line)
            self._lines[(*place, key)] = self._line
            self._next()
            self._sign(":")
            found[key] = self._value((*place, key))
            self._between("}")
        self._next()
        return found

    def _array(self, place: Place) -> list[Any]:
        found: list[Any] = []
        self._next()
        while not self._is("]"):
            found.append(self._value((*place, len(found))))
            self._between("]")
        self._next()
        return found

    def _is(self, sign: str) -> bool:
        return (self._kind, self._token) == ("sign", sign)

    def _sign(self, sign: str) -> None:
        if not self._is(sign):
            raise self._wrong(repr(sign))
        self._next()

    def _between(self, end: str) -> None:
        if not self._is(end):
            self._sign(",")
