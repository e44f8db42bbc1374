"""The thread that writes what many threads put into the SQLite queue, many puts in one commit."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from mozdef_core.drivers.queue_items import encode_items
from mozdef_core.drivers.queue_sqlite_database import QueueDatabase
from mozdef_core.drivers.queue_sqlite_senders import SenderIds, hash_of
from mozdef_core.errors import QueueError, QueueFullError, QueueUnavailableError
from mozdef_core.event import now_us
from mozdef_core.ports import Item, PutResult

_SMALL_ITEMS: Final = 64
_SMALL_BYTES: Final = 65_536
"""A put of fewer items and bytes shares a row with others."""
_ROW_ITEMS: Final = 1_000
_ROW_BYTES: Final = 4 * 1024 * 1024
_FULL_RETRY_S: Final = 5.0
_NO_SPACE_RETRY_S: Final = 30.0


class _Put:
    """What one call of ``put`` hands to the thread, and gets back."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.hashes = [hash_of(item) for item in items]
        self.bytes = sum(len(item.raw) for item in items)
        self.small = len(items) < _SMALL_ITEMS and self.bytes < _SMALL_BYTES
        # With fields it is encoded here in any case: what is no JSON in them must not fail the puts of others.
        self.payload = None if self.small and not any(item.fields for item in items) else encode_items(items)
        self.planned: PutResult | None = None
        self.result: PutResult | None = None
        self.error: QueueError | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def settle(self) -> None:
        """Let the caller go on."""
        self._done.release()

    def wait(self) -> PutResult:
        """Wait until the thread has settled it."""
        with self._done:
            if self.result is None:
                raise self.error or QueueUnavailableError("the thread that writes the queue has failed")
            return self.result


class QueueWriter:
    """Group commit: puts that arrive while a commit waits for the disk are written together by the next one.

    :param limit_bytes: payload that may wait at most.
    :param min_free_bytes: room that the disk must keep, for acknowledging and for everybody else.
    :param written: called after each commit.
    """

    def __init__(
        self,
        database: QueueDatabase,
        senders: SenderIds,
        *,
        limit_bytes: int,
        min_free_bytes: int,
        written: Callable[[], None],
        forgotten: Callable[[int], None],
    ) -> None:
        self._database = database
        self._senders = senders
        self._limit_bytes = limit_bytes
        self._min_free_bytes = min_free_bytes
        self._written = written
        self._forgotten = forgotten
        self._pending: deque[_Put] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, items: Sequence[Item]) -> PutResult:
        """Write the items and return when they are on the disk.

        :raises QueueError: nothing was written.
        """
        request = _Put(items)
        with self._wake:
            if self._closed:
                raise QueueUnavailableError(f"the queue {self._database.path} is closed")
            self._pending.append(request)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="queue-writer", daemon=True)
                self._thread.start()
            self._wake.notify()
        return request.wait()

    def close(self) -> None:
        """Write what is pending and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._pending and not self._closed:
                    self._wake.wait()
                puts = list(self._pending)
                self._pending.clear()
            if not puts:
                return
            try:
                self._commit(puts)
            finally:  # whatever happens, nobody waits for ever
                for put in puts:
                    put.settle()

    def _commit(self, puts: Sequence[_Put]) -> None:
        try:
            self._check_disk()
            with self._database.write() as connection:
                forgotten = sum(self._write_row(connection, row) for row in _rows(puts))
        except QueueError as error:
            for put in puts:
                put.error = error
            return
        for put in puts:
            put.result = put.planned
        self._written()
        if forgotten:
            self._forgotten(forgotten)

    def _check_disk(self) -> None:
        try:
            disk = os.statvfs(self._database.path.parent)
        except OSError:
            return  # no directory yet; opening the database makes it or says why not
        free = disk.f_bavail * disk.f_frsize
        if free < self._min_free_bytes:
            raise QueueFullError(
                f"the disk of the queue has {free} bytes left, {self._min_free_bytes} must stay free",
                _NO_SPACE_RETRY_S,
            )

    def _write_row(self, connection: sqlite3.Connection, puts: Sequence[_Put]) -> int:
        """Write puts as one row and note what becomes of each; return how many sender ids went too early."""
        items = [item for put in puts for item in put.items]
        batch, used = connection.execute("SELECT next_batch, bytes FROM totals").fetchone()
        moment = now_us()
        ids, fresh, places = self._sort_out(connection, puts, moment)
        kept = items if len(fresh) == len(items) else [items[number] for number in fresh]
        if kept:
            payload = puts[0].payload if kept is items and len(puts) == 1 else None
            payload = payload or encode_items(kept)
            if used and used + len(payload) > self._limit_bytes:
                error = QueueFullError(
                    f"the queue holds {used} of at most {self._limit_bytes} bytes", _FULL_RETRY_S
                )
                for put in puts:
                    put.error = error
                return 0
            oldest = min(item.received_us for item in kept)
            connection.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?)",
                (batch, len(kept), len(payload), oldest, payload),
            )
            connection.execute(
                "UPDATE totals SET next_batch = next_batch + 1, items = items + ?, bytes = bytes + ?",
                (len(kept), len(payload)),
            )
        _answer(puts, ids, set(fresh))
        return self._senders.add(connection, places, ids, batch, moment) if places else 0

    def _sort_out(
        self, connection: sqlite3.Connection, puts: Sequence[_Put], moment: int
    ) -> tuple[list[str], Sequence[int], dict[bytes, int]]:
        """Return the id that each item has, the positions of those that are no repeats, and the new sender ids."""
        items = [item for put in puts for item in put.items]
        hashes = [known for put in puts for known in put.hashes]
        wanted = list({known for known in hashes if known is not None})
        ids = [item.id for item in items]
        if not wanted:
            return ids, range(len(items)), {}
        seen = self._senders.find(connection, wanted, moment)
        fresh, places = [], {}
        for number, known in enumerate(hashes):
            if known is None:
                fresh.append(number)
            elif known in seen:
                ids[number] = seen[known]
            else:
                seen[known] = ids[number]
                places[known] = number
                fresh.append(number)
        return ids, fresh, places


def _answer(puts: Sequence[_Put], ids: Sequence[str], fresh: set[int]) -> None:
    start = 0
    for put in puts:
        stop = start + len(put.items)
        put.planned = PutResult(ids[start:stop], sum(number not in fresh for number in range(start, stop)))
        start = stop


def _rows(puts: Sequence[_Put]) -> Iterator[Sequence[_Put]]:
    """Yield the puts in their order, small ones together."""
    row: list[_Put] = []
    items = size = 0
    for put in puts:
        if row and (not put.small or items + len(put.items) > _ROW_ITEMS or size + put.bytes > _ROW_BYTES):
            yield row
            row, items, size = [], 0, 0
        if put.small:
            row.append(put)
            items += len(put.items)
            size += put.bytes
        else:
            yield [put]
    if row:
        yield row
