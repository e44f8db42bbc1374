"""A tail: one open file that is read as it grows, whatever becomes of its name."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from mozdef_files.audit import WITHIN_S, join_records
from mozdef_files.line import LONGEST, Line, cut_lines
from mozdef_files.positions import Position, new_uid

_READ_BYTES: Final = 262_144
_HEAD_BYTES: Final = 256


def hash_head(descriptor: int, size_bytes: int) -> str:
    """Return a hash of a file's first bytes."""
    return hashlib.blake2b(os.pread(descriptor, size_bytes, 0), digest_size=8).hexdigest()


class Tail:
    """Gives the lines of a file in order; what was not confirmed is given again.

    :param descriptor: the open file, which the tail closes.
    :param position: where to go on, for a file that is the same one as then.
    :param audit: its lines are records of the audit daemon, and those of one serial become one line.
    """

    def __init__(self, descriptor: int, position: Position, *, audit: bool = False) -> None:
        self.position = position
        self.lost_name_s: float | None = None
        self.grown_s = 0.0
        self.more = False
        self._descriptor = descriptor
        self._next = position.offset
        self._looked = (-1, -1)
        self._audit = audit
        self._waiting = False

    def read(self, most: int, now_s: float, *, final: bool = False) -> list[Line]:
        """Return at most so many complete lines that follow the last confirmed one.

        Costs one system call when nothing has changed. A file that has become shorter, or whose first bytes
        are others than they were, was truncated and is read from its beginning under a new uid.

        :param now_s: monotonic time, noted in ``grown_s`` when the file has changed.
        :param final: nothing more will come, so what stands without an end is a line too.
        """
        status = os.fstat(self._descriptor)
        looked = (status.st_size, status.st_mtime_ns)
        if looked == self._looked and not (self.more or final or self._waiting):
            return []
        if looked != self._looked:
            self.grown_s = now_s
            self._look(status.st_size)
        offset = self.position.offset
        content = os.pread(self._descriptor, _READ_BYTES, offset)
        if len(content) == _READ_BYTES and b"\n" not in content:
            content = os.pread(self._descriptor, LONGEST + 1, offset)
        ends_here = final and offset + len(content) >= status.st_size
        cut = cut_lines(content, offset, most, final=ends_here)
        end = offset + cut.size_bytes
        if self._audit:
            quiet = ends_here or now_s - self.grown_s >= WITHIN_S
            full = len(cut.lines) == most or len(content) == _READ_BYTES
            cut = join_records(cut, offset, quiet=quiet, full=full)
        self._next = offset + cut.size_bytes
        self._waiting = self._next < end
        self.more = cut.size_bytes > 0 and end < status.st_size
        self._looked = looked
        if cut.size_bytes and not cut.lines:
            self.confirm()
        return cut.lines

    def confirm(self) -> None:
        """Go on after the lines that were read last: they are stored."""
        self.position = self.position._replace(offset=self._next)

    def refuse(self) -> None:
        """Give the lines that were read last once more, at the next read."""
        self.more = True

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _look(self, size_bytes: int) -> None:
        """Find out whether it is still the file that it was, and note more of its first bytes."""
        known = self.position
        same = size_bytes >= known.offset and hash_head(self._descriptor, known.head_bytes) == known.head
        if not same and known.head_bytes + known.offset:
            known = Position(new_uid(), known.path, known.device, known.inode)
        if not same or known.head_bytes < _HEAD_BYTES:
            head_bytes = min(_HEAD_BYTES, size_bytes)
            known = known._replace(head_bytes=head_bytes, head=hash_head(self._descriptor, head_bytes))
        self.position = known
