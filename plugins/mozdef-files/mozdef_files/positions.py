"""Positions: how far each file has been read, kept across restarts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import orjson

_MOST: Final = 10_000


class Position(NamedTuple):
    """How far a file was read, and the first bytes that tell it from a later file in the same inode.

    :param offset: in bytes.
    :param head: hash of the first ``head_size`` bytes.
    """

    offset: int
    head: str
    head_size: int


class Positions:
    """One small file with the position of every file that was followed, replaced as a whole at each change.

    :param directory: where it lies; it must exist.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "positions.json"
        self._known: dict[str, Position] = {}
        try:
            written = orjson.loads(self._path.read_bytes())
            self._known = {key: Position(*values) for key, values in written.items()}
        except FileNotFoundError:
            pass
        except (orjson.JSONDecodeError, TypeError, AttributeError):
            self._path.replace(
                self._path.with_suffix(".damaged")
            )  # read again; what was stored is recognised

    @property
    def known(self) -> bool:
        """Whether any file was ever followed."""
        return bool(self._known)

    def check(self) -> None:
        """Try to write.

        :raises OSError: it cannot.
        """
        self._write()

    def get(self, inode: str) -> Position | None:
        """Return what is known about the file in an inode, ``device:inode``; None for one that is new."""
        return self._known.get(inode)

    def set(self, inode: str, position: Position) -> None:
        """Write down how far a file has been read; it survives a kill, and a power loss to within a second."""
        self._known.pop(inode, None)
        self._known[inode] = position
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        self._write()

    def _write(self) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_bytes(orjson.dumps({key: list(known) for key, known in self._known.items()}))
        os.replace(beside, self._path)  # noqa: PTH105  # the words of POSIX
