"""Lines: how bytes are cut into them, and what one of them says."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import orjson

from mozdef_core import InvalidItemError

LONGEST: Final = 1_048_576
"""A longer line is cut into pieces of at most this many bytes."""

Format = Literal["audit", "auto", "json", "syslog", "text"]
"""What a line is."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line that has something to say.

    :param offset: where it begins in the stream that it was cut from.
    """

    offset: int
    raw: bytes

    def sender_id(self, uid: str) -> str:
        """Return what the line is known by within the entrance: its file, its place and its content."""
        return f"{uid}:{self.offset}:{zlib.crc32(self.raw):x}"


class Cut(NamedTuple):
    """Lines from the front of a stream, and how many bytes they and the blank ones among them take."""

    lines: list[Line]
    size_bytes: int


def cut_lines(content: bytes, offset: int, most: int, *, final: bool = False) -> Cut:
    """Cut complete lines from the front of what a stream holds from ``offset`` on.

    Line ends, and the NULs that a writer without O_APPEND leaves in a file that was truncated under it, are
    not part of a line; lines without anything else are skipped.

    :param most: number of lines after which to stop.
    :param final: what stands without an end is a line too.
    """
    lines: list[Line] = []
    position, size = 0, len(content)
    while position < size and len(lines) < most:
        end = content.find(b"\n", position, position + LONGEST + 1)
        if end >= 0:
            after = end + 1
        elif size - position > LONGEST:
            end = after = _between_characters(content, position + LONGEST)
        elif final:
            end = after = size
        else:
            break
        raw = content[position:end].strip(b"\0").rstrip(b"\r")
        if raw and not raw.isspace():
            lines.append(Line(offset + position, raw))
        position = after
    return Cut(lines, position)


def _between_characters(content: bytes, position: int) -> int:
    """Return where to cut at or just before a position, so that no character of UTF-8 is torn in two."""
    for start in range(position, max(position - LONGEST, position - 4), -1):
        if content[start] & 0xC0 != 0x80:
            return start
    return position


def parse_line(raw: bytes, form: Literal["auto", "json", "text"]) -> Mapping[str, Any]:
    """Read a line into what the normaliser takes: the JSON object that it is, or its text as the message.

    A byte order mark in front, as a file may begin with, is left out; bytes that are not UTF-8 are replaced.

    :raises InvalidItemError: it is empty, or no JSON object where one is required.
    """
    raw = raw.removeprefix(_BYTE_ORDER_MARK)
    if form == "json" or (form == "auto" and raw.lstrip()[:1] == b"{"):
        try:
            value = _loads(raw)
        except orjson.JSONDecodeError as error:
            if form == "json":
                raise InvalidItemError("invalid-json", f"the line is not JSON: {error}") from None
        else:
            if isinstance(value, dict):
                return value
            raise InvalidItemError(
                "not-an-object", f"the line is a JSON {_name(value)}, an object is required"
            )
    text = raw.decode("utf-8", "replace").strip()
    if not text:
        raise InvalidItemError("empty-message", "the line is empty")
    return {"message": text}


def _loads(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        text = raw.decode("utf-8", "replace")
        if "\ufffd" not in text:
            raise
        return orjson.loads(text)


def _name(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
