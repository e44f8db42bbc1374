"""What is peculiar to SQLite: how it is opened, and that a writer says so before it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL

BUSY_TIMEOUT_S: Final = 10
"""How long a writer waits for another process's transaction."""


def file_of(url: URL) -> Path | None:
    """Return the path of the database file, or None when the URL is not one of a SQLite file."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def prepare(engine: Engine, write_option: str) -> None:
    """Make every connection durable and shared, and every transaction with the option a writer's from its start.

    A transaction that reads first and writes later fails at once when another process has written in between;
    ``BEGIN IMMEDIATE`` waits for its turn instead.
    """

    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions, the module must not
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(write_option)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin)
