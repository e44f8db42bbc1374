"""What is known about one partition beside its index: its event days, its paths, and what stands at each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from mozdef_core.errors import StoreUnavailableError

FORMAT: Final = 4
_BEFORE_HOURS: Final = 3
_BEFORE_RESPELT: Final = 2
MOST_DAYS: Final = 1_000
MOST_PATHS: Final = 10_000
HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * HOUR_US


class Kind:
    """What has been seen at a path, as far as it decides how exactly the index can answer for it: flags to be added.

    Plain numbers, because they are tested for every value of every event.
    """

    STRING: Final = 1
    NUMBER: Final = 2
    BOOLEAN: Final = 4
    OBJECT: Final = 8  # an object, perhaps in a list
    DOTTED: Final = 16  # the beginning of a literal dotted key: paths below it, but no object
    NUMERAL: Final = (
        32  # a string that spells a number; a range must compare it as one, which the index cannot
    )
    LONG: Final = 64  # a string too long for a term; the index has its beginning and a hash
    HUGE: Final = 128  # a number beyond 2**53, where the index compares as floating point
    ODD: Final = (
        256  # a hoisted field that is missing or not in its usual form, so that its column does not tell all
    )
    ADDRESS: Final = 512  # on a field of addresses, a string that is one
    NO_ADDRESS: Final = 1024  # on a field of addresses, a string that is none
    RESPELT: Final = 2048  # on a field of addresses, one that is not in the usual spelling


ANY_KIND: Final = 4095


class Marks(NamedTuple):
    """Between which times nearly all events of a partition were when it had so many; a few odd clocks are left out."""

    number: int
    early_us: int
    late_us: int


def day_of(us: int) -> int:
    """Return the UTC day of a moment, counted from 1970."""
    return us // _DAY_US


class Catalogue:
    """The sidecar of a partition, kept in a small JSON file that is durable before the commit that needs it.

    It only grows, so that it never says less than the index needs: after a failed commit it says too much, which
    costs time and no answers. Beyond its limits it says "any".

    :param path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._changed = False
        self.days: set[int] | None = set()
        self.kinds: dict[str, int] | None = {}
        self.foreign = False
        self.hours = True
        """Whether each event's hour is in the index beside its time; partitions of format 3 and before have none."""
        self.distinct: dict[tuple[str, str | None], tuple[int, tuple[str, ...]]] = {}
        """By a path of the index and an expression: number of events, and the distinct strings then. Not kept."""
        self.marks: Marks | None = None
        """Where events lie in time, to search in narrower windows first. Not kept."""

    def see_day(self, day: int) -> None:
        """Note that an event falls on a day."""
        if self.days is not None and day not in self.days:
            self._changed = True
            self.days.add(day)
            if len(self.days) > MOST_DAYS:
                self.days = None

    def see_kind(self, path: str, kind: int) -> None:
        """Note what stands at a path."""
        if self.kinds is None:
            return
        known = self.kinds.get(path, 0)
        if known | kind != known:
            self._changed = True
            self.kinds[path] = known | kind
            if len(self.kinds) > MOST_PATHS:
                self.kinds = None

    def see_foreign(self) -> None:
        """Note that an id does not tell by itself that its event is in this partition."""
        if not self.foreign:
            self._changed = self.foreign = True

    def kind(self, path: str) -> int:
        """Return all that has been seen at a path; nothing when it was never there."""
        if self.kinds is None:
            return ANY_KIND
        return self.kinds.get(path, 0)

    def string_paths(self) -> Iterator[str] | None:
        """Return the paths with strings, or None when there are too many to list."""
        if self.kinds is None:
            return None
        return (path for path, kind in list(self.kinds.items()) if kind & Kind.STRING)

    def may_hold(self, first_us: int | None, end_us: int | None) -> bool:
        """Return whether an event from ``first_us`` (inclusive) to ``end_us`` (exclusive) may be in the partition."""
        if self.days is None:
            return True
        first = None if first_us is None else day_of(first_us)
        last = None if end_us is None else day_of(end_us - 1)
        return any((first is None or day >= first) and (last is None or day <= last) for day in self.days)

    def bounds_us(self) -> tuple[int, int] | None:
        """Return the first moment of its first day and the last one of its last; None when it has any day or none."""
        if not self.days:
            return None
        return min(self.days) * _DAY_US, (max(self.days) + 1) * _DAY_US - 1

    def create(self) -> None:
        """Write the file of an empty partition.

        :raises OSError: it could not be written.
        """
        self._changed = True
        self.save()

    def save(self) -> None:
        """Write what has been noted since the last time to stable storage; costs nothing when that is nothing.

        :raises OSError: it could not be written; the notes are kept for the next attempt.
        """
        if not self._changed:
            return
        document = {
            "format": FORMAT if self.hours else _BEFORE_HOURS,
            "days": None if self.days is None else sorted(self.days),
            "paths": self.kinds,
            "foreign": self.foreign,
        }
        write_durably(self._path, orjson.dumps(document, option=orjson.OPT_SORT_KEYS))
        self._stamp = self._read_stamp()
        self._changed = False

    def load(self) -> None:
        """Read the file unless it is the one read or written last, or something has been noted meanwhile.

        :raises OSError: it is not there.
        :raises StoreUnavailableError: another version of MozDef wrote it.
        """
        stamp = self._read_stamp()
        if self._changed or stamp == self._stamp:
            return
        document: Mapping[str, Any] = orjson.loads(self._path.read_bytes())
        if document.get("format") not in (_BEFORE_RESPELT, _BEFORE_HOURS, FORMAT):
            raise StoreUnavailableError(
                f"{self._path}: expected format {FORMAT}, got {document.get('format')!r}; another version wrote it"
            )
        self.days = None if document["days"] is None else set(document["days"])
        self.kinds = document["paths"]
        if self.kinds is not None and document["format"] == _BEFORE_RESPELT:
            self.kinds = {path: _respelt(kind) for path, kind in self.kinds.items()}
        self.foreign = document["foreign"]
        self.hours = document["format"] == FORMAT
        self._stamp = stamp

    def _read_stamp(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_ino


def _respelt(kind: int) -> int:
    """Return the kind of a path noted before spellings were: addresses may have any."""
    return kind | Kind.RESPELT if kind & Kind.ADDRESS else kind


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file as a whole: after a crash it holds the old content or the new one."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
