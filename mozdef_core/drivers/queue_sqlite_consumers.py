"""Who is taking from the SQLite queue: each consumer holds a lock on a file of its own while it lives."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path


class Consumer:
    """A consumer that is alive as long as this object is not closed and its process not ended.

    The kernel gives the lock up when the process ends, however it ends: no time-out and no process number has
    to be trusted. A process made by fork without exec shares the lock: open the queue after forking.

    :param directory: where the files are; it is created.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = secrets.token_hex(8)
        self._path = directory / self.name
        while True:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.fstat(self._handle).st_ino == self._path.stat().st_ino:
                    break
            os.close(self._handle)  # somebody took the file for a dead consumer's before it was locked

    def close(self) -> None:
        """Die."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)


def bury(directory: Path, name: str) -> bool:
    """Return whether the consumer is dead, and remove its file when it is. Costs about 10 us."""
    path = directory / name
    while True:
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_ino == path.stat().st_ino:  # else it is a newer file, to be tried again
                path.unlink()
        except BlockingIOError:
            return False
        except FileNotFoundError:
            return True
        finally:
            os.close(handle)


def bury_all(directory: Path) -> None:
    """Remove the files of all dead consumers."""
    with suppress(FileNotFoundError):
        for path in list(directory.iterdir()):
            bury(directory, path.name)
