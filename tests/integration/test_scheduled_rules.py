"""Rules on a schedule as a whole: interval by interval they find what one single pass over everything would."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mozdef_core.alert import Alert, Status
from mozdef_core.casework import records, triage
from mozdef_core.casework.audit import Actor
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import upgrade
from mozdef_core.casework.models import AlertRow
from mozdef_core.casework.transitions import Step
from mozdef_core.detection import Runner, Scheduled
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.errors import BookUnavailableError
from mozdef_core.event import Event
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import AlertBook, BatchRecord, EventStore, Outcome, RunState
from mozdef_core.query.model import Term
from mozdef_core.rules import AggregationRule, Group
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at

SEED = 20_261_125


class Guessing(AggregationRule[AggregationRule.Options]):
    """Five failures of one user within two minutes."""

    query = Term("details.result", "failed")
    by = "details.user"
    window = timedelta(minutes=2)
    threshold = 5

    def summary(self, group: Group) -> str:
        return f"{group.count} failures of {group.key}"


class Site:
    """A store and a book with a clock, and as many runners of one rule as a test asks for."""

    def __init__(self, store: EventStore, book: AlertBook, clock: Clock) -> None:
        self.store, self.book, self.clock = store, book, clock
        self.rule = Guessing(Guessing.Options())
        self.runner, self.scheduled = self.another()
        self.runner.run(self.scheduled)  # from now on the rule is responsible

    def another(self) -> tuple[Runner, Scheduled]:
        """Return the runner of another process."""
        plugin = Plugin("guessing", self.rule)
        host = Host([plugin], Health(Limits(failures=10**9)))
        scheduled = Scheduled.of(plugin, lambda us: us + MINUTE)
        return Runner(host, self.store, self.book, clock=self.clock), scheduled

    def arrive(self, events: Sequence[Event]) -> None:
        """Do what a worker does: the store first, then the journal."""
        if events:
            self.store.write(events)
            self.store.refresh()
            self.book.record(
                BatchRecord(arrivals=dict.fromkeys((event.detection_us // MINUTE for event in events), 1))
            )

    def until(self, seconds: float) -> None:
        """Let it be so many seconds after the start."""
        self.clock.us = max(self.clock.us, START_US + int(seconds * SECOND))

    def run(self) -> None:
        """Run the rule until it has nothing more to do."""
        while self.runner.run(self.scheduled) == timedelta(0):
            pass

    @property
    def alerts(self) -> list[tuple[str, str, int, int]]:
        """User, first event, seconds from the first to the last, and count, of each alert."""
        return sorted(shape(alert) for alert in read(self.book))


def read(book: AlertBook) -> list[Alert]:
    if isinstance(book, MemoryBook):
        return list(book.alerts.values())
    assert isinstance(book, SqlBook)
    with book.database.read() as session:
        return records.read(session, list(session.scalars(select(AlertRow.id))))


def shape(alert: Alert) -> tuple[str, str, int, int]:
    assert alert.group is not None
    return alert.group[1], alert.first.id, (alert.last.us - alert.first.us) // SECOND, alert.count


@pytest.fixture(params=["memory", "embedded"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Site]]:
    """Return what opens a new and empty site, its clock at the start."""
    to_close: list[Any] = []

    def make() -> Site:
        clock = Clock()
        if request.param == "memory":
            return Site(MemoryStore(), MemoryBook(clock=clock), clock)
        place = tmp_path / str(len(to_close))
        place.mkdir()
        url = f"sqlite:///{place / 'casework.db'}"
        upgrade(url)
        store, book = (
            TantivyStore(TantivyStore.Options(), place / "events", "writer"),
            SqlBook(url, clock=clock),
        )
        to_close.extend((store, book))
        return Site(store, book, clock)

    yield make
    for one in to_close:
        one.close()


def history(seed: int, *, length_s: int = 1_500, number: int = 120) -> list[Event]:
    """Return events of three users, in the order in which they happened, in bursts and quiet times."""
    drawn = random.Random(seed)
    events, now_s = [], 0.0
    for ordinal in range(number):
        now_s += drawn.choice((0, 0, 1, 5, 17, 40))
        if now_s >= length_s:
            break
        user = drawn.choice(("ines", "joe", "kim"))
        result = drawn.choice(("failed", "failed", "failed", "accepted"))
        events.append(event_at(now_s, name=f"{ordinal:04d}", user=user, result=result))
    return events


def one_pass(
    opened: Callable[[], Site], events: Sequence[Event], end_s: float
) -> list[tuple[str, str, int, int]]:
    """Return what a single run over everything finds."""
    site = opened()
    site.arrive(events)
    site.until(end_s)
    site.run()
    assert site.alerts
    return site.alerts


@pytest.mark.parametrize("seed", [SEED, SEED + 1, SEED + 2])
def test_interval_by_interval_is_what_one_pass_finds(opened: Callable[[], Site], seed: int) -> None:
    events, site, drawn = history(seed), opened(), random.Random(seed)
    sent = 0
    for now_s in [*sorted(drawn.sample(range(10, 1_600), 25)), 1_700]:
        upto = next(
            (n for n, event in enumerate(events) if event.time_us >= START_US + now_s * SECOND), len(events)
        )
        site.arrive(events[sent:upto])
        sent = upto
        site.until(now_s)
        site.run()
    assert site.alerts == one_pass(opened, events, 1_700)


def test_events_that_arrive_late_are_found_all_the_same(opened: Callable[[], Site]) -> None:
    drawn = random.Random(SEED)
    events, site = history(SEED), opened()
    waiting = [(event.time_us + drawn.choice((0, 0, 1, 90, 400)) * SECOND, event) for event in events]
    for now_s in range(30, 2_400, 45):
        site.until(now_s)
        due = [event for us, event in waiting if us < site.clock.us]
        waiting = [(us, event) for us, event in waiting if us >= site.clock.us]
        site.arrive(due)
        site.run()
    assert not waiting
    found, wanted = site.alerts, one_pass(opened, events, 2_400)
    assert {alert[0] for alert in found} == {alert[0] for alert in wanted}
    for one in found:  # each overlaps one of the other, and what is counted is the same for both (A3.9)
        assert any(overlap(one, other, events) for other in wanted)
    for other in wanted:
        assert any(overlap(one, other, events) for one in found)


def overlap(
    one: tuple[str, str, int, int], other: tuple[str, str, int, int], events: Sequence[Event]
) -> bool:
    at = {event.id: event.time_us // SECOND for event in events}
    return (
        one[0] == other[0] and at[one[1]] <= at[other[1]] + other[2] and at[other[1]] <= at[one[1]] + one[2]
    )


def burst(
    start_s: float, number: int = 5, step_s: float = 10, user: str = "ines", name: str = "b"
) -> list[Event]:
    return [
        event_at(start_s + each * step_s, name=f"{name}{each:03d}", user=user, result="failed")
        for each in range(number)
    ]


def test_a_late_event_that_makes_the_fifth_re_opens_exactly_its_interval(opened: Callable[[], Site]) -> None:
    site = opened()
    events = burst(100)
    site.arrive([*events[:2], *events[3:]])
    for now_s in range(60, 1_000, 60):
        site.until(now_s)
        site.run()
    assert site.alerts == []
    site.arrive(events[2:3])
    site.until(1_000)
    site.run()
    assert site.alerts == [("ines", events[0].id, 40, 5)]
    rows = site.book.intervals("guessing", START_US, START_US + 10**12)
    first_us = events[2].detection_us // MINUTE * MINUTE
    again = [(row.start_us, row.end_us) for row in rows if row.state is RunState.RERUN]
    assert again == [(first_us, first_us + 3 * MINUTE)]


def test_a_process_killed_before_it_has_written_what_it_found_loses_and_doubles_nothing(
    opened: Callable[[], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = opened()
    events = burst(10)
    site.arrive(events)
    site.until(60)
    died: list[Outcome] = []

    class KilledError(BaseException):
        pass

    def die(_lease: Any, outcome: Outcome) -> Sequence[Alert]:
        died.append(outcome)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(site.book, "finish", die)
        patch.setattr(site.book, "release", lambda _lease: None)
        with pytest.raises(KilledError):
            site.run()
    assert len(died[0].alerts) == 1
    assert site.alerts == []
    site.runner, site.scheduled = site.another()
    site.run()  # the lease of the dead process still holds
    assert site.alerts == []
    site.until(60 + 600)
    site.run()
    assert site.alerts == [("ines", events[0].id, 40, 5)]
    site.until(60 + 660)
    site.run()
    assert site.alerts == [("ines", events[0].id, 40, 5)]


def test_an_answer_that_was_lost_after_it_was_written_doubles_nothing(
    opened: Callable[[], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = opened()
    events = burst(10)
    site.arrive(events)
    site.until(60)
    finish = site.book.finish

    def lose(lease: Any, outcome: Outcome) -> Sequence[Alert]:
        finish(lease, outcome)
        raise BookUnavailableError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(site.book, "finish", lose)
        with pytest.raises(BookUnavailableError):
            site.run()
    site.until(120)
    site.run()
    assert site.alerts == [("ines", events[0].id, 40, 5)]


def test_after_ten_minutes_without_a_scheduler_everything_is_found(opened: Callable[[], Site]) -> None:
    site = opened()
    site.until(60)
    site.run()
    events = [
        event
        for number in range(3)
        for event in burst(100 + 200 * number, user=f"u{number}", name=f"{number}")
    ]
    site.arrive(events)
    site.runner, site.scheduled = site.another()
    site.until(660)
    site.run()
    assert [alert[0] for alert in site.alerts] == ["u0", "u1", "u2"]


def test_a_rule_that_raises_is_set_aside_and_finds_everything_in_the_end(
    opened: Callable[[], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = opened()
    events = burst(10)
    site.arrive(events)

    def broken(group: Group) -> str:
        raise KeyError("user")

    with monkeypatch.context() as patch:
        patch.setattr(site.rule, "summary", broken)
        for now_s in (60, 120, 180):
            site.until(now_s)
            site.run()
    rows = site.book.intervals("guessing", START_US, START_US + 10**12)
    assert [row.state for row in rows] == [RunState.FAILED]
    late = burst(200, user="joe", name="j")
    site.arrive(late)
    site.until(300)
    site.run()
    assert [alert[0] for alert in site.alerts] == ["joe"]
    site.until(3_900)
    site.run()
    assert [alert[0] for alert in site.alerts] == ["ines", "joe"]
    rows = site.book.intervals("guessing", START_US, START_US + 10**12)
    assert RunState.FAILED not in {row.state for row in rows}


def close(site: Site, alert_id: str) -> None:
    """Close an alert, as somebody at the same moment might."""
    if isinstance(site.book, MemoryBook):
        site.book.set_status(alert_id, Status.CLOSED)
        return
    assert isinstance(site.book, SqlBook)
    step = Step(Status.CLOSED, "for the test", verdict="benign")
    with site.book.database.write() as session:
        triage.set_status(session, alert_id, step, Actor("ines"), site.clock.us)


def test_an_alert_closed_in_the_middle_of_a_run_is_left_alone_and_the_run_made_again(
    opened: Callable[[], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = opened()
    site.arrive(burst(10))
    site.until(60)
    site.run()
    (alert,) = read(site.book)
    site.arrive([event_at(65, name="more", user="ines", result="failed")])
    site.until(120)
    finish, outcomes = site.book.finish, []

    def closed_first(lease: Any, outcome: Outcome) -> Sequence[Alert]:
        outcomes.append([finding.extends for finding in outcome.alerts])
        if len(outcomes) == 1:
            close(site, alert.id)
        return finish(lease, outcome)

    monkeypatch.setattr(site.book, "finish", closed_first)
    site.run()
    assert outcomes == [[alert.id], []]
    assert [(each.id, each.count) for each in read(site.book)] == [(alert.id, 5)]
    fresh = burst(130)
    site.arrive(fresh)
    site.until(180)
    site.run()
    assert sorted(each.count for each in read(site.book)) == [
        5,
        6,
    ]  # with the one before, which nobody had consumed


def test_two_schedulers_share_the_work_and_find_everything_once(opened: Callable[[], Site]) -> None:
    site = opened()
    events = history(SEED)
    both = [site.another(), site.another()]
    gate = threading.Barrier(2)
    sent = 0
    for now_s in range(60, 1_700, 60):
        upto = next(
            (n for n, event in enumerate(events) if event.time_us >= START_US + now_s * SECOND), len(events)
        )
        site.arrive(events[sent:upto])
        sent = upto
        site.until(now_s)

        def race(number: int) -> None:
            gate.wait(10)
            both[number][0].run(both[number][1])

        threads = [threading.Thread(target=race, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    site.run()
    assert site.alerts == one_pass(opened, events, 1_700)
    assert sum(runner.snapshot()["guessing"]["runs"] for runner, _ in both) >= 27
