"""The book port: what detection and response write into the casework database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mozdef_core.alert import Alert, AlertChange, Occasion
from mozdef_core.ports.queue import Origin


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
    :param raw: the bytes as received, at most 1 MiB of them.
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
    """

    key: str
    alert: Alert
    occasion: Occasion
    plugin: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of a task (detections.md part F).

    :param outcome: ``retry`` puts it back until ``due_us``; so does ``postponed``, for a plugin that was not even
        called, and the attempt does not count.
    :param text: a sentence for the alert's history.
    :param change: what the plugin adds to the alert.
    """

    outcome: Literal["done", "skipped", "failed", "retry", "postponed"]
    text: str = ""
    due_us: int | None = None
    change: AlertChange | None = None


class AlertBook(ABC):
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
    def due_tasks(self, plugins: Sequence[tuple[str, bool]], most: int, lease_s: float) -> Sequence[Task]:
        """Take due outbox entries under a lease, oldest first.

        :param plugins: the enabled action plugins in call order, each with whether it enriches. Those run
            first, one after the other in this order; the others of the same alert and occasion follow them.
        :param lease_s: seconds after which an entry that was not settled is given out again.
        """

    @abstractmethod
    def settle_task(self, task: Task, result: TaskResult) -> None:
        """Write down what became of a task, and apply its change to the alert, in one transaction."""
