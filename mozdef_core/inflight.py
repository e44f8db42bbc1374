"""The calls in flight: a small file in which a process says which plugin it is calling, read by its supervisor."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

SLOTS: Final = 64
_SLOT: Final = 256
_LABEL: Final = slice(8, 200)
_KEY: Final = slice(200, 256)
_SINCE: Final = struct.Struct("=q")


def path_of(directory: Path, role: str, process: int) -> Path:
    """Return the file of one process.

    :param process: its process id.
    """
    return directory / f"{role}.{process}.calls"


class RunningCall(NamedTuple):
    """A call that had not ended when the file was read.

    :param key: id of the event or alert, or the span of the window, that the plugin was given.
    :param since_ns: when it began, in nanoseconds of the machine's monotonic clock.
    """

    plugin: str
    hook: str
    key: str
    since_ns: int

    @property
    def seconds(self) -> float:
        """How long it has been running until now."""
        return (time.monotonic_ns() - self.since_ns) / 1e9


class InFlight:
    """The writer's side. A call costs some hundred nanoseconds: it writes to memory that the kernel keeps.

    The file survives the process that wrote it, so that a supervisor can tell what it was doing when it was killed.
    Its blocks are allocated at once: a disk that fills up later cannot harm the process through it.

    :param path: a file of this process alone; made anew.
    :raises OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, SLOTS * _SLOT)
            self._map = mmap.mmap(handle, SLOTS * _SLOT)
        finally:
            os.close(handle)
        self._bytes = memoryview(self._map)
        self._numbers = self._bytes.cast("q")
        self._free = list(range(SLOTS))

    @staticmethod
    def label(plugin: str, hook: str) -> bytes:
        """Return what :meth:`begin` writes for a plugin and hook; made once per pair."""
        size = _LABEL.stop - _LABEL.start
        return f"{hook}\0{plugin}".encode()[:size].ljust(size, b"\0")

    def begin(self, label: bytes, key: str, now_ns: int) -> int:
        """Publish that a call begins, and return the slot to end it with; -1 when none was free.

        May be called from many threads; each call has a slot of its own.
        """
        try:
            slot = self._free.pop()
        except IndexError:
            return -1
        start = slot * _SLOT
        raw = key.encode("utf-8", "replace")[:56]
        self._bytes[start + 8 : start + 200] = label
        self._bytes[start + 200 : start + 256] = raw.ljust(56, b"\0")
        self._numbers[start // 8] = (
            now_ns  # last, so that a reader never sees a time with another call's name
        )
        return slot

    def end(self, slot: int) -> None:
        """Say that the call of a slot has ended."""
        if slot >= 0:
            self._numbers[slot * _SLOT // 8] = 0
            self._free.append(slot)

    def close(self) -> None:
        """Release the memory and remove the file; the process ends in good order."""
        self._numbers.release()
        self._bytes.release()
        self._map.close()
        self.path.unlink(missing_ok=True)


def remove_stale(directory: Path) -> None:
    """Remove what processes that no longer run have left behind: files named ``<role>.<process id>.<what>``.

    One whose process id is in use again stays until the next time. Only processes of one machine share a directory.
    """
    for path in directory.glob("*.*.*"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and not Path("/proc", process).exists():
            path.unlink(missing_ok=True)


def running_calls(path: Path) -> list[RunningCall]:
    """Return the calls in flight of the process that writes this file, the longest first; empty if there is no file.

    Calls that begin or end while this reads may be missing or garbled; one that has been running for a second is not.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    calls = []
    for start in range(0, len(content) - _SLOT + 1, _SLOT):
        slot = content[start : start + _SLOT]
        (since_ns,) = _SINCE.unpack_from(slot)
        if since_ns > 0:
            hook, _, plugin = slot[_LABEL].rstrip(b"\0").decode("utf-8", "replace").partition("\0")
            calls.append(
                RunningCall(plugin, hook, slot[_KEY].rstrip(b"\0").decode("utf-8", "replace"), since_ns)
            )
    return sorted(calls, key=lambda call: call.since_ns)
