"""One database file: opened when it is there, read again when it changes, closed when it is broken."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import maxminddb

log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 10


class Database:
    """A file in the MaxMind format. A look-up costs some ten microseconds of memory-mapped reading.

    :param path: the file, or None for a database that the operator does not use.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._reader: maxminddb.reader.Reader | None = None
        self._seen: tuple[int, int, int] | None = None
        self._look_at_s = 0.0
        self.problem: str | None = "no database is configured"
        if path is not None:
            self._open()

    def renewed(self) -> bool:
        """Look whether the file has changed, at most every ten seconds; return whether answers may differ now."""
        if self._path is None or time.monotonic() < self._look_at_s:
            return False
        return self._open()

    def get(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Mapping[str, Any] | None:
        """Return the record of an address, None when there is none."""
        if self._reader is None:
            return None
        try:
            record = self._reader.get(address)
        except (maxminddb.InvalidDatabaseError, ValueError) as error:  # ValueError: v6 in a database of v4
            if isinstance(error, maxminddb.InvalidDatabaseError):
                self._say(f"{self._path} is broken: {error}")
                self.close()
            return None
        return record if isinstance(record, dict) else None

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> bool:
        """Open the file if it is not the one that is open already; return whether something changed."""
        if self._path is None:
            return False
        self._look_at_s = time.monotonic() + LOOK_AGAIN_S
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return False
            self._seen = seen
            reader = maxminddb.open_database(self._path)
        except OSError as error:
            self._seen = None
            return self._gone(f"{self._path} cannot be read: {error.strerror or error}")
        except (maxminddb.InvalidDatabaseError, ValueError, UnicodeDecodeError) as error:
            return self._gone(f"{self._path} is not a database in the MaxMind format: {error}")
        self.close()
        self._reader = reader
        if self.problem is not None and self.problem.startswith(str(self._path)):
            log.warning("%s can be read again", self._path)
        self.problem = None
        return True

    def _gone(self, problem: str) -> bool:
        had = self._reader is not None
        self.close()
        self._say(problem)
        return had

    def _say(self, problem: str) -> None:
        """Warn once, not with every event."""
        if problem != self.problem:
            log.warning("look-ups are off: %s", problem)
        self.problem = problem
