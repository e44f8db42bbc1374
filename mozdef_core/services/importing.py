"""The import: events from files of an export go through the queue to the worker, which stores them as they were."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

from mozdef_core.errors import InvalidItemError, QueueFullError, QueueUnavailableError
from mozdef_core.event import Event, isoformat, now_us
from mozdef_core.ports import EventStore, Queue
from mozdef_core.services import transfer_parquet
from mozdef_core.services.backfill import as_item, read_event
from mozdef_core.services.transfer import TransferError, read_sidecar, write_sidecar
from mozdef_core.services.transfer_files import PARQUET, Line, read_lines
from mozdef_core.settings import RetentionSettings

BATCH: Final = 2_000
_BATCH_BYTES: Final = 8 << 20
BACKLOG: Final = 20_000
"""So many items may wait: an import stays behind the events of the present instead of filling the queue."""
MOST_ERRORS: Final = 100
_STRANGE: Final = 1_000
"""A file whose first lines are all wrong is none of ours; so many are read before that is said."""
_PAUSE_S: Final = 0.2
_TRIES: Final = 50

Advance = Callable[[int], None]


@dataclass(slots=True)
class Outcome:
    """What became of the lines of a file.

    :param queued: events that the queue has taken.
    :param known: events that were stored already.
    :param rejected: lines that are no event.
    :param expired: events, among those queued, that retention removes again: their days are over.
    """

    queued: int = 0
    known: int = 0
    rejected: int = 0
    expired: int = 0

    def plus(self, other: Outcome) -> Outcome:
        """Return the sum of two."""
        return Outcome(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(slots=True)
class _Position:
    """How far the import of a file has got.

    :param line: number of the last line that is done with.
    """

    size: int
    changed_ns: int
    line: int = 0
    ended: bool = False
    outcome: Outcome = field(default_factory=Outcome)


class Positions:
    """Remembers in a directory how far each file has got, so that an import can be gone on with after a kill -9."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: set[Path] = set()

    def read(self, file: Path) -> _Position | None:
        """Return how far a file has got, None where nothing is known.

        :raises TransferError: it is not the file any more that it was.
        """
        path = self._path(file)
        document = read_sidecar(path)
        if document is None:
            return None
        self._written.add(path)
        try:
            position = _Position(**{**document, "outcome": Outcome(**document["outcome"])})
        except (KeyError, TypeError):
            raise TransferError(f"{path} is of another version; start without --resume") from None
        fresh = new_position(file)
        if (fresh.size, fresh.changed_ns) != (position.size, position.changed_ns):
            raise TransferError(
                f"{file} has changed since; start without --resume: what is stored is not stored twice"
            )
        return position

    def write(self, file: Path, position: _Position) -> None:
        """Remember how far a file has got."""
        path = self._path(file)
        self._directory.mkdir(parents=True, exist_ok=True)
        write_sidecar(path, asdict(position))
        self._written.add(path)

    def forget(self) -> None:
        """Forget the files of this import."""
        for path in self._written:
            path.unlink(missing_ok=True)

    def _path(self, file: Path) -> Path:
        digest = blake2b(bytes(file.resolve()), digest_size=16).hexdigest()
        return self._directory / f"{digest}.json"


def new_position(file: Path) -> _Position:
    """Return the beginning of a file."""
    status = file.stat()
    return _Position(status.st_size, status.st_mtime_ns)


class Import:
    """Puts the events of files into the queue, in batches, as fast as the worker stores them.

    :param store: is asked which events are stored already, so that they need not go through the queue.
    :param working: says whether a worker runs.
    :param positions: None where a file cannot be gone on with.
    """

    def __init__(
        self,
        queue: Queue,
        store: EventStore,
        retention: RetentionSettings,
        working: Callable[[], bool],
        positions: Positions,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._queue = queue
        self._store = store
        self._retention = retention
        self._working = working
        self._positions = positions
        self._sleep = sleep
        self._days: dict[str, str | None] = {}
        self.done = Outcome()
        self.errors: list[dict[str, Any]] = []
        self.per_code: Counter[str] = Counter()

    def file(self, path: Path, advance: Advance, *, resume: bool) -> None:
        """Import one file.

        :param advance: called with how many bytes of the file were read since the last call.
        :param resume: go on where an interrupted import has stopped.
        :raises TransferError: it cannot go on; what to do is in the sentence.
        """
        position = (self._positions.read(path) if resume else None) or new_position(path)
        self.done = self.done.plus(position.outcome)
        if not position.ended:
            with _opened(path) as (lines, told):
                self._lines(lines, path, position, _steps(told, advance))
        else:
            advance(position.size)

    def stream(self, file: BinaryIO, advance: Advance) -> None:
        """Import what comes in at a pipe; it cannot be gone on with, but begun again."""
        lines = read_lines(file, "standard input")
        self._lines(lines, None, _Position(0, 0), lambda: advance(0))

    def _lines(
        self, lines: Iterable[Line], path: Path | None, position: _Position, step: Callable[[], None]
    ) -> None:
        name = str(path) if path is not None else "standard input"
        begun = position.line
        for batch in _batches(line for line in lines if line.number > begun):
            outcome = self._batch(batch, name)
            position.outcome = position.outcome.plus(outcome)
            position.line = batch[-1].number
            self.done = self.done.plus(outcome)
            if path is not None:
                self._positions.write(path, position)
            step()
            seen = position.outcome
            if seen.rejected >= _STRANGE and not seen.queued and not seen.known:
                raise TransferError(
                    f"{name}: none of its first {seen.rejected} lines is an event that 'mozdef export' wrote;"
                    " other logs go through 'mozdef send'"
                )
        position.ended = True
        if path is not None:
            self._positions.write(path, position)
        step()

    def _batch(self, lines: list[Line], name: str) -> Outcome:
        """Put what is new of a batch into the queue; when this returns it is on stable storage."""
        at_us = now_us()
        events: dict[str, Event] = {}
        rejected = twice = 0
        for line in lines:
            try:
                if line.wrong is not None:
                    raise line.wrong
                event = read_event(line.raw, at_us)
            except InvalidItemError as error:
                rejected += 1
                self._reject(name, line.number, error)
            else:
                twice += event.id in events
                events.setdefault(event.id, event)
        known = self._store.known(events)
        fresh = [event for event_id, event in events.items() if event_id not in known]
        self._put(fresh, at_us)
        expired = sum(map(self._expired, fresh))
        return Outcome(len(fresh), len(known) + twice, rejected, expired)

    def _reject(self, name: str, number: int, error: InvalidItemError) -> None:
        self.per_code[error.code] += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append({"file": name, "line": number, "code": error.code, "reason": error.reason})

    def _put(self, events: list[Event], at_us: int) -> None:
        if not events:
            return
        items = [as_item(event, at_us) for event in events]
        refusal = ""
        for _ in range(_TRIES):
            self._wait_for_room()
            try:
                self._queue.put(items)
            except QueueFullError as error:
                refusal = str(error)
            except QueueUnavailableError as error:
                refusal = str(error)
            else:
                return
            self._sleep(5 * _PAUSE_S)
        raise TransferError(f"the queue takes nothing: {refusal}")

    def _wait_for_room(self) -> None:
        """Return when little waits; or, while no worker runs, as long as the queue is not half full."""
        looks = 0
        while True:
            depth = self._queue.depth()
            if depth.items < BACKLOG:
                return
            if looks % 25 == 0 and not self._working():
                if depth.size_bytes < depth.limit_bytes // 2:
                    return
                raise TransferError(
                    "no worker runs and half of the queue is full; start 'mozdef serve' or 'mozdef worker'"
                )
            looks += 1
            self._sleep(_PAUSE_S)

    def _expired(self, event: Event) -> bool:
        """Return whether retention removes an event again, because its day of reception is too far back."""
        name = event.text("mozdef.retention", "default") or "default"
        if name not in self._days:
            kept = self._retention.keep(name)
            back_us = None if kept is None else int(kept.total_seconds() * 1_000_000)
            self._days[name] = None if back_us is None else isoformat(now_us() - back_us)[:10]
        first = self._days[name]
        return first is not None and event.text("receivedtimestamp") < first


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    part: list[Line] = []
    held = 0
    for line in lines:
        part.append(line)
        held += len(line.raw)
        if len(part) == BATCH or held >= _BATCH_BYTES:
            yield part
            part, held = [], 0
    if part:
        yield part


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Iterator[Line], Callable[[], int]]]:
    """Lend the lines of a file, and a function that says how many of its bytes are read."""
    with path.open("rb") as file:
        if file.peek(4)[:4] == PARQUET:
            transfer_parquet.check_installed()
            yield _parquet(path)
        else:
            yield read_lines(file, str(path)), file.tell


def _parquet(path: Path) -> tuple[Iterator[Line], Callable[[], int]]:
    rows, size = max(transfer_parquet.count_rows(path), 1), path.stat().st_size
    last = 0

    def counted() -> Iterator[Line]:
        nonlocal last
        for line in transfer_parquet.read(path):
            last = line.number
            yield line

    return counted(), lambda: size * last // rows


def _steps(told: Callable[[], int], advance: Advance) -> Callable[[], None]:
    """Return what reports the bytes that were read since it was called last."""
    before = 0

    def step() -> None:
        nonlocal before
        now = told()
        advance(now - before)
        before = now

    return step
