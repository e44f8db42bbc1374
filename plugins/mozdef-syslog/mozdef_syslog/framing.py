"""Framing: where one message ends and the next begins in a stream of bytes (RFC 6587, and what senders really do)."""

from __future__ import annotations

import re
from typing import Literal

_COUNTED = re.compile(rb"([1-9]\d{0,7}) <")
_COUNTED_ALWAYS = re.compile(rb"([1-9]\d{0,7}) ")
_BLANK = b"\r\n\0"


class Framer:
    """Cuts the stream of one connection into messages; any division of the stream gives the same ones.

    ``auto`` decides anew at each message: octets are counted where it begins with a number, a blank and ``<``;
    otherwise it ends at LF or NUL, whichever comes first. ``lines`` never counts, ``nul`` ends messages at NUL
    only, so that they may hold line breaks, and ``octets`` counts also where no ``<`` follows. CR, LF and NUL
    at the end of a message are not part of it, and empty messages are skipped.

    :param longest: size in bytes above which a message is cut into pieces of that size; at least 16.
    """

    def __init__(
        self, framing: Literal["auto", "lines", "nul", "octets"] = "auto", longest: int = 1_048_576
    ) -> None:
        self._counted = {"auto": _COUNTED, "octets": _COUNTED_ALWAYS}.get(framing)
        self._lines = framing != "nul"
        self._longest = longest
        self._buffer = bytearray()
        self._scanned = 0
        self._owed = 0
        self._inside = False

    def feed(self, received: bytes) -> list[bytes]:
        """Return the messages that are complete now."""
        buffer = self._buffer
        buffer += received
        messages: list[bytes] = []
        position, nul = 0, -2
        while position < len(buffer):
            if (
                self._counted
                and not (self._owed or self._inside)
                and (found := self._counted.match(buffer, position))
            ):
                self._owed = int(found[1])
                position += len(found[1]) + 1
            if self._owed:
                size = min(self._owed, self._longest)
                if len(buffer) - position < size:
                    break
                end = after = position + size
                self._owed -= size
            else:
                if nul == -2 or -1 < nul < position:
                    nul = buffer.find(0, max(position, self._scanned))
                end, after = self._end_of_line(position, nul)
                if after < 0:
                    break
            if message := bytes(buffer[position:end]).rstrip(_BLANK):
                messages.append(message)
            position = after
        del buffer[:position]
        self._scanned = len(buffer)
        return messages

    def _end_of_line(self, position: int, nul: int) -> tuple[int, int]:
        """Return where the piece at ``position`` ends and where the next begins, which is -1 if not known yet."""
        buffer = self._buffer
        end = buffer.find(10, max(position, self._scanned)) if self._lines else -1
        if nul > -1 and (end < 0 or nul < end):
            end = nul
        last = end if end > -1 else len(buffer)
        if last - position > self._longest:
            self._inside = True
            return position + self._longest, position + self._longest
        if end < 0:
            return -1, -1
        self._inside = False
        return end, end + 1

    def finish(self) -> list[bytes]:
        """Return what stood after the last delimiter, now that the sender has ended the stream."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        size = self._longest
        pieces = [rest[start : start + size].rstrip(_BLANK) for start in range(0, len(rest), size)]
        return [piece for piece in pieces if piece]
