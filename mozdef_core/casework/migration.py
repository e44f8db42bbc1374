"""Bringing the casework database to the schema of this version, at most once however many processes start."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from mozdef_core.errors import BookUnavailableError

HEAD: Final = "0007"
"""The newest revision; a test compares it with the migrations."""

_SQLITE: Final = "sqlite:///"


def upgrade(url: str) -> bool:
    """Create or upgrade the schema; return whether there was anything to do.

    Where there is nothing to do it costs a millisecond on SQLite and imports nothing heavy. Otherwise a child
    process does it, so that this one does not keep Alembic's 39 MB.

    :raises BookUnavailableError: it cannot be done; the database is as it was.
    """
    if revision(url) == HEAD:
        return False
    with _lock(url):
        if revision(url) == HEAD:
            return False
        command = [sys.executable, "-m", "mozdef_core.casework.migration"]
        same_code = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        child = subprocess.run(  # noqa: S603 -- this interpreter and this module; the URL, a secret, goes by a pipe
            command, input=url, capture_output=True, text=True, check=False, env=same_code
        )
        if child.returncode:
            last = child.stderr.strip().rpartition("\n")[2] or f"exit code {child.returncode}"
            raise BookUnavailableError(f"the casework database could not be upgraded: {last}")
    return True


def revision(url: str) -> str | None:
    """Return the revision that the database has, or None for an empty one.

    :raises BookUnavailableError: it cannot be read.
    """
    if not url.startswith(_SQLITE):
        return _revision_of_server(url)
    path = Path(url.removeprefix(_SQLITE).partition("?")[0])
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            tables = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
            if connection.execute(tables).fetchone() is None:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BookUnavailableError(f"the casework database cannot be read: {path}: {error}") from error
    return str(row[0]) if row else None


def _revision_of_server(url: str) -> str | None:
    from sqlalchemy import inspect, text

    from mozdef_core.casework.database import Database

    database = Database(url)
    try:
        with database.read() as session:
            if not inspect(session.connection()).has_table("alembic_version"):
                return None
            found = session.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return str(found) if found is not None else None
    finally:
        database.close()


@contextmanager
def _lock(url: str) -> Iterator[None]:
    """Hold the file lock of a SQLite database; a server's migration runs in one transaction of its own."""
    if not url.startswith(_SQLITE):
        yield
        return
    path = Path(url.removeprefix(_SQLITE).partition("?")[0])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.with_name(path.name + ".upgrade-lock").open("w")
    except OSError as error:
        raise BookUnavailableError(f"the casework database cannot be created: {error}") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def migrate(url: str) -> None:
    """Run the migrations in this process, which imports Alembic, in one transaction.

    :raises BookUnavailableError: the database refused; nothing was changed.
    """
    from alembic import command
    from alembic.config import Config

    from mozdef_core.casework.database import Database

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    database = Database(url)
    try:
        with database.write() as session:
            config.attributes["connection"] = session.connection()
            command.upgrade(config, "head")
    finally:
        database.close()


if __name__ == "__main__":
    migrate(sys.stdin.read().strip())
