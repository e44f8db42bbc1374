"""The queue in one SQLite file: durable, shared by the processes of one machine, and no server to run."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from mozdef_core.drivers.queue_items import DamagedBatchError, decode_items
from mozdef_core.drivers.queue_sqlite_consumers import Consumer, bury, bury_all
from mozdef_core.drivers.queue_sqlite_database import QueueDatabase
from mozdef_core.drivers.queue_sqlite_senders import SenderIds
from mozdef_core.drivers.queue_sqlite_writer import QueueWriter
from mozdef_core.errors import QueueUnavailableError
from mozdef_core.options import Field
from mozdef_core.options import Options as PluginOptions
from mozdef_core.ports import Delivery, Item, PutResult, Queue, QueueDepth

log = logging.getLogger(__name__)

_SHORTEST_POLL_S: Final = 0.002
_LONGEST_POLL_S: Final = 0.05
_LOOK_FOR_THE_DEAD_S: Final = 0.25

_WAITING: Final = """
SELECT batches.id, batches.items, taken.batch IS NOT NULL FROM batches LEFT JOIN taken ON taken.batch = batches.id
WHERE taken.batch IS NULL OR taken.consumer = '' ORDER BY batches.id LIMIT ?
"""


class SqliteQueue(Queue):
    """A queue in a SQLite file in WAL mode.

    A put is one compressed row; puts of few items that arrive together share a row and a commit. A put returns
    when its commit is on the disk. Taking and acknowledging do not wait for the disk, since what is lost of them
    in a power loss only has batches delivered again, marked as such.

    :param path: the file; ``-wal`` and ``-shm`` beside it belong to it, and ``-consumers`` is a directory of the
        files whose locks say which consumers live.
    """

    class Options(PluginOptions):
        """Options in the table ``[queue.sqlite]``."""

        limit_bytes: int = Field(
            default=2**30, ge=2**16, description="compressed bytes that may wait before senders are told to"
        )
        min_free_bytes: int = Field(
            default=2**26, ge=0, description="bytes of the disk that the queue leaves free"
        )
        sender_id_window_s: float = Field(
            default=3600, gt=0, description="seconds within which a repeated sender id is a repeat"
        )
        sender_id_limit: int = Field(
            default=10_000_000, ge=4, description="sender ids kept at most; beyond it the oldest go"
        )
        lock_timeout_s: float = Field(
            default=5, gt=0, description="seconds to wait for another process that writes"
        )

    name: ClassVar[str] = "sqlite"

    def __init__(self, options: SqliteQueue.Options, path: Path) -> None:
        self._options = options
        self._writing = QueueDatabase(path, durable=True, lock_timeout_s=options.lock_timeout_s)
        self._taking = QueueDatabase(path, durable=False, lock_timeout_s=options.lock_timeout_s)
        self._writer = QueueWriter(
            self._writing,
            SenderIds(options.sender_id_window_s, options.sender_id_limit),
            limit_bytes=options.limit_bytes,
            min_free_bytes=options.min_free_bytes,
            written=self._announce,
            forgotten=self._warn_forgotten,
        )
        self._directory = path.with_name(path.name + "-consumers")
        self._consumer: Consumer | None = None
        self._held: set[int] = set()
        self._unread: list[tuple[int, bool]] = []
        self._state = threading.Condition()
        self._news = 0
        self._closed = False

    def put(self, items: Sequence[Item]) -> PutResult:
        """Keep the items; a put bigger than the limit is taken when the queue is empty, or it could never be."""
        return self._writer.put(items) if items else PutResult([], 0)

    def take(self, most: int, wait_s: float) -> list[Delivery]:
        """Take batches; while none is there it looks for changes of the file 20 times a second."""
        deadline = time.monotonic() + wait_s
        pauses = _pauses()
        while True:
            news, version = self._news, self._version()
            deliveries = self._read(self._unread or self._claim(most))
            if deliveries or self._closed or time.monotonic() >= deadline:
                return deliveries
            self._wait(news, version, deadline, pauses)

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Forget batches.

        :raises QueueUnavailableError: they are still held; call again, or leave it: they would come once more
            after this consumer has ended.
        """
        with self._state:
            batches = [int(delivery.token) for delivery in deliveries if int(delivery.token) in self._held]
        if not batches:
            return
        items = size = 0
        with self._taking.write() as connection:
            for batch in batches:
                query = "DELETE FROM batches WHERE id = ? RETURNING items, bytes"
                for count, length in connection.execute(query, (batch,)).fetchall():
                    items, size = items + count, size + length
                connection.execute("DELETE FROM taken WHERE batch = ?", (batch,))
            connection.execute("UPDATE totals SET items = items - ?, bytes = bytes - ?", (items, size))
        with self._state:
            self._held.difference_update(batches)

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Give batches back; they come again as redelivered, since their events may be stored in part."""
        with self._state:
            batches = [int(delivery.token) for delivery in deliveries if int(delivery.token) in self._held]
        if not batches:
            return
        with self._taking.write() as connection:
            connection.executemany(
                "UPDATE taken SET consumer = '' WHERE batch = ?", [(batch,) for batch in batches]
            )
        with self._state:
            self._held.difference_update(batches)
        self._announce()

    def depth(self) -> QueueDepth:
        """Return how much waits; costs two look-ups."""
        with self._taking.read() as connection:
            items, size = connection.execute("SELECT items, bytes FROM totals").fetchone()
            oldest = connection.execute("SELECT received_us FROM batches ORDER BY id LIMIT 1").fetchone()
        return QueueDepth(items, size, self._options.limit_bytes, oldest[0] if oldest else None)

    def close(self) -> None:
        """Write what is being put, give back what is held, and close the file."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            self._news += 1
            self._state.notify_all()
        self._writer.close()
        try:
            self.put_back([Delivery(str(batch), (), redelivered=False) for batch in list(self._held)])
        except QueueUnavailableError as error:
            log.warning("what this process has taken is given back when it ends: %s", error)
        self._taking.close()
        self._writing.close()
        if self._consumer is not None:
            self._consumer.close()

    def _announce(self) -> None:
        with self._state:
            self._news += 1
            self._state.notify_all()

    def _warn_forgotten(self, count: int) -> None:
        log.warning(
            "%d sender ids were forgotten before their time: more than %d came within %g s; repeats of them would be"
            " stored again; raise queue.sqlite.sender_id_limit",
            count,
            self._options.sender_id_limit,
            self._options.sender_id_window_s,
        )

    def _version(self) -> int:
        """Return a number that changes when another connection has written."""
        with self._taking.read() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _wait(self, news: int, version: int, deadline: float, pauses: Iterator[float]) -> None:
        """Return when something was written, at the deadline, or when it is time to look for dead consumers."""
        stop = min(deadline, time.monotonic() + _LOOK_FOR_THE_DEAD_S)
        while (left := stop - time.monotonic()) > 0:
            with self._state:
                if self._state.wait_for(lambda: self._news != news, min(next(pauses), left)):
                    return
            if self._version() != version:
                return

    def _claim(self, most: int) -> list[tuple[int, bool]]:
        """Claim batches of at least ``most`` items and return each with whether it was delivered before."""
        with self._state:
            if self._closed:
                return []
            if self._consumer is None:
                try:
                    bury_all(self._directory)
                    self._consumer = Consumer(self._directory)
                except OSError as error:
                    raise QueueUnavailableError(f"cannot write to {self._directory}: {error}") from error
            me = self._consumer.name
        with self._taking.read() as connection:
            dead = self._dead(connection, me)
            if not dead and not connection.execute(_WAITING, (1,)).fetchone():
                return []
        with self._taking.write() as connection:
            for consumer in dead:
                connection.execute("UPDATE taken SET consumer = '' WHERE consumer = ?", (consumer,))
            claimed: list[tuple[int, bool]] = []
            items = 0
            for batch, count, before in connection.execute(_WAITING, (most,)):
                claimed.append((batch, bool(before)))
                items += count
                if items >= most:
                    break
            connection.executemany(
                "INSERT OR REPLACE INTO taken VALUES (?, ?)", [(batch, me) for batch, _ in claimed]
            )
        with self._state:
            self._held.update(batch for batch, _ in claimed)
        return claimed

    def _dead(self, connection: sqlite3.Connection, me: str) -> list[str]:
        names = [
            name for (name,) in connection.execute("SELECT DISTINCT consumer FROM taken WHERE consumer != ''")
        ]
        return [name for name in names if name != me and bury(self._directory, name)]

    def _read(self, claimed: Sequence[tuple[int, bool]]) -> list[Delivery]:
        """Return the batches; what cannot be read at the moment is left for the next call."""
        deliveries: list[Delivery] = []
        for number, (batch, before) in enumerate(claimed):
            try:
                with self._taking.read() as connection:
                    row = connection.execute("SELECT payload FROM batches WHERE id = ?", (batch,)).fetchone()
                deliveries.append(Delivery(str(batch), decode_items(row[0]), before))
            except DamagedBatchError as error:
                # It stays in the file and in this consumer's hands, so that the others go on.
                log.error("batch %d of the queue %s is set aside: %s", batch, self._writing.path, error)
            except QueueUnavailableError:
                self._unread = list(claimed[number:])
                if deliveries:
                    return deliveries
                raise
        self._unread = []
        return deliveries


def _pauses() -> Iterator[float]:
    """Yield how long to sleep between two looks: little at first, since more often comes soon."""
    pause = _SHORTEST_POLL_S
    while True:
        yield pause
        pause = min(pause * 1.5, _LONGEST_POLL_S)
