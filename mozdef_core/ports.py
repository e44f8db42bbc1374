"""The abstract drivers: what the core asks of a queue, a store, a scheduler, an input and the casework database."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from mozdef_core.alert import Alert, AlertChange, Occasion
from mozdef_core.event import Event
from mozdef_core.options import Options
from mozdef_core.query.model import Query, Search

OptionsType = TypeVar("OptionsType", bound=Options)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an item came in: the part of ``mozdef.input`` that all items of one request share.

    :param name: name of the entrance, the key of its settings, such as ``events`` or ``syslog``.
    :param kind: ``http``, ``syslog``, ``file``, ...
    :param decoder: which decoder reads the raw bytes: ``json``, ``cef``, or one that an input brings.
    :param endpoint: last part of the address, for HTTP; the application for ``/custom/<application>``.
    :param index: index name that an Elasticsearch client gave.
    :param peer: address of the sender.
    :param token: label of the token used, never its value.
    """

    name: str
    kind: str
    decoder: str = "json"
    endpoint: str | None = None
    index: str | None = None
    peer: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a sender submitted, as it came, with the id that its event will have.

    :param received_us: received time in microseconds since 1970.
    :param sender_id: what identifies it within its entrance (event-format.md section 6.3), or None.
    :param refusal: code and reason when the entrance has refused it and it is only kept as a dead letter.
    :param replay_of: id of the dead letter that it is a replay of, or None.
    :param fields: what the entrance adds to the decoded item where the sender has not set it, by dotted name.
    """

    id: str
    received_us: int
    origin: Origin
    raw: bytes = field(repr=False)
    sender_id: str | None = None
    refusal: tuple[str, str] | None = None
    replay_of: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


class PutResult(NamedTuple):
    """What became of the items of one ``put``: the id of each in order, and how many were repeats.

    A repeat (its sender id was seen from that entrance before) is not stored again; it gets the first one's id.
    """

    ids: Sequence[str]
    duplicates: int


class Delivery(NamedTuple):
    """A batch in the hands of a consumer.

    :param token: what the queue knows it by.
    :param redelivered: whether it may have been delivered before, so that its events may be stored already.
    """

    token: str
    items: Sequence[Item]
    redelivered: bool


class QueueDepth(NamedTuple):
    """How much waits: items, bytes on disk, and the received time of the oldest one (None when empty)."""

    items: int
    size_bytes: int
    limit_bytes: int
    oldest_us: int | None


class Queue(ABC):
    """Where accepted items wait for a worker. What ``put`` has returned for survives ``kill -9`` and power loss.

    Instances may be used from several threads. Several processes may use one queue.
    """

    @abstractmethod
    def put(self, items: Sequence[Item]) -> PutResult:
        """Keep the items, all or none; when this returns they are on stable storage.

        :raises QueueFullError: the limit in bytes is reached.
        :raises QueueUnavailableError: it cannot be written, such as on a full disk.
        """

    @abstractmethod
    def take(self, most: int, wait_s: float) -> list[Delivery]:
        """Take whole batches, oldest first, until they hold at least ``most`` items or no more wait.

        Batches of a consumer that has died come again. What this consumer has taken and neither acknowledged
        nor put back is not given out twice while it lives.

        :param wait_s: how long to wait for the first batch; an empty list after that.
        :raises QueueUnavailableError: it cannot be read.
        """

    @abstractmethod
    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Forget batches whose items are safe elsewhere."""

    @abstractmethod
    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Give batches back, to be delivered again in their old place."""

    @abstractmethod
    def depth(self) -> QueueDepth:
        """Return how much waits, taken but unacknowledged batches included."""

    @abstractmethod
    def close(self) -> None:
        """Give up what this consumer holds and release files and connections."""


class StoreRefusal(NamedTuple):
    """An event that the store cannot take in any form, and why."""

    event: Event
    reason: str


class Page(NamedTuple):
    """One page of a search.

    :param after: cursor for the next page, None on the last one.
    :param complete: False when a limit of time or memory cut the answer short.
    """

    events: Sequence[Event]
    after: str | None
    complete: bool = True


class StoreStatus(NamedTuple):
    """What the health page says about a store."""

    engine: str
    events: int
    size_bytes: int
    days: Mapping[str, int]


class EventStore(ABC):
    """Where events are kept for search. A process opens it as the writer or as a reader."""

    @abstractmethod
    def write(self, events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        """Store events; when this returns they are on stable storage and can be found by every reader soon.

        A document that the engine refuses is tried again with its details as one string under
        ``details.fallback``; what is still refused is returned.

        :param maybe_known: some may be stored already (a redelivered batch); those are left as they are.
        :raises StoreUnavailableError: nothing of this call counts as stored; call again.
        """

    @abstractmethod
    def known(self, ids: Iterable[str]) -> set[str]:
        """Return those of the ids that are stored."""

    @abstractmethod
    def get(self, event_id: str) -> Event | None:
        """Return one event, or None."""

    @abstractmethod
    def search(self, search: Search) -> Page:
        """Return one page of events in the order asked for.

        :raises QueryError: the query has no meaning or cannot be answered exactly.
        """

    @abstractmethod
    def count(self, query: Query, between: tuple[int | None, int | None] = (None, None)) -> int:
        """Return how many events match, exactly."""

    @abstractmethod
    def between_ids(self, first: str, last: str) -> Iterator[Event]:
        """Yield the events with ids from ``first`` to ``last``, both included, in the order of their ids."""

    @abstractmethod
    def refresh(self) -> None:
        """Make what other processes have written until now visible to this one."""

    @abstractmethod
    def status(self) -> StoreStatus:
        """Return size and contents."""

    @abstractmethod
    def retention_classes(self) -> Sequence[str]:
        """Return the retention classes that stored events have."""

    @abstractmethod
    def drop_before(self, day: str, retention_class: str = "default") -> int:
        """Remove every partition of the class whose day of reception is before ``day`` (``YYYY-MM-DD``).

        :returns: how many partitions went.
        """

    @abstractmethod
    def close(self) -> None:
        """Release files and connections."""


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
    :param attempt: 1 at the first try.
    """

    key: str
    alert: Alert
    occasion: Occasion
    plugin: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of a task (detections.md part F).

    :param outcome: ``retry`` puts it back until ``due_us``.
    :param text: a sentence for the alert's history.
    :param change: what the plugin adds to the alert.
    """

    outcome: Literal["done", "skipped", "failed", "retry"]
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


class Scheduler(ABC):
    """Runs jobs again and again, each in its own thread, one failing or slow job not holding up another."""

    @abstractmethod
    def every(self, interval: timedelta, name: str, job: Callable[[], None]) -> None:
        """Run a job at this interval; a run that takes longer than the interval delays only its own next one."""

    @abstractmethod
    def run(self, stop: threading.Event) -> None:
        """Run the jobs until ``stop`` is set, then let those under way finish."""


class Intake(ABC):
    """What an input hands its items to: the queue, with ids, limits and counting taken care of."""

    @abstractmethod
    def put(
        self,
        raw: Sequence[bytes],
        *,
        peer: str | None = None,
        sender_ids: Sequence[str | None] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> PutResult:
        """Keep what was received now; when this returns the items are on stable storage.

        :param raw: the items as received, each to be read by the input's decoder.
        :param fields: what the entrance knows about all of them (event-format.md section 3, column "adds").
        :raises QueueError: nothing was kept; stop reading for ``retry_after_s`` and try again.
        """

    @abstractmethod
    def lost(self, count: int, reason: str) -> None:
        """Count what had to be given up before it could be read, such as a datagram that was cut short."""


class Input(ABC, Generic[OptionsType]):
    """Something that listens or polls, found in the entry point group ``mozdef.inputs`` and run in the worker.

    :param options: the table ``[input.<name>]`` of the configuration.
    """

    Options: ClassVar[type[Options]]
    kind: ClassVar[str]
    decoder: ClassVar[str] = "json"

    def __init__(self, options: OptionsType) -> None:
        self.options = options

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        """Read one raw item into what the normaliser takes; called in the worker, for the input's own decoder name.

        Pure: no I/O and no memory between items.

        :raises InvalidItemError: it cannot be understood; it becomes a dead letter.
        """
        raise NotImplementedError

    @abstractmethod
    def run(self, intake: Intake, stop: threading.Event) -> None:
        """Listen or poll until ``stop`` is set, then finish what was received and return.

        :raises Exception: the worker logs it, says so on the health page, and starts the input again with back-off.
        """

    def bind(self) -> None:
        """Open sockets or files before the worker reports ready, so that a port in use is found at start.

        :raises OSError: with the address in its text.
        """
