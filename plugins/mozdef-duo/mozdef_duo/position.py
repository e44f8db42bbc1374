"""The position: how far the logs have been read, kept across restarts in a small file that people can read."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)


class Position:
    """One JSON object in a file of its own, replaced as a whole and synchronised to the disk at each write.

    It is locked as long as it is open, since two that ask for the same logs would each send every record.

    :param directory: where it lies; it is made if need be.
    :param name: of the file, without ``.json``.
    :raises OSError: it cannot be written, or another process or input has it open; the text names the file.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"{name}.json"
        self.fields: dict[str, Any] = {}
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OSError(error.errno, f"state_dir {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load()
            self.save(self.fields)
        except OSError as error:
            os.close(self._lock)
            reason = "another input uses it" if isinstance(error, BlockingIOError) else error.strerror
            raise OSError(error.errno, f"{self.path}: {reason}") from error

    def save(self, fields: Mapping[str, Any]) -> None:
        """Write the position down.

        :raises OSError: it cannot be written; what stood there before still does.
        """
        beside = self.path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps(dict(fields), option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)
        self.fields = dict(fields)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)

    def _load(self) -> None:
        try:
            found = orjson.loads(self.path.read_bytes())
            if not isinstance(found, dict):
                raise TypeError("expected an object")
            self.fields = found
        except FileNotFoundError:
            return
        except (orjson.JSONDecodeError, TypeError) as error:
            kept = self.path.with_suffix(".damaged")
            self.path.replace(kept)
            log.warning(
                "the position could not be read (%s) and is kept as %s; reading begins anew", error, kept
            )
