"""The file of the SQLite queue: its tables, and connections that come back after a failure."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mozdef_core.errors import QueueUnavailableError

_VERSION: Final = 1

# Small columns stand before the payload, so that reading them follows no overflow pages. What was taken stands in
# a table of its own: changing a batch's row would write its payload again.
_SCHEMA: Final = """
CREATE TABLE totals (next_batch INTEGER NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL, boot TEXT NOT NULL);
INSERT INTO totals VALUES (1, 0, 0, '');
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, items INTEGER NOT NULL, bytes INTEGER NOT NULL, received_us INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE taken (batch INTEGER PRIMARY KEY, consumer TEXT NOT NULL);
CREATE TABLE sender_generations (
    id INTEGER PRIMARY KEY, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, entries INTEGER NOT NULL,
    dying INTEGER NOT NULL
);
CREATE TABLE sender_ids (
    generation INTEGER NOT NULL, hash BLOB NOT NULL, batch INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    PRIMARY KEY (generation, hash)
) WITHOUT ROWID;
CREATE TABLE sender_batches (
    generation INTEGER NOT NULL, batch INTEGER NOT NULL, time_us INTEGER NOT NULL, ids BLOB NOT NULL,
    PRIMARY KEY (generation, batch)
) WITHOUT ROWID;
"""


class QueueDatabase:
    """One connection to the queue's file, for one thread at a time; it is opened when first needed.

    After any error of SQLite the connection is thrown away and the next call opens another one: so the queue
    works again as soon as the cause (a full or read-only disk, a lock) has gone.

    :param durable: whether a commit waits for the disk. Without, a commit survives the death of every process
        but not a power loss; that is enough for what only says who has taken what (see :func:`_mark_boot`).
    :param lock_timeout_s: how long to wait for another process that writes.
    """

    def __init__(self, path: Path, *, durable: bool, lock_timeout_s: float) -> None:
        self.path = path
        self._durable = durable
        self._lock_timeout_s = lock_timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to the caller, who only reads, each statement by itself.

        :raises QueueUnavailableError: it cannot be read.
        """
        with self._lock, self._translated():
            yield self._open()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to the caller inside a transaction that is committed at the end.

        :raises QueueUnavailableError: nothing was written.
        """
        with self._lock, self._translated():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection for good."""
        with self._lock:
            self._closed = True
            self._discard()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._discard()
            raise QueueUnavailableError(f"the queue {self.path} cannot be used: {error}") from error

    def _discard(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise QueueUnavailableError(f"the queue {self.path} is closed")
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=self._lock_timeout_s, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={_VERSION}")
            elif version != _VERSION:
                raise QueueUnavailableError(
                    f"the queue {self.path} has format {version}, this version reads {_VERSION};"
                    " empty it with the version that wrote it"
                )
            _mark_boot(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        if version == 0:
            _sync_directory(self.path.parent)
        if not self._durable:
            connection.execute("PRAGMA synchronous=NORMAL")


def _mark_boot(connection: sqlite3.Connection) -> None:
    """Note after a start of the machine that everything waiting may have been taken before it.

    Who has taken what is written without waiting for the disk, so after a power loss it may not be known. The
    kernel's boot id tells that there was a start; where it cannot be read every opening counts as one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    (known,) = connection.execute("SELECT boot FROM totals").fetchone()
    if known != boot or not boot:
        connection.execute("INSERT OR IGNORE INTO taken SELECT id, '' FROM batches")
        connection.execute("UPDATE totals SET boot = ?", (boot,))


def _sync_directory(path: Path) -> None:
    """Make the name of a new file survive a power loss."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
