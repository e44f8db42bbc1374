"""A follower: reads one path, whatever file stands there, through rotation and truncation."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO, Final

from mozdef_files.positions import Position, Positions

_FINGERPRINT: Final = 256
_READ_BYTES: Final = 1 << 20
_LONGEST: Final = 4 << 20


class Follower:
    """Gives the complete lines of a path in order, each with what it is known by.

    :param skip_content: begin at the end of a file that is new to us; used at the very first start only.
    """

    def __init__(self, path: Path, positions: Positions, *, skip_content: bool) -> None:
        self.path = path
        self.finished = False
        self._positions = positions
        self._skip = skip_content
        self._file: BinaryIO | None = None
        self._inode = ""
        self._offset = 0
        self._pending = 0

    def read(self, most: int) -> list[tuple[str, bytes]]:
        """Return at most so many complete lines that follow the last confirmed one; empty when there are none."""
        if self._file is None and not self._open():
            return []
        lines = self._lines(most)
        if lines or self._file is None:
            return lines
        if self._was_cut():
            self._offset = 0
            return self._lines(most)
        if self._was_replaced():
            rest = self._rest()
            if rest:
                return rest
            self.close()
            return self.read(most) if self._open() else []
        return []

    def confirm(self) -> None:
        """Note that the lines of the last read are stored; the next read goes on after them."""
        self._offset = self._pending
        self._write_down()

    def _open(self) -> bool:
        try:
            self._file = self.path.open("rb", buffering=0)
        except OSError:
            self.finished = not self.path.exists()
            return False
        status = os.fstat(self._file.fileno())
        self._inode = f"{status.st_dev}:{status.st_ino}"
        known = self._positions.get(self._inode)
        if known is not None and known.offset <= status.st_size and known.head == self._head(known.head_size):
            self._offset = known.offset
        else:
            self._offset = status.st_size if self._skip else 0
            if self._skip:
                self._write_down()
        self._skip = False
        return True

    def _head(self, size: int) -> str:
        """Return a hash of the first bytes."""
        content = b"" if self._file is None else os.pread(self._file.fileno(), size, 0)
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def _write_down(self) -> None:
        size = min(_FINGERPRINT, self._offset)
        self._positions.set(self._inode, Position(self._offset, self._head(size), size))

    def _lines(self, most: int) -> list[tuple[str, bytes]]:
        if self._file is None:
            return []
        content = os.pread(self._file.fileno(), _READ_BYTES, self._offset)
        if b"\n" not in content and len(content) == _READ_BYTES:
            content = os.pread(self._file.fileno(), _LONGEST, self._offset)
            if b"\n" not in content and len(content) == _LONGEST:
                self._pending = self._offset + len(content)
                return [(self._key(self._offset), content)]
        lines: list[tuple[str, bytes]] = []
        start = 0
        while len(lines) < most and (end := content.find(b"\n", start)) >= 0:
            line = content[start:end].rstrip(b"\r")
            if line.strip():
                lines.append((self._key(self._offset + start), line))
            start = end + 1
        self._pending = self._offset + start
        if not lines and start:
            self.confirm()  # blank lines only
        return lines

    def _key(self, offset: int) -> str:
        return f"{self._inode}:{offset}:{self._generation}"

    @property
    def _generation(self) -> str:
        """What tells a file from an earlier one in the same inode: a hash of its first line, at most 256 bytes."""
        if self._file is None:
            return ""
        head = os.pread(self._file.fileno(), _FINGERPRINT, 0).partition(b"\n")[0]
        return hashlib.blake2b(head, digest_size=6).hexdigest()

    def _rest(self) -> list[tuple[str, bytes]]:
        """Return the last line of a file that will not grow any more, although its end is missing."""
        if self._file is None:
            return []
        content = os.pread(self._file.fileno(), _LONGEST, self._offset)
        if not content.strip():
            return []
        self._pending = self._offset + len(content)
        return [(self._key(self._offset), content.rstrip(b"\r\n"))]

    def _was_cut(self) -> bool:
        return self._file is not None and os.fstat(self._file.fileno()).st_size < self._offset

    def _was_replaced(self) -> bool:
        """Return whether another file, or none, stands at the path now."""
        if self._file is None:
            return False
        mine = os.fstat(self._file.fileno())
        try:
            there = self.path.stat()
        except OSError:
            self.finished = True
            return True
        return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
