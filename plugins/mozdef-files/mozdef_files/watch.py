"""The watch: finds the files that the paths name, and knows them again after a rename or a restart."""

from __future__ import annotations

import glob
import logging
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mozdef_files.positions import Position, Positions, new_uid
from mozdef_files.tail import Tail, hash_head

log = logging.getLogger(__name__)

_COMPRESSED: Final = re.compile(r"\.(gz|xz|zst|bz2|lz4|Z|zip)\Z")
_SEARCHED_BYTES: Final = 65_536
_QUIET_S: Final = 30.0


class Watch:
    """The tails of all files that are followed.

    A file that has lost its name, by rename or removal, is read on until it has not grown for 30 seconds, since
    its writer may not have noticed yet; only then a last line without an end counts.

    :param patterns: names and globs.
    :param skip: begin files at their end that are there when a pattern is followed for the first time.
    :param most: number of files to keep open.
    """

    def __init__(
        self, patterns: Sequence[str], positions: Positions, *, skip: bool, most: int, audit: bool = False
    ) -> None:
        self._patterns = patterns
        self._positions = positions
        self._skip = skip
        self._most = most
        self._audit = audit
        self._tails: dict[tuple[int, int], Tail] = {}
        self._complained: set[str] = set()
        self._first = True

    def __iter__(self) -> Iterator[Tail]:
        return iter(list(self._tails.values()))

    def look(self, now_s: float) -> None:
        """Find new files and note which have lost their names.

        When it returns, every file that was found is known in the positions, written down.
        """
        found: set[tuple[int, int]] = set()
        before = set(self._tails)
        for pattern in self._patterns:
            skip = self._first and self._skip and pattern not in self._positions.patterns
            for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  # patterns may be absolute
                if not _COMPRESSED.search(path) and (key := self._meet(path, skip=skip)):
                    found.add(key)
        if self._first:
            self._find_renamed()
        for key, tail in self._tails.items():
            if key in found:
                tail.lost_name_s = None
            elif tail.lost_name_s is None:
                tail.lost_name_s = now_s
        if self._first or set(self._tails) - before:
            for tail in self._tails.values():
                self._positions.set(tail.position)
            self._positions.save(self._patterns)
        self._first = False

    def finished(self, tail: Tail, now_s: float) -> bool:
        """Whether a file has lost its name and nobody seems to write to it any more."""
        return tail.lost_name_s is not None and now_s - max(tail.lost_name_s, tail.grown_s) >= _QUIET_S

    def drop(self, tail: Tail) -> None:
        """Follow a file no longer."""
        del self._tails[tail.position.key]
        tail.close()

    def close(self) -> None:
        """Close all files."""
        for tail in self:
            self.drop(tail)

    def _meet(self, path: str, *, skip: bool) -> tuple[int, int] | None:
        """Follow the file that stands at a path, if it is not followed already; return what it is known by."""
        try:
            status = Path(path).stat()
            key = (status.st_dev, status.st_ino)
            if key in self._tails or not stat.S_ISREG(status.st_mode):
                return key if key in self._tails else None
            if len(self._tails) >= self._most:
                self.complain(path, "max_files are open already")
                return None
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.complain(path, error.strerror)
            return None
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) in self._tails:  # renamed just now
            os.close(descriptor)
            return status.st_dev, status.st_ino
        position = self._positions.get((status.st_dev, status.st_ino))
        if position is None or not _is_same(descriptor, position):
            offset = _end_of_last_line(descriptor, status.st_size) if skip else 0
            position = Position(new_uid(), path, status.st_dev, status.st_ino, offset)
            head_bytes = min(256, status.st_size)
            position = position._replace(head_bytes=head_bytes, head=hash_head(descriptor, head_bytes))
        self._tails[position.key] = Tail(descriptor, position, audit=self._audit)
        self._complained.discard(path)
        return position.key

    def _find_renamed(self) -> None:
        """Find files that were rotated while nobody looked: by their inodes, in the directories they were in."""
        missing = {one.inode: one for one in self._positions if one.key not in self._tails and one.head_bytes}
        for directory in {os.path.dirname(one.path) or "." for one in missing.values()}:  # noqa: PTH120
            try:
                entries = [entry for entry in os.scandir(directory) if entry.inode() in missing]
            except OSError:
                continue
            for entry in entries:
                position = missing[entry.inode()]
                same_place = (os.path.dirname(position.path) or ".") == directory  # noqa: PTH120
                if same_place and not _COMPRESSED.search(entry.name) and len(self._tails) < self._most:
                    self._resume(entry.path, position)

    def _resume(self, path: str, position: Position) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self.complain(path, error.strerror)
            return
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) == position.key and _is_same(descriptor, position):
            self._tails[position.key] = Tail(descriptor, position, audit=self._audit)
        else:
            os.close(descriptor)

    def complain(self, path: str, reason: str | None) -> None:
        """Say once that a file is not read, and why; again only after it could be opened."""
        if path not in self._complained:
            self._complained.add(path)
            log.warning("files: %s is not read: %s", path, reason)


def _is_same(descriptor: int, position: Position) -> bool:
    size = os.fstat(descriptor).st_size
    return size >= position.offset and hash_head(descriptor, position.head_bytes) == position.head


def _end_of_last_line(descriptor: int, size_bytes: int) -> int:
    """Return where the last line that is complete ends, so that one that is being written is read as a whole."""
    start = max(0, size_bytes - _SEARCHED_BYTES)
    content = os.pread(descriptor, size_bytes - start, start)
    end = content.rfind(b"\n") + 1
    return start + end if end or not start else size_bytes
