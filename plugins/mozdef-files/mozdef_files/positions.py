"""Positions: how far each file has been read, kept across restarts."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

log = logging.getLogger(__name__)

_MOST: Final = 10_000


class Position(NamedTuple):
    """How far a file was read, and what it is recognised by.

    :param uid: chosen at random when the file was first seen, or found to be truncated; its lines' sender ids
        begin with it, so it is written down before the first of them is put.
    :param path: the name under which it was first seen; its events keep it after a rotation.
    :param offset: in bytes.
    :param head: hash of the first ``head_bytes`` bytes, which tells it from a later file in the same inode.
    """

    uid: str
    path: str
    device: int
    inode: int
    offset: int = 0
    head_bytes: int = 0
    head: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode, which no two files have at the same time."""
        return self.device, self.inode


def new_uid() -> str:
    """Return what no other file is known by."""
    return secrets.token_hex(8)


class Positions:
    """One small file, replaced as a whole and synchronised to the disk at each write.

    It is locked as long as it is open, since two that follow the same files would each send every line.

    :param directory: where it lies; it is made if need be.
    :raises OSError: it cannot be written, or another process or input has it open; the text names the directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "positions.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OSError(error.errno, f"state_dir {directory}: {error.strerror}") from error
        self.patterns: frozenset[str] = frozenset()
        self._known: dict[tuple[int, int], Position] = {}
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load()
            self.save()
        except OSError as error:
            os.close(self._lock)
            reason = "another input uses it" if isinstance(error, BlockingIOError) else error.strerror
            raise OSError(error.errno, f"state_dir {directory}: {reason}") from error

    def __iter__(self) -> Iterator[Position]:
        return iter(list(self._known.values()))

    def get(self, key: tuple[int, int]) -> Position | None:
        """Return what is known of the file in an inode."""
        return self._known.get(key)

    def set(self, position: Position) -> None:
        """Note how far a file was read; :meth:`save` writes it down. The oldest of more than 10,000 are forgotten."""
        self._known.pop(position.key, None)
        self._known[position.key] = position
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    def save(self, patterns: Sequence[str] | None = None) -> None:
        """Write everything down.

        :param patterns: the paths that are followed now; None leaves what was noted.
        """
        if patterns is not None:
            self.patterns = frozenset(patterns)
        document = {
            "patterns": sorted(self.patterns),
            "files": [one._asdict() for one in self._known.values()],
        }
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)

    def _load(self) -> None:
        try:
            document: dict[str, Any] = orjson.loads(self._path.read_bytes())
            self.patterns = frozenset(document["patterns"])
            for fields in document["files"]:
                self.set(Position(**fields))
        except FileNotFoundError:
            return
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            kept = self._path.with_suffix(".damaged")
            self._path.replace(kept)
            self._known.clear()
            self.patterns = frozenset()
            log.warning("files: the positions could not be read (%s) and are kept as %s", error, kept)
