"""The book port: what detection and response write into the casework database."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple

from mozdef_core.alert import Alert, AlertChange, Occasion
from mozdef_core.event import LATE_HORIZON_S
from mozdef_core.ports.ledger import Ledger
from mozdef_core.ports.queue import Origin

RAW_LIMIT_BYTES: Final = 1 << 20
"""A dead letter keeps so many bytes of what was received."""

PRUNE_STEP: Final = 1_000
"""At most so many rows of each kind go in one step of :meth:`AlertBook.prune`."""

CATCH_UP_MAX: Final = timedelta(days=7)
"""Intervals that a rule has missed are run later if they are not older than this (DESIGN.md section 5)."""


class OwedSpan(NamedTuple):
    """A range of event ids that a stream rule has not seen and must be run over (DESIGN.md section 5)."""

    rule: str
    first: str
    last: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that could not become a stored event (event-format.md section 4.3).

    :param stage: ``parse``, ``normalise``, ``map`` or ``store``.
    :param code: machine code; ``reason`` is a sentence that names the field, the plugin or the position.
    :param raw: the bytes as received; what is given beyond 1 MiB is cut off here, and only here.
    :param received_bytes: how many bytes were received where ``raw`` has been cut; None where it is all. The length
        of ``raw`` stands for: perhaps more, since the entrance cut it, or a version that did not note how many.
    """

    id: str
    received_us: int
    origin: Origin
    stage: Literal["parse", "normalise", "map", "store"]
    code: str
    reason: str
    raw: bytes = field(repr=False)
    plugin: str | None = None
    attempts: int = 1
    status: Literal["open", "replayed", "discarded"] = "open"
    replayed_as: Sequence[str] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    sender_id: str | None = None
    received_bytes: int | None = None

    def __post_init__(self) -> None:
        """Cut what is too long, and remember how long it was."""
        if len(self.raw) > RAW_LIMIT_BYTES:
            object.__setattr__(self, "received_bytes", len(self.raw))
            object.__setattr__(self, "raw", self.raw[:RAW_LIMIT_BYTES])


class StateDocument(NamedTuple):
    """A document that replaces its predecessor of the same collection and id unless that one is newer."""

    collection: str
    id: str
    time_us: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """All that one worker batch leaves in the casework database, written in one transaction.

    :param arrivals: number of events per minute of detection time (minutes since 1970).
    :param received_minute: minute of processing, for the stream's ledger.
    :param alerts: what the stream rules found.
    :param owed: what they could not look at.
    :param replayed: dead letter id -> ids of the events that came out of it.
    """

    arrivals: Mapping[int, int] = field(default_factory=dict)
    alerts: Sequence[Alert] = ()
    owed: Sequence[OwedSpan] = ()
    dead_letters: Sequence[DeadLetter] = ()
    states: Sequence[StateDocument] = ()
    replayed: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Task(NamedTuple):
    """One due entry of the outbox: one action plugin, for one alert, on one occasion.

    :param key: what identifies it, the same at each attempt: receivers use it to recognise repeats.
    :param attempt: 1 at the first try; attempts that were postponed are not counted.
    :param since_us: when it first could have been taken, microseconds since 1970.
    :param together_us: of a task that was tried before: tasks of a plugin that were tried together, in one message,
        have the same number here. None at the first try.
    :param unsure: nobody has said what became of a try: its process died, perhaps after the message had gone.
    """

    key: str
    alert: Alert
    occasion: Occasion
    plugin: str
    attempt: int
    since_us: int = 0
    together_us: int | None = None
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of a task (detections.md part F).

    :param outcome: ``retry`` puts it back until ``due_us``; so does ``postponed``, for a plugin that was not even
        called, and the attempt does not count.
    :param text: a sentence for the alert's history; one put back without a text leaves the alert's errors alone.
    :param change: what the plugin adds to the alert.
    """

    outcome: Literal["done", "skipped", "failed", "retry", "postponed"]
    text: str = ""
    due_us: int | None = None
    change: AlertChange | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """How long the book keeps what is of no use later; None is for ever. Alerts and their history always stay.

    :param events: how long the class of events that is kept longest is kept, from reception on.
    :param open_letters: how long a dead letter is kept from reception on that nobody has dealt with;
        ``settled_letters`` likewise, one that was replayed or discarded.
    :param letters_bytes: how much all dead letters together may take.
    """

    events: timedelta | None
    open_letters: timedelta | None = timedelta(days=30)
    settled_letters: timedelta | None = timedelta(days=30)
    letters_bytes: int = 1 << 30

    @property
    def seen(self) -> timedelta:
        """How long the ledger knows from an event's detection time on that a state rule has dealt with it.

        Events that are older when they arrive re-open nothing (A3.9), and a run is late by ``catch_up_max`` at most.
        """
        return timedelta(days=1, seconds=LATE_HORIZON_S) + CATCH_UP_MAX

    @property
    def journal(self) -> timedelta | None:
        """How far back from now the arrival journal and the minutes of listening may still be asked for.

        A rule looks back over its window, which is never longer than events are kept (detections.md A6), from
        the start of an interval. That interval is at most ``catch_up_max`` old when a rule runs late, and it may
        have been re-opened by an event that arrived ``late_horizon`` after it happened. So the sum of the three
        covers every rule, whichever are enabled. What is replayed or imported beyond it re-opens nothing (A3.9).
        """
        late = timedelta(seconds=LATE_HORIZON_S)
        return None if self.events is None else self.events + late + CATCH_UP_MAX

    @property
    def spans(self) -> timedelta | None:
        """How long the span of an alert is kept after the alert was closed.

        A closed span consumes only events that were received before its closing (A3.8). Events go by whole days
        of reception, a little after their time is up: two days more than they are kept, and none is left.
        """
        return None if self.events is None else self.events + timedelta(days=2)


class Pruned(NamedTuple):
    """How many rows were removed of each kind; ``lost`` are dead letters that nobody had dealt with.

    :param arrivals: minutes of the arrival journal; ``liveness``, minutes in which a part was up.
    :param spans: of closed alerts.
    :param processes: reports of processes that have ended.
    :param letters: dead letters that were replayed or discarded.
    :param intervals: rows of the ledger; ``seen``, events that state rules have dealt with.
    :param rules: what the ledger kept of rules that are gone; ``remembered``, what those remembered.
    """

    arrivals: int = 0
    liveness: int = 0
    spans: int = 0
    processes: int = 0
    letters: int = 0
    lost: int = 0
    intervals: int = 0
    seen: int = 0
    rules: int = 0
    remembered: int = 0

    def plus(self, other: Pruned) -> Pruned:
        """Return the sums."""
        return Pruned(*map(sum, zip(self, other, strict=True)))


class AlertBook(Ledger):
    """The part of the casework database that detection and response write: alerts, spans, ledger, outbox, journal."""

    @abstractmethod
    def record(self, batch: BatchRecord) -> Sequence[Alert]:
        """Write all that a batch leaves, in one transaction, and return the alerts raised or extended by it.

        Writing the same batch again changes nothing: alert ids are minted from the events, an event inside an
        alert's span is consumed already, dead letters and state documents have ids.

        :raises BookUnavailableError: nothing was written.
        """

    @abstractmethod
    def owed_spans(
        self, rules: Collection[str], now_us: int, most: int = 100
    ) -> Sequence[tuple[str, OwedSpan, int]]:
        """Return due spans of these rules, oldest first: the key of each, the span, and how often it has failed."""

    @abstractmethod
    def settle_owed(self, key: str, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Store what a rule found in an owed span and forget the span, in one transaction."""

    @abstractmethod
    def fail_owed(self, key: str, reason: str, due_us: int) -> None:
        """Note that running an owed span failed; it comes again after ``due_us``."""

    @abstractmethod
    def due_tasks(
        self,
        plugins: Sequence[tuple[str, bool]],
        most: int,
        lease_s: float,
        only: Collection[str] | None = None,
    ) -> Sequence[Task]:
        """Take due outbox entries under a lease, oldest first.

        :param plugins: the enabled action plugins in call order, each with whether it enriches. Those run
            first, one after the other in this order; the others of the same alert and occasion follow them.
        :param lease_s: seconds after which an entry that was not settled is given out again.
        :param only: the plugins whose tasks are wanted now, those of others stay where they are; None is all.
        """

    @abstractmethod
    def settle_tasks(self, results: Sequence[tuple[Task, TaskResult]]) -> None:
        """Write down what became of tasks, and apply their changes to the alerts, all in one transaction."""

    def settle_task(self, task: Task, result: TaskResult) -> None:
        """Write down what became of one task; see :meth:`settle_tasks`."""
        self.settle_tasks([(task, result)])

    @abstractmethod
    def prune(self, keep: Keep) -> Pruned:
        """Remove a little of what has been kept long enough, in one short transaction, and say how much it was.

        Call it until nothing was removed, with pauses in which others can write. What is too old goes first; then,
        while dead letters take too much, the oldest of them: first those somebody has dealt with, then open ones,
        and the loss of each of these is counted. Entries of the outbox go when they are done, not here.
        """
