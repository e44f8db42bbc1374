"""Dead-man rules as the runner runs them: one alert for each silence, extended while it lasts, recovered at its end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.alert import Status
from mozdef_core.detection import Budget, Runner, Scheduled
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.event import isoformat
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import RunState
from mozdef_core.query.model import In, Query, Term
from mozdef_core.rules import Awaited, DeadmanRule
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at

UP = {"queue": {"oldest_us": None}}


class Beats(DeadmanRule[DeadmanRule.Options]):
    """Two hosts that must be heard of."""

    by = "hostname"
    window = timedelta(minutes=20)
    hosts: ClassVar[dict[str, Query]] = {"a": Term("details.host", "a"), "b": Term("details.host", "b")}

    def awaited(self) -> Iterable[Awaited]:
        return [Awaited(host, query) for host, query in self.hosts.items()]

    def summary(self, awaited: Awaited, window: timedelta, last_us: int | None) -> str:
        return f"{awaited.key} for {self.span(window)}, last seen {self.seen(last_us)}"


class Site:
    """A runner over one rule, and a clock."""

    def __init__(self, rule: Any = None, repeat: timedelta = timedelta(hours=1)) -> None:
        self.clock = Clock()
        self.rule = rule or Beats(Beats.Options())
        self.plugin = Plugin("beats", self.rule)
        self.book = MemoryBook(repeat=repeat, clock=self.clock)
        self.store = MemoryStore()
        self.scheduled = Scheduled.of(self.plugin, lambda us: us + MINUTE)
        self.blind: set[int] = set()
        for minute in range(-10, 0):
            self._up(minute)
        self.start()
        self.runner.run(self.scheduled)

    def start(self) -> None:
        """Begin as a new process."""
        self.runner = Runner(Host([self.plugin], Health()), self.store, self.book, Budget(), clock=self.clock)

    def _up(self, minute: int) -> None:
        at_us = START_US + minute * MINUTE
        if minute not in self.blind:
            self.book.report("web", "w", {}, at_us)
            self.book.report("worker", "w", {**UP, "worker": {"watermark_us": at_us}}, at_us)

    def run(self, minute: float) -> None:
        begun = (self.clock.us - START_US) // MINUTE
        for each in range(begun, int(minute) + 1):
            self._up(each)
        self.clock.us = START_US + int(minute * MINUTE)
        self.book.report("worker", "w", {**UP, "worker": {"watermark_us": self.clock.us}}, self.clock.us)
        self.runner.run(self.scheduled)

    def seen(self, host: str, *minutes: float) -> None:
        self.store.write([event_at(minute * 60, name=host, host=host) for minute in minutes])

    def alerts(self, host: str = "a") -> list[tuple[float, float, bool]]:
        own = [alert for alert in self.book.alerts.values() if alert.group == ("hostname", host)]
        return sorted(
            (
                (alert.first.us - START_US) / MINUTE,
                (alert.last.us - START_US) / MINUTE,
                alert.recovered_us is not None,
            )
            for alert in own
        )


def test_an_alert_begins_with_the_silence_lasts_with_it_and_is_recovered_at_its_end() -> None:
    site = Site()
    site.seen("a", 3)
    site.seen("b", *range(0, 60, 5))
    site.run(23)
    assert site.alerts() == []
    site.run(23.1)
    assert site.alerts() == [(3, 23.1, False)]
    (alert,) = site.book.alerts.values()
    assert alert.summary == f"a for 20 minutes, last seen {isoformat(START_US + 3 * MINUTE)}"
    assert (alert.category, alert.severity, list(alert.tags)) == ("deadman", "ERROR", ["deadman"])
    site.run(40)
    assert site.alerts() == [(3, 40, False)]
    site.seen("a", 41)
    site.run(42)
    assert site.alerts() == [(3, 41, True)]
    (alert,) = site.book.alerts.values()
    assert alert.details["recovered_at"] == isoformat(START_US + 41 * MINUTE)
    assert (alert.status, alert.verdict) == (Status.CLOSED, "benign")
    assert site.alerts("b") == []


def test_a_silence_begins_when_the_rule_was_enabled_and_the_last_match_is_told_all_the_same() -> None:
    site = Site()
    site.store.write([event_at(-86_400, host="a")])
    site.run(20.5)
    assert site.alerts() == [(0, 20.5, False)]
    texts = {alert.group and alert.group[1]: alert.summary for alert in site.book.alerts.values()}
    assert texts == {
        "a": f"a for 20 minutes, last seen {isoformat(START_US - 86_400 * SECOND)}",
        "b": "b for 20 minutes, last seen never",
    }


def test_time_in_which_nothing_was_listening_does_not_count_nor_what_follows_at_once() -> None:
    site = Site()
    site.blind = set(range(10, 30))
    site.run(44)  # 10 and 30 to 44 are up, of which the first five settle
    assert site.alerts() == []
    assert RunState.BLIND in {row.state for row in site.book.intervals("beats", 0, 10**17)}
    site.run(45)
    assert site.alerts() == []
    site.run(45.5)
    assert site.alerts() == [(0, 45.5, False)]


def test_a_restart_in_the_middle_of_a_silence_changes_nothing() -> None:
    site = Site()
    site.run(15)
    site.start()
    site.run(25)
    site.start()
    site.run(30)
    assert site.alerts() == [(0, 30, False)]


def test_an_event_found_later_inside_a_silence_recovers_it() -> None:
    site = Site()
    site.run(30)
    site.seen("a", 15)
    site.run(31)
    assert site.alerts() == [(0, 15, True)]


def test_what_an_analyst_has_closed_stays_closed_while_the_silence_lasts() -> None:
    site = Site()
    site.seen("b", *range(60))
    site.run(30)
    (alert_id,) = site.book.alerts
    site.book.set_status(alert_id, Status.CLOSED)
    site.run(31)
    assert site.book.alerts[alert_id].status is Status.CLOSED
    assert len(site.book.alerts) == 1


def test_one_thing_that_cannot_be_looked_for_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(Beats):
        hosts: ClassVar = {"odd": In("hostname", "absent"), "a": Term("details.host", "a")}

    site = Site(Odd(Odd.Options()))
    site.run(30)
    site.run(31)
    assert site.alerts() == [(0, 31, False)]
    assert caplog.text.count("'odd' cannot be looked for") == 1


def test_an_interval_that_failed_is_told_of_when_it_is_run_again() -> None:
    site = Site()
    site.seen("a", 2, 40, 59)
    site.run(5)
    real, site.store.count = site.store.count, lambda *_: 1 / 0  # type: ignore[assignment, method-assign]
    for minute in (45, 45.1, 45.2):
        site.run(minute)
    site.store.count = real  # type: ignore[method-assign]
    assert RunState.FAILED in {row.state for row in site.book.intervals("beats", 0, 10**17)}
    site.run(60)
    assert site.alerts() == []
    site.runner.add(site.scheduled)
    site.run(61)
    assert site.alerts() == [(2, 40, True)]


MINUTES = st.integers(1, 1_800).map(lambda number: number / 10)


@settings(max_examples=60, deadline=None)
@given(
    seen=st.lists(MINUTES, max_size=8, unique=True),
    blind=st.sets(st.integers(0, 180), max_size=40),
    runs=st.lists(MINUTES, max_size=8),
)
def test_whatever_the_times_of_the_runs_the_silences_are_those_of_a_single_run(
    seen: list[float], blind: set[int], runs: list[float]
) -> None:
    often, once = Site(), Site()
    for site in (often, once):
        site.blind = blind
        site.seen("a", *seen)
    for number, minute in enumerate(sorted(runs)):
        if number % 3 == 2:
            often.start()
        often.run(minute)
    for site in (often, once):
        site.run(190)
    assert often.alerts() == once.alerts()
