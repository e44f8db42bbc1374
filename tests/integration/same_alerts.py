"""Rules and events made up, the three ways to run a rule over them, and what one plain pass finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from sqlalchemy import select

from mozdef_core.alert import Alert, Moment, weight
from mozdef_core.casework import records
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.models import AlertRow
from mozdef_core.detection import Detector, Runner, Scheduled
from mozdef_core.detection.stream import Conditions, EventsWindow
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.errors import QueueUnavailableError
from mozdef_core.event import Event
from mozdef_core.exemptions import Exemption, Exemptions
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.normalise import Normaliser, parse_json
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import AlertBook, BatchRecord, EventStore, Item, Origin
from mozdef_core.query.model import Query, Term
from mozdef_core.rules import AggregationRule, EventRule, Group, Rule, RuleOptions, SequenceRule, Step
from mozdef_core.rules.grouped import GroupedRule
from mozdef_core.services.backtest import backtest
from mozdef_core.services.worker import Worker
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock
from mozdef_core.walk import GROUP_MAX

Results = set[tuple[str, frozenset[str]]]
"""Of each alert the group and the events that it has consumed."""

NAME: Final = "r"
FAILED: Final = Term("details.result", "failed")
_GROUP_MAX_US: Final = GROUP_MAX // timedelta(microseconds=1)
_ORIGIN: Final = Origin("events", "http")
_LEASE_US: Final = 150 * SECOND


@dataclass(frozen=True)
class Spec:
    """What a rule is like; times in units.

    :param by: grouping fields; of an event rule those of ``suppress_by``.
    :param steps: occurrences of each step of a sequence.
    :param hosts: how many distinct hosts an aggregation wants.
    :param excepted: between which units an exception for host ``c`` is in force, if there is one.
    """

    kind: Literal["event", "aggregation", "sequence"]
    by: tuple[str, ...]
    unit_us: int
    window: int = 1
    threshold: int = 1
    hosts: int = 1
    steps: tuple[int, ...] = ()
    ordered: bool = True
    group_for: int | None = None
    staged: bool = False
    excepted: tuple[int, int] | None = None

    def span(self, units: int) -> timedelta:
        """Return so many units as a span of time."""
        return timedelta(microseconds=units * self.unit_us)

    @property
    def since_us(self) -> int:
        """Return from when on the rule is responsible; no event is older."""
        return START_US - 60 * self.unit_us

    @property
    def group_us(self) -> int:
        """How long after its last event an alert is extended."""
        default = 0 if self.kind == "event" else self.window
        return (default if self.group_for is None else self.group_for) * self.unit_us

    def rule(self) -> Rule[Any]:
        """Return a new rule."""
        options: dict[str, Any] = {"mode": "staged" if self.staged else "live"}
        if self.group_for is not None:
            options["group_for"] = self.span(self.group_for)
        members: dict[str, Any] = {"by": self.by, "window": self.span(self.window)}
        if self.kind == "event":
            members = {"query": FAILED}
            options["suppress_by"] = list(self.by)
        elif self.kind == "aggregation":
            having = {"details.host": self.hosts} if self.hosts > 1 else {}
            members |= {"query": FAILED, "threshold": self.threshold, "having": having}
            if len(self.by) == 1:
                members["by"] = self.by[0]
        else:
            results = ("failed", "opened", "closed")
            steps = [Step(Term("details.result", results[n]), least) for n, least in enumerate(self.steps)]
            members |= {"steps": steps, "ordered": self.ordered}
        bases: dict[str, Any] = {"event": Each, "aggregation": Many, "sequence": InTurn}
        base = bases[self.kind]
        rule: Any = type("Made", (base,), members)
        return rule(rule.Options(**options))  # type: ignore[no-any-return]

    @property
    def queries(self) -> Sequence[Query]:
        """What an event must match, one of them."""
        return [FAILED] if self.kind != "sequence" else [step.query for step in self._asked.steps]

    @cached_property
    def _asked(self) -> Any:
        """A rule that is only asked."""
        return self.rule()

    def exemptions(self) -> Exemptions:
        """Return the exceptions."""
        found = Exemptions()
        if self.excepted is not None:
            begin_us, end_us = (START_US + units * self.unit_us for units in self.excepted)
            found.replace([Exemption("e1", "rule", NAME, "details.host:c", begin_us, end_us)])
        return found

    def relevant(self, events: Collection[Event]) -> list[Event]:
        """Return the events that the rule is to see, in the order in which it looks at them."""
        conditions = Conditions()
        tests = [conditions(query) for query in self.queries]
        stays: Callable[[Event], bool] = self.exemptions()(NAME) or (lambda _: True)
        found = [event for event in events if any(test(event) for test in tests) and stays(event)]
        return sorted(found, key=Moment.of)

    def groups(self, event: Event) -> Collection[str]:
        """Return the groups of an event."""
        rule = self._asked
        if isinstance(rule, GroupedRule):
            return set(rule.expand(event))
        return {",".join(rule.value(event, path) for path in self.by)}


class Each(EventRule[RuleOptions]):
    """One event."""

    def summary(self, event: Event) -> str:
        """Return one line."""
        return "one"


class Many(AggregationRule[AggregationRule.Options]):
    """Several events."""

    def summary(self, group: Group) -> str:
        """Return one line."""
        return f"{group.count} of {group.key}"


class InTurn(SequenceRule[SequenceRule.Options]):
    """Several steps."""

    def summary(self, group: Group) -> str:
        """Return one line."""
        return f"{group.count} of {group.key}"


# What one pass over everything finds


def one_pass(spec: Spec, events: Collection[Event]) -> Results:
    """Return what the specification says, as plainly as it does; of a sequence what the walk says by itself."""
    relevant = spec.relevant(events)
    if spec.kind == "sequence":
        rule: Any = spec.rule()
        alerts = rule.alert_match(window=EventsWindow(relevant, Conditions()))
        return consumed_by(alerts, spec, relevant)
    groups = {event.id: spec.groups(event) for event in relevant}
    results: Results = set()
    for value in sorted({value for values in groups.values() for value in values}):
        mine = [event for event in relevant if value in groups[event.id]]
        results |= {(value, frozenset(event.id for event in one)) for one in _of_group(spec, mine)}
    return results


def _of_group(spec: Spec, mine: Sequence[Event]) -> Iterator[list[Event]]:
    present: list[Event] = []
    waiting: list[Event] = []
    window_us = spec.window * spec.unit_us if spec.kind == "aggregation" else 0
    for event in mine:
        us = event.detection_us
        near = present and us - present[-1].detection_us <= spec.group_us
        if near and spec.group_us and us - present[0].detection_us <= _GROUP_MAX_US:
            present.append(event)
            continue
        waiting = [other for other in waiting if us - other.detection_us <= window_us] + [event]
        hosts = {host for other in waiting for host in other.values("details.host") if host is not None}
        enough = sum(map(weight, waiting)) >= spec.threshold and (spec.hosts <= 1 or len(hosts) >= spec.hosts)
        if spec.kind == "event" or enough:
            if present:
                yield present
            present = [event] if spec.kind == "event" else waiting
            waiting = []
    if present:
        yield present


def consumed_by(alerts: Collection[Alert], spec: Spec, events: Collection[Event]) -> Results:
    """Return the group of each alert and the events that lie in its span."""
    results: Results = set()
    for alert in alerts:
        value = alert.group[1] if alert.group else ""
        inside = [event for event in spec.relevant(events) if alert.first <= Moment.of(event) <= alert.last]
        results.add((value, frozenset(event.id for event in inside if value in spec.groups(event))))
    return results


# Where rules are run


@dataclass
class Place:
    """A store and a book, in memory or on a disk.

    :param root: an empty folder; None for memory.
    :param template: an empty casework database.
    """

    clock: Clock = field(default_factory=Clock)
    root: Path | None = None
    template: Path | None = None

    def __post_init__(self) -> None:
        self.store: EventStore
        self.book: AlertBook
        if self.root is None or self.template is None:
            self.store, self.book = MemoryStore(), MemoryBook(clock=self.clock)
            return
        self.root.mkdir()
        shutil.copy(self.template, self.root / "casework.db")
        self.store = TantivyStore(TantivyStore.Options(heap_mb=15), self.root / "events", "writer")
        self.book = SqlBook(f"sqlite:///{self.root / 'casework.db'}", clock=self.clock)

    def alerts(self) -> list[Alert]:
        """Return all alerts."""
        if isinstance(self.book, MemoryBook):
            return list(self.book.alerts.values())
        assert isinstance(self.book, SqlBook)
        with self.book.database.read() as session:
            return records.read(session, list(session.scalars(select(AlertRow.id))))

    def events(self) -> list[Event]:
        """Return all events that are stored."""
        self.store.refresh()
        return list(self.store.between_ids("0", "Z" * 26))

    def close(self) -> None:
        """Close what is on a disk."""
        self.store.close()
        if isinstance(self.book, SqlBook):
            self.book.close()


class KilledError(BaseException):
    """The process was killed."""


class Schedule:
    """A rule that is run on a schedule; each run may be the last of its process."""

    def __init__(self, spec: Spec, place: Place) -> None:
        self.spec, self.place = spec, place
        place.clock.us = spec.since_us
        self.restart()
        self.run()  # from now on the rule is responsible

    def restart(self) -> None:
        """Go on in another process."""
        plugin = Plugin(NAME, self.spec.rule())
        host = Host([plugin], Health(Limits(failures=10**9)))
        self.scheduled = Scheduled.of(plugin, lambda us: us + MINUTE)
        place = self.place
        self.runner = Runner(
            host, place.store, place.book, excepted=self.spec.exemptions(), clock=place.clock
        )

    def arrive(self, events: Sequence[Event]) -> None:
        """Do what a worker does: the store first, then the journal; nothing arrives before it was received."""
        if events:
            self.place.clock.us = max(self.place.clock.us, *(event.received_us for event in events))
            self.place.store.write(events)
            minutes = (event.detection_us // MINUTE for event in events)
            self.place.book.record(BatchRecord(arrivals=dict.fromkeys(minutes, 1)))

    def wait(self, us: int) -> None:
        """Let time pass."""
        self.place.clock.us += us

    def run(self) -> None:
        """Run the rule until it has nothing more to do."""
        while self.runner.run(self.scheduled) == timedelta(0):
            pass

    def die(self, when: str) -> None:
        """Run the rule in a process that is killed before, or after, it has written what it found."""
        book: Any = self.place.book
        finish = book.finish

        def killed(*arguments: Any) -> Any:
            if when == "after":
                finish(*arguments)
            raise KilledError

        with replaced(book, finish=killed, release=lambda _lease: None):
            try:
                self.run()
            except KilledError:
                self.wait(0 if when == "after" else _LEASE_US)
        self.restart()

    def end(self) -> None:
        """Let the lease of a dead process end, and run a last time."""
        for _ in range(2):
            self.wait(_LEASE_US + MINUTE)
            self.run()


class Stream:
    """A rule that looks at events as they arrive, in a worker that is killed now and then."""

    def __init__(self, spec: Spec, place: Place) -> None:
        self.spec, self.place = spec, place
        self.queue = MemoryQueue(MemoryQueue.Options())
        self.restart()

    def restart(self) -> None:
        """Go on in another process."""
        self.rule = self.spec.rule()
        host = Host([Plugin(NAME, self.rule)], Health(Limits(failures=10**9)))
        pipeline = Pipeline(host, Normaliser("node", 1), {"json": parse_json}, {})
        detector = Detector(host, exemptions=self.spec.exemptions())
        self.worker = Worker(self.queue, pipeline, detector, self.place.store, self.place.book)
        self.detector = detector

    def send(self, events: Sequence[Event]) -> None:
        """Put events into the queue, as their sender wrote them."""
        items = [Item(event.id, event.received_us, _ORIGIN, _sent(event)) for event in events]
        if items:
            self.queue.put(items)

    def work(self, most: int, fate: str) -> None:
        """Take about so many events and lead them through, as far as the worker lives.

        :param fate: ``well``, or after what it is killed: ``processed``, ``stored`` or ``recorded``.
        """
        deliveries = self.queue.take(most, 0)
        if not deliveries:
            return
        work = self.worker.process(deliveries)
        if fate == "stored":
            self.place.store.write(work.events, maybe_known=work.maybe_known)
        elif fate == "recorded":
            queue: Any = self.queue
            with replaced(queue, acknowledge=_unavailable), suppress(QueueUnavailableError):
                self.worker.commit(work)
        elif fate == "well":
            self.worker.commit(work)
            return
        self.queue.put_back(deliveries)
        self.restart()

    def fail(self, most: int) -> None:
        """Lead some deliveries through while the rule does not work; they are owed to it."""
        with replaced(self.rule, summary=_broken):
            self.work(most, "well")

    def settle(self) -> None:
        """Run the rule over what is owed to it."""
        self.place.store.refresh()
        while self.detector.run_owed(self.place.store, self.place.book, 1 << 62, batch=3):
            pass

    def end(self) -> None:
        """Lead through what is left."""
        while self.queue.depth().items:
            self.work(10, "well")
        self.settle()


def _sent(event: Event) -> bytes:
    body = {name: value for name, value in event.body.items() if name != "receivedtimestamp"}
    return orjson.dumps(body)


def _unavailable(_deliveries: Any) -> None:
    raise QueueUnavailableError("the process was killed")


def _broken(_event: Event) -> str:
    raise KeyError("user")


@contextmanager
def replaced(owner: Any, **members: Any) -> Iterator[None]:
    """Have other methods for a while."""
    for name, member in members.items():
        setattr(owner, name, member)
    try:
        yield
    finally:
        for name in members:
            delattr(owner, name)


def over_history(spec: Spec, store: EventStore, until_us: int) -> list[Alert]:
    """Return what a backtest finds in all that is stored."""
    done = backtest(
        Plugin(NAME, spec.rule()),
        store,
        spec.since_us,
        until_us,
        listened=lambda _start, _end: (),
        excepted=spec.exemptions(),
    )
    assert not done.problems
    return list(done.alerts)
