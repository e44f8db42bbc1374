"""The export: every event that matches a search, once, in order of time, to a file that can be gone on with."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from mozdef_core.event import Event, isoformat
from mozdef_core.ports import EventStore
from mozdef_core.query.lucene import parse
from mozdef_core.query.model import Query, Range, Search
from mozdef_core.services import transfer_parquet
from mozdef_core.services.transfer import Pager, TransferError, read_sidecar, sync_directory, write_sidecar
from mozdef_core.services.transfer_files import PACKERS, ending_of, read_lines

_FORMAT: Final = 1
_MOST_EVENTS: Final = 10_000
_BLOCK_BYTES: Final = 16 << 20
"""Pages are made so small that they hold about this much."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be exported. Times in microseconds since 1970; None is open.

    :param query: the search string.
    :param since_us: first event time.
    :param until_us: the event time before which it ends.
    :param received_us: what was received later is left out, so that an export of a busy store comes to an end.
    """

    query: str
    since_us: int | None
    until_us: int | None
    received_us: int

    @property
    def between(self) -> tuple[int | None, int | None]:
        """The event times, as a search takes them."""
        return (self.since_us, self.until_us)

    def condition(self) -> Query:
        """Return the whole condition.

        :raises QueryError: the search string has no meaning.
        """
        return parse(self.query) & Range("receivedtimestamp", lte=isoformat(self.received_us))


def blocks(
    store: EventStore, wanted: Wanted, after: str | None = None
) -> Iterator[tuple[list[Event], str | None]]:
    """Yield the events in order of time in blocks of bearable size, each with the cursor behind it.

    :param after: the cursor to go on from.
    :raises TransferError: the store fails again and again.
    """
    search = Search(wanted.condition(), wanted.between, "oldest", after=after)
    pager = Pager(store, search, _MOST_EVENTS // 10)
    for page in pager:
        yield list(page.events), page.after
        if page.events:
            sample = page.events[:: max(len(page.events) // 20, 1)]
            mean = sum(len(event.to_bytes()) for event in sample) // len(sample)
            pager.size = min(_MOST_EVENTS, max(_BLOCK_BYTES // mean, 10))


def lines_of(events: list[Event]) -> bytes:
    """Return events as JSON lines: ``{"id": ..., "event": {...}}``."""
    return b"".join(event.to_bytes() + b"\n" for event in events)


@dataclass(slots=True)
class _State:
    """How far an export has got: kept beside the file after each block, and enough to go on after a kill -9.

    :param size_bytes: length of the part that holds ``events`` events and ends at the cursor ``after``.
    :param read: whether all events are there, so that only the file's form remains to be made.
    """

    wanted: Wanted
    after: str | None = None
    size_bytes: int = 0
    events: int = 0
    read: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, document: dict[str, Any], path: Path) -> _State:
        try:
            if document.pop("format") != _FORMAT:
                raise ValueError
            return cls(**{**document, "wanted": Wanted(**document["wanted"])})
        except (KeyError, TypeError, ValueError):
            raise TransferError(
                f"{path}: another version wrote it; remove it and start without --resume"
            ) from None


class Export:
    """Writes to ``FILE.part``, notes in ``FILE.part.json`` how far it is, and gives it its name when it is whole.

    A block is on the disk before the note of it is; what a killed export has written behind its last note is cut
    off when it is gone on with. So nothing is missing and nothing doubled.

    :param resume: go on with what an interrupted export has left, or begin where there is nothing.
    :raises TransferError: there is such a file already, another export writes it, or it was of something else.
    """

    def __init__(self, target: Path, wanted: Wanted, *, resume: bool) -> None:
        self.target = target
        self._ending = ending_of(target)
        if self._ending == ".parquet":
            transfer_parquet.check_installed()
        self._part = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._file: BinaryIO | None = None
        noted = read_sidecar(self._note)
        if target.exists() and not resume:
            raise TransferError(_exists(target))
        if noted is not None and not resume:
            raise TransferError(
                f"{self._part} was left by an export that did not end;"
                f" go on with --resume, or remove it and {self._note.name}"
            )
        self._state = _State(wanted) if noted is None else _State.from_dict(noted, self._note)
        kept = self._state.wanted
        if kept.query != wanted.query:
            raise TransferError(
                f"{self._part} is an export of {kept.query!r}; repeat that query to go on with it"
            )
        self.resumed = noted is not None
        self.complete = target.exists()
        if self.complete and self.resumed and not self._state.read:
            raise TransferError(_exists(target))

    @property
    def wanted(self) -> Wanted:
        """What is exported: when gone on with, the times of the first start."""
        return self._state.wanted

    @property
    def events(self) -> int:
        """How many events are written."""
        return self._state.events

    def run(self, store: EventStore, advance: Advance) -> None:
        """Write what is missing, and give the file its name.

        :param advance: called with the number of events that were written since the last call.
        :raises TransferError: it cannot go on now; ``--resume`` will.
        :raises OSError: likewise, such as on a full disk.
        """
        if self.complete:
            if self.resumed:
                self._forget()
            return
        with self._opened() as file:
            if not self._state.read:
                self._read(store, file, advance)
            self._finish()  # while the file is locked

    def _opened(self) -> BinaryIO:
        file = self._part.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise TransferError(f"another process writes {self._part}") from None
        problem = self._problem(file)
        if problem is not None:
            file.close()
            raise TransferError(problem)
        file.truncate(self._state.size_bytes)
        self._save()
        return file

    def _problem(self, file: BinaryIO) -> str | None:
        """Return why an open part must not be gone on with, None when nothing speaks against it."""
        opened = os.fstat(file.fileno())
        if not self._part.exists() or not os.path.samestat(self._part.stat(), opened):
            return f"another process has ended {self._part} just now"
        size_bytes = opened.st_size
        if size_bytes < self._state.size_bytes:
            return (
                f"{self._part} is shorter than {self._note.name} says; remove both and start without --resume"
            )
        if size_bytes and not self.resumed:
            return f"{self._part} is there, and no export has noted that it is its own; remove it or name another file"
        return None

    def _read(self, store: EventStore, file: BinaryIO, advance: Advance) -> None:
        pack = PACKERS[self._ending]
        for events, after in blocks(store, self._state.wanted, self._state.after):
            if events:
                file.write(pack(lines_of(events)))
                file.flush()
                os.fsync(file.fileno())
            state = self._state
            state.size_bytes = os.fstat(file.fileno()).st_size
            state.events += len(events)
            state.after, state.read = after, after is None
            self._save()
            advance(len(events))
        if not self._state.events:  # an empty gzip or Zstandard file is none
            file.write(pack(b""))
            file.flush()
            os.fsync(file.fileno())

    def _finish(self) -> None:
        """Give the file its form and its name; after a kill -9 in between it is done again."""
        whole = self._part
        if self._ending == ".parquet":
            whole = self.target.with_name(self.target.name + ".part.new")
            with self._part.open("rb") as file:
                lines = read_lines(file, str(self._part))
                transfer_parquet.write(whole, (Event.from_bytes(line.raw) for line in lines))
            with whole.open("rb") as file:
                os.fsync(file.fileno())
        if self.target.exists():  # it came while this one was written
            raise TransferError(_exists(self.target))
        whole.replace(self.target)
        sync_directory(self.target.parent)
        self._forget()

    def _save(self) -> None:
        write_sidecar(self._note, self._state.to_dict())

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)  # last: it tells whose the part is


def _exists(target: Path) -> str:
    return f"{target} exists already; remove it or name another file"
