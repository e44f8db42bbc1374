"""All partitions of an embedded store: which there are, and which of them a question concerns."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, TextIO

from mozdef_core.drivers.tantivy_partition import Name, Partition, View, remove_leftovers
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import first_id_at, microseconds

_DAY_US: Final = 86_400_000_000


class StoreLockedError(StoreUnavailableError):
    """Another process has the store open for writing."""


class Shelf:
    """The partitions under a directory, kept in step with it.

    :param path: the directory; a writer makes it.
    :param heap_bytes: how much the writer of one partition may hold.
    :param writing: whether this process is the one that writes.
    :raises StoreUnavailableError: another process writes, or the directory cannot be used.
    """

    def __init__(self, path: Path, heap_bytes: int, *, writing: bool) -> None:
        self.path = path
        self._heap_bytes = heap_bytes
        self._lock = threading.RLock()
        self._partitions: dict[Name, Partition] = {}
        self._refreshed_s = -1.0
        self._guard: TextIO | None = None
        if writing:
            self._guard = _lock_writer(path)
            remove_leftovers(path)
        self._list()

    @property
    def writing(self) -> bool:
        """Whether this process is the one that writes."""
        return self._guard is not None

    def refresh(self, older_than_s: float = 0) -> None:
        """Make what other processes have written visible, unless that was done less than so many seconds ago.

        :raises StoreUnavailableError: a partition cannot be read.
        """
        with self._lock:
            now_s = time.monotonic()
            if self.writing or (older_than_s and now_s - self._refreshed_s < older_than_s):
                return
            self._list()
            for name, partition in list(self._partitions.items()):
                try:
                    partition.refresh()
                except StoreUnavailableError:
                    if partition.path.exists():
                        raise
                    del self._partitions[name]  # retention has removed it meanwhile
            self._refreshed_s = now_s

    def expire(self) -> None:
        """Have the next :meth:`refresh` look, however little time has passed since the last."""
        with self._lock:  # after a refresh that runs now and may have missed what has just been written
            self._refreshed_s = -1.0

    def _list(self) -> None:
        try:
            names = {name for path in self.path.iterdir() if (name := Name.read(path.name)) is not None}
        except FileNotFoundError:
            names = set()
        for name in self._partitions.keys() - names:
            del self._partitions[name]
        for name in names - self._partitions.keys():
            self._partitions[name] = Partition(self.path, name, self._heap_bytes)

    def all(self) -> list[Partition]:
        """Return every partition, the oldest day of reception first."""
        with self._lock:
            return [self._partitions[name] for name in sorted(self._partitions)]

    def holding(self, first_us: int | None, end_us: int | None) -> list[Partition]:
        """Return the partitions that may hold events of this time; costs no opening of an index."""
        return [partition for partition in self.all() if partition.catalogue().may_hold(first_us, end_us)]

    def with_ids(self, first: str, last: str) -> list[Partition]:
        """Return the partitions that may hold an id from ``first`` to ``last``."""
        found = []
        for partition in self.all():
            start, end = id_bounds(partition.name.day)
            if (first < end and last >= start) or partition.catalogue().foreign:
                found.append(partition)
        return found

    def known(self, ids: Iterable[str]) -> set[str]:
        """Return those of the ids that any partition holds."""
        wanted = set(ids)
        if not wanted:
            return set()
        found: set[str] = set()
        for partition in self.with_ids(min(wanted), max(wanted)):
            start, end = id_bounds(partition.name.day)
            foreign = partition.catalogue().foreign
            here = [one for one in wanted if foreign or start <= one < end]
            if here:
                found |= partition.view().ids_among(here)
        return found

    def provide(self, name: Name) -> Partition:
        """Return a partition, made now if need be.

        :raises OSError: it could not be made.
        """
        with self._lock:
            partition = self._partitions.get(name)
            if partition is None:
                partition = Partition.create(self.path, name, self._heap_bytes)
                self._partitions[name] = partition
            return partition

    def remove(self, partition: Partition) -> None:
        """Remove a partition from the disk.

        :raises OSError: it could not be moved away.
        """
        with self._lock:
            partition.drop()
            del self._partitions[partition.name]

    def views(self) -> list[View]:
        """Return a snapshot of every partition."""
        return [partition.view() for partition in self.all()]

    def close(self) -> None:
        """Close every partition and let another process write."""
        with self._lock:
            for partition in self._partitions.values():
                partition.close()
            self._partitions.clear()
            if self._guard is not None:
                self._guard.close()


@lru_cache(maxsize=1024)
def id_bounds(day: str) -> tuple[str, str]:
    """Return the first id that an item received on a day can have, and the first of the next day."""
    start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    start_us = microseconds(start)
    return first_id_at(start_us), first_id_at(start_us + _DAY_US)


def _lock_writer(path: Path) -> TextIO:
    """Take the lock that only one writer can have, for as long as the file that is returned is open."""
    guard = None
    try:
        path.mkdir(parents=True, exist_ok=True)
        guard = (path / "writer.lock").open("a+", encoding="ascii")
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        guard.truncate(0)
        guard.write(f"{os.getpid()}\n")
        guard.flush()
    except BlockingIOError:
        assert guard is not None
        guard.seek(0)
        holder = guard.read().strip() or "unknown"
        guard.close()
        raise StoreLockedError(
            f"the store {path} is open for writing in process {holder}; only one process may write to it"
        ) from None
    except OSError as error:
        raise StoreUnavailableError(f"the store {path} cannot be opened for writing: {error}") from error
    return guard
