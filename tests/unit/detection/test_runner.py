"""The runner: each rule over what is due, once to effect, its troubles its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mozdef_core.alert import Alert, Status
from mozdef_core.detection import Budget, Runner, Scheduled, runner, traits_of
from mozdef_core.detection.attempt import time as attempt_time
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import (
    AlertClosedError,
    BookUnavailableError,
    LeaseLostError,
    QueryTimeoutError,
    StoreUnavailableError,
)
from mozdef_core.event import Event
from mozdef_core.exemptions import Exemption, Exemptions
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.markers import hookimpl
from mozdef_core.ports import BatchRecord, Interval, Outcome, RunState
from mozdef_core.query.model import All
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at, finding
from mozdef_core.testing_contracts.book_findings import silence
from mozdef_core.window import Window

HOUR_S = 3_600
Answer = Callable[[Window], Any]


class Options:
    def __init__(self, mode: str = "live") -> None:
        self.mode = mode


class Rule:
    """Finds an alert for each event, unless it is given something else to do."""

    schedule = "60s"
    needs: Sequence[str] = ()
    remembers = absence = False

    def __init__(self, look_back_s: float = 0, mode: str = "live") -> None:
        self.look_back = timedelta(seconds=look_back_s)
        self.options = Options(mode)
        self.answer: Answer = self.find
        self.windows: list[tuple[float, float]] = []

    def find(self, window: Window) -> Any:
        return [finding(event, rule="x") for event in window.search(All())]

    @hookimpl
    def alert_match(self, window: Window) -> Any:
        self.windows.append(((window.start_us - START_US) / SECOND, (window.end_us - START_US) / SECOND))
        return self.answer(window)


class Site:
    """A runner over one rule, a store and a book, with one clock."""

    def __init__(self, rule: Rule | None = None, failures: int = 10**9, **more: Any) -> None:
        self.clock = Clock()
        limits = Limits(calls={**Limits().calls, "alert_match": 10**6}, failures=failures)
        self.health = Health(limits, clock=lambda: self.clock.us * 1_000)
        self.rule = rule or Rule()
        self.plugin = Plugin("r", self.rule)
        self.host = Host([self.plugin], self.health)
        self.book = MemoryBook(clock=self.clock)
        self.store = MemoryStore()
        calendar = more.pop("calendar", False)
        step_us = int(more.pop("step_s", 60) * SECOND)
        self.scheduled = Scheduled.of(self.plugin, lambda us: us - us % step_us + step_us, calendar=calendar)
        self.runner = Runner(self.host, self.store, self.book, clock=self.clock, **more)
        self.run()  # from now on it is responsible

    def run(self, after_s: float = 0) -> timedelta | None:
        self.clock.pass_by(after_s)
        return self.runner.run(self.scheduled)

    def arrive(self, *events: Event) -> None:
        self.store.write(events)
        self.book.record(
            BatchRecord(arrivals=dict.fromkeys((event.detection_us // MINUTE for event in events), 1))
        )

    @property
    def rows(self) -> list[tuple[RunState, float, float]]:
        rows = self.book.intervals(self.scheduled.key, START_US - 10**13, START_US + 10**13)
        return [
            (row.state, (row.start_us - START_US) / SECOND, (row.end_us - START_US) / SECOND) for row in rows
        ]

    @property
    def state(self) -> Mapping[str, Any]:
        shown: Mapping[str, Any] = self.runner.snapshot()[self.scheduled.key]
        return shown

    @property
    def times(self) -> list[float]:
        return sorted((alert.first.us - START_US) / SECOND for alert in self.book.alerts.values())


def raising(error: BaseException) -> Answer:
    def answer(_window: Window) -> Any:
        raise error

    return answer


def test_a_rule_is_responsible_from_when_it_is_first_seen() -> None:
    site = Site()
    assert site.rule.windows == []
    site.arrive(event_at(-1), event_at(5))
    assert site.run(60) is None
    assert site.rule.windows == [(0, 60)]
    assert site.times == [5]
    assert site.rows == [(RunState.RAN, 0, 60)]


def test_intervals_that_ran_clean_are_one_row_and_no_event_counts_twice() -> None:
    site = Site()
    for number in range(3):
        site.arrive(event_at(number * 60 + 1))
        site.run(60)
    assert site.times == [1, 61, 121]
    assert site.rows == [(RunState.RAN, 0, 180)]
    assert (site.state["runs"], site.state["events"], site.state["alerts"]) == (3, 3, 3)


def test_a_late_event_re_opens_its_minute_and_the_look_back() -> None:
    site = Site(Rule(look_back_s=30))
    site.run(600)
    site.arrive(event_at(130))
    site.run(60)
    minute = (START_US + 130 * SECOND) // MINUTE * MINUTE - START_US
    first_s = minute / SECOND
    assert site.rule.windows[1:] == [(first_s, first_s + 90), (600, 660)]
    assert site.times == [130]
    states = [row[0] for row in site.rows]
    assert states == [RunState.LATE, RunState.RERUN, RunState.LATE, RunState.RAN]
    site.run(60)
    assert site.rule.windows[3:] == [(660, 720)]


def test_what_late_events_open_stays_open_until_all_of_it_has_been_run() -> None:
    site = Site()
    site.run(600)
    site.arrive(event_at(130), event_at(400))

    def answer(window: Window) -> Any:
        found = site.rule.find(window)
        if window.start_us > START_US + 300 * SECOND and len(site.rule.windows) < 4:
            raise ValueError("the second one fails")
        return found

    site.rule.answer = answer
    assert site.run(60) == runner.RETRY
    assert site.times == [130]
    assert site.run(60) is None
    assert site.times == [130, 400]
    assert len(site.rule.windows) == 6


def test_the_journal_is_asked_before_the_store_is_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    site, order = Site(), []
    arrivals, refresh = site.book.arrivals_since, site.store.refresh
    monkeypatch.setattr(
        site.book, "arrivals_since", lambda number: (order.append("journal"), arrivals(number))[1]
    )
    monkeypatch.setattr(site.store, "refresh", lambda: (order.append("refresh"), refresh())[1])
    site.run(60)
    assert order == ["journal", "refresh"]


def test_an_event_that_arrives_during_a_run_is_found_by_the_next() -> None:
    site = Site()
    late = event_at(30)

    def answer(window: Window) -> Any:
        found = site.rule.find(window)
        if late not in list(window):
            site.arrive(late)
        return found

    site.rule.answer = answer
    site.run(60)
    assert site.times == []
    site.run(60)
    assert site.times == [30]


def test_after_ten_minutes_away_a_rule_catches_up() -> None:
    site = Site()
    site.run(60)
    site.arrive(*(event_at(60 * number + 30) for number in range(1, 11)))
    site.run(600)
    assert site.rule.windows[1:] == [
        (40, 660)
    ]  # the first of the late ones lie in the minute that begins at 40
    assert len(site.times) == 10
    assert site.rows[-1] == (RunState.LATE, 40, 660)


def test_days_are_caught_up_with_by_the_hour_and_what_is_too_old_is_skipped() -> None:
    site = Site(budget=Budget(catch_up_max=timedelta(hours=3)))
    site.run(4.5 * HOUR_S)
    assert site.rule.windows == [(1.5 * HOUR_S + HOUR_S * n, 2.5 * HOUR_S + HOUR_S * n) for n in range(3)]
    assert site.rows[0] == (RunState.SKIPPED, 0, 1.5 * HOUR_S)


def test_who_has_much_to_catch_up_with_lets_others_run_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    monkeypatch.setattr(runner, "SLICE_S", -1)
    assert site.run(3 * HOUR_S) == timedelta(0)
    assert site.run() == timedelta(0)
    assert site.run() is None
    assert [end for _, end in site.rule.windows] == [HOUR_S, 2 * HOUR_S, 3 * HOUR_S]


def test_much_that_late_events_open_waits_for_what_is_due_and_is_run_in_the_end() -> None:
    site = Site()
    site.run(24 * HOUR_S)
    site.rule.windows.clear()
    site.arrive(*(event_at(60 * number) for number in range(300)))
    assert site.run(60) == timedelta(0)
    assert site.rule.windows == [(24 * HOUR_S, 24 * HOUR_S + 60)]
    while site.run() is not None:
        pass
    assert len(site.times) == 300
    assert site.rule.windows[-1][1] >= 299 * 60 + 1
    assert RunState.FAILED not in {row[0] for row in site.rows}


def test_an_interval_is_set_aside_after_three_failures_and_tried_again_each_hour() -> None:
    site = Site()
    site.arrive(event_at(10))
    site.rule.answer = raising(ValueError("no such field"))
    assert [site.run(60) for _ in range(3)] == [runner.RETRY] * 3
    assert site.rule.windows == [(0, 60), (0, 120), (0, 180)]
    assert site.rows == [(RunState.FAILED, 0, 180)]
    assert site.state["last_error"] == "ValueError: no such field"
    assert site.state["set_aside"] == 1
    site.rule.answer = site.rule.find
    site.run(60)
    assert site.rule.windows[3:] == [(180, 240)]
    site.run(HOUR_S)
    assert site.times == [10]
    assert site.rule.windows[-1] == (0, 180)
    assert site.rows[0] == (RunState.RERUN, 0, 180)
    assert site.state["last_error"] == ""


def test_a_failed_interval_that_fails_again_waits_another_hour_and_holds_up_nothing() -> None:
    site = Site()
    site.rule.answer = raising(ValueError("no such field"))
    for _ in range(3):
        site.run(60)
    poison = site.rule.answer

    def answer(window: Window) -> Any:
        return poison(window) if window.start_us == START_US else []

    site.rule.answer = answer
    site.run(HOUR_S)
    site.run(60)
    tries = [start for start, _ in site.rule.windows].count(0)
    assert tries == 4
    assert site.rows[0] == (RunState.FAILED, 0, 180)
    (row,) = [row for row in site.book.intervals("r", START_US, START_US + 1) if row.failures]
    assert row.failures == 4
    assert site.rows[-1][2] == 180 + HOUR_S + 60


def test_what_had_failed_is_due_at_once_when_the_rule_is_taken_again() -> None:
    site = Site()
    site.arrive(event_at(10))
    site.rule.answer = raising(ValueError("no such field"))
    for _ in range(3):
        site.run(60)
    site.rule.answer = site.rule.find
    site.runner.add(site.scheduled)
    site.run(1)
    assert site.times == [10]


def test_a_store_that_is_away_is_no_fault_of_the_rule() -> None:
    site = Site()
    site.rule.answer = raising(StoreUnavailableError("the disk is gone"))
    for _ in range(4):
        with pytest.raises(StoreUnavailableError, match="disk"):
            site.run(60)
    assert site.rows == []
    assert site.state["last_error"] == ""
    site.rule.answer = site.rule.find
    assert site.run(0) is None
    assert site.rule.windows[-1] == (0, 240)


def test_a_database_that_is_away_at_the_end_leaves_everything_for_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site()
    site.arrive(event_at(1))
    finish = site.book.finish
    monkeypatch.setattr(
        site.book, "finish", raising_twice := Failing(finish, BookUnavailableError("locked"), 1)
    )
    with pytest.raises(BookUnavailableError):
        site.run(60)
    assert (site.times, site.rows) == ([], [])
    site.run(60)
    assert site.times == [1]
    assert raising_twice.calls == 2


class Failing:
    """A function that raises an error so many times before it works."""

    def __init__(self, function: Callable[..., Any], error: Exception, times: int) -> None:
        self.function, self.error, self.times, self.calls = function, error, times, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return self.function(*arguments)


def test_a_run_whose_alert_was_closed_meanwhile_is_made_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site()
    site.arrive(event_at(1))
    finish = Failing(site.book.finish, AlertClosedError("closed"), 2)
    monkeypatch.setattr(site.book, "finish", finish)
    assert site.run(60) is None
    assert site.rule.windows == [(0, 60)] * 3
    assert site.times == [1]


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    finish = Failing(site.book.finish, AlertClosedError("closed"), runner.ATTEMPTS)
    monkeypatch.setattr(site.book, "finish", finish)
    assert site.run(60) == runner.RETRY
    assert (site.rows, site.state["last_error"]) == ([], "")
    assert site.run(60) is None
    assert site.rows == [(RunState.LATE, 0, 120)]


def test_an_alert_that_somebody_closes_during_the_run_is_not_extended() -> None:
    site = Site()
    site.arrive(event_at(1, user="ines"))

    def answer(window: Window) -> Any:
        found = [finding(event, rule="x", user="ines", group_s=600) for event in window.search(All())]
        for alert in site.book.alerts.values():
            if found and alert.status is not Status.CLOSED:
                site.clock.pass_by(1)
                site.book.set_status(alert.id, Status.CLOSED)
                return [replace(each, extends=alert.id) for each in found]
        return found

    site.rule.answer = answer
    site.run(60)
    site.arrive(event_at(61, received=200, user="ines"))
    site.run(200)
    assert len(site.book.alerts) == 2
    assert site.rule.windows[-1] == site.rule.windows[-2]


def test_while_another_process_has_the_rule_nothing_is_run() -> None:
    site = Site()
    lease = site.book.lease("r", START_US, site.clock.us, 90)
    assert lease is not None
    assert site.run(60) is None
    assert site.rule.windows == []
    site.run(60)  # it has died
    assert site.rule.windows == [(0, 120)]


def test_who_has_lost_the_rule_writes_nothing() -> None:
    site = Site()
    site.arrive(event_at(1))

    def answer(window: Window) -> Any:
        site.clock.pass_by(1_000)
        assert site.book.lease("r", START_US, site.clock.us, 60) is not None
        return site.rule.find(window)

    site.rule.answer = answer
    assert site.run(60) is None
    assert (site.times, site.rows) == ([], [])


def test_the_rule_is_given_back_after_a_run_and_after_a_failure() -> None:
    site = Site()
    other = Runner(site.host, site.store, site.book, clock=site.clock)
    site.run(60)
    other.run(site.scheduled)
    site.rule.answer = raising(StoreUnavailableError("gone"))
    with pytest.raises(StoreUnavailableError):
        site.run(60)
    site.rule.answer = site.rule.find
    other.run(site.scheduled)
    assert site.rows == [(RunState.RAN, 0, 120)]


# Time


@pytest.fixture
def took(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how many seconds each run takes, as its last element."""
    seconds = [0.0]

    class Watch:
        @staticmethod
        def monotonic() -> float:
            Watch.calls += 1
            return 0.0 if Watch.calls % 2 else seconds[-1]

        @staticmethod
        def thread_time() -> float:
            return 0.5 * (Watch.calls % 2 == 0)

        calls = 0

    assert attempt_time.monotonic
    monkeypatch.setattr("mozdef_core.detection.attempt.time", Watch)
    return seconds


def test_a_rule_that_is_too_slow_three_times_in_a_row_is_in_quarantine_for_an_hour(took: list[float]) -> None:
    site = Site()
    took.append(61)
    for number in range(3):
        assert site.state["quarantine"] == ""
        site.arrive(event_at(60 * number + 1))
        site.run(60)
    assert site.state["quarantine"] == "3 runs in a row took more than 60 s, the last 61 s"
    assert len(site.times) == 3  # what it found counts
    site.run(60)
    assert len(site.rule.windows) == 3
    assert site.state["late"] is False
    site.run(HOUR_S)
    assert site.rule.windows[3:] == [(180, 180 + HOUR_S)]  # its one try, too slow again
    site.run(60)
    assert site.state["late"] is True
    assert len(site.rule.windows) == 4
    took.append(1)
    site.run(HOUR_S)
    assert site.state["quarantine"] == ""
    assert site.state["late"] is False
    assert site.rows[-1][2] == 2 * HOUR_S + 300


def test_a_rule_that_is_slow_now_and_then_is_not(took: list[float]) -> None:
    site = Site()
    for seconds in (61, 61, 1, 61, 61, 1):
        took.append(seconds)
        site.run(60)
    assert site.state["quarantine"] == ""


def test_what_a_rule_costs_is_that_of_the_last_hour(took: list[float]) -> None:
    site = Site()
    took.append(2)
    for _ in range(3):
        site.run(60)
    assert (site.state["wall_s"], site.state["cpu_s"]) == (6, 1.5)
    assert site.state["last_s"] == 2
    site.clock.pass_by(HOUR_S - 119)
    assert site.state["wall_s"] == 4


def test_what_the_store_could_not_answer_in_time_is_tried_in_smaller_pieces() -> None:
    site = Site()

    def answer(window: Window) -> Any:
        if window.end_us - window.start_us > 1_000 * SECOND:
            raise QueryTimeoutError("it took longer than 30 s")
        return site.rule.find(window)

    site.rule.answer = answer
    site.run(HOUR_S)
    assert site.rule.windows == [(0, HOUR_S)]
    site.run(60)
    assert site.rule.windows[1:3] == [(0, 900), (900, 1800)]
    while site.run(60) is not None:
        pass
    assert RunState.FAILED not in {row[0] for row in site.rows}


# Suspension, quarantine from outside


def test_a_suspended_rule_is_not_run_and_misses_nothing() -> None:
    site = Site()
    site.health.suspend("r", "for a test", 90)
    site.arrive(event_at(1))
    site.run(60)
    assert site.rule.windows == []
    site.run(60)
    assert site.rule.windows == [(0, 120)]
    assert site.times == [1]


def test_a_rule_whose_call_hung_is_in_quarantine_from_the_start() -> None:
    site = Site()
    site.health.suspend("r", "a call hung and was ended from outside", 30)
    site.runner.add(site.scheduled)
    assert "hung" in site.state["quarantine"]
    site.run(60)
    assert site.rule.windows == []
    site.run(HOUR_S)
    assert site.rule.windows == [(0, HOUR_S), (HOUR_S, HOUR_S + 60)]
    assert site.state["quarantine"] == ""


# Kinds of rules


def test_a_staged_rule_has_a_ledger_and_alerts_of_its_own() -> None:
    site = Site(Rule(mode="staged"))
    site.arrive(event_at(1))
    site.run(60)
    (alert,) = site.book.alerts.values()
    assert (alert.rule, alert.staged, alert.rule_key) == ("r", True, "staged:r")
    assert site.book.consumed("staged:r", START_US, START_US + MINUTE)
    assert list(site.runner.snapshot()) == ["staged:r"]


def test_alerts_bear_the_name_of_the_rule() -> None:
    site = Site()
    site.arrive(event_at(1))
    site.run(60)
    assert [alert.rule for alert in site.book.alerts.values()] == ["r"]


def test_what_a_rule_remembers_is_kept_only_if_the_run_succeeded() -> None:
    rule = Rule()
    rule.remembers = True
    site = Site(rule)
    site.book.report("worker", "1", {"worker": {"watermark_us": START_US + 10**12}, "queue": {}}, START_US)

    def answer(window: Window) -> Any:
        window.memory.set("runs", (window.memory.get("runs") or 0) + 1)
        if site.clock.us < START_US + 100 * SECOND:
            raise ValueError("too early")
        return []

    rule.answer = answer
    live(site, 60)
    site.run()
    live(site, 60)
    site.run()
    assert site.book.recall("r") == {"runs": 1}


def live(site: Site, seconds: float, *, behind_s: float = 0) -> None:
    """Let time pass, and the worker say up to when everything is stored."""
    site.clock.pass_by(seconds)
    stored_us = site.clock.us - int(behind_s * SECOND)
    counters = {
        "worker": {"watermark_us": stored_us},
        "queue": {"oldest_us": None},
        "inputs": {"i": {"running": True}},
    }
    site.book.report("worker", "1", counters, site.clock.us)


def test_a_rule_that_remembers_is_given_every_event_once_late_ones_too() -> None:
    rule = Rule(look_back_s=600)
    rule.remembers = True
    given: list[float] = []

    def answer(window: Window) -> Any:
        given.extend((event.detection_us - START_US) / SECOND for event in window.fresh(All()))
        return []

    rule.answer = answer
    site = Site(rule)
    site.arrive(event_at(1), event_at(30))
    live(site, 60)
    site.run()
    assert given == [1, 30]
    site.arrive(event_at(2), event_at(61))
    live(site, 60)
    site.run()
    assert given == [1, 30, 2, 61]
    assert rule.windows == [(0, 60), (60, 120)]


@pytest.mark.parametrize("trait", ["remembers", "absence"])
def test_a_rule_about_absence_or_with_a_memory_does_not_run_ahead_of_what_is_stored(trait: str) -> None:
    rule = Rule()
    setattr(rule, trait, True)
    site = Site(rule)
    site.run(60)
    assert rule.windows == []
    live(site, 60, behind_s=30)
    site.run()
    assert rule.windows == [(0, 90)]


def test_minutes_without_listening_are_blind_for_a_rule_about_absence() -> None:
    rule = Rule()
    rule.absence = True
    site = Site(rule)
    live(site, 0)
    for _ in range(3):
        live(site, 30)
    site.run()
    live(site, 300)
    site.run()
    assert [row[0] for row in site.rows] == [RunState.RAN, RunState.BLIND]


def test_an_interval_is_degraded_while_a_plugin_that_is_needed_does_not_work() -> None:
    rule = Rule()
    rule.needs = ("sshd",)
    reasons = {"sshd": "sshd is suspended"}

    def degraded(names: Collection[str]) -> str:
        return "; ".join(reasons[name] for name in names if name in reasons)

    site = Site(rule, degraded=degraded)
    site.run(60)
    reasons.clear()
    site.run(60)
    assert site.rows == [(RunState.DEGRADED, 0, 60), (RunState.RAN, 60, 120)]
    assert site.book.intervals("r", START_US, START_US + 1)[0].reason == "sshd is suspended"


def test_what_exceptions_remove_is_not_found_and_counted() -> None:
    class Filter:
        def __init__(self) -> None:
            self.removed: dict[str, int] = {}

        def __call__(self, event: Event, counted: bool, /) -> bool:
            if event.get("details.user") == "scanner" and counted:
                self.removed["e1"] = self.removed.get("e1", 0) + 1
            return event.get("details.user") != "scanner"

    asked: list[str] = []

    class Exceptions:
        def __call__(self, rule: str, /) -> Filter:
            asked.append(rule)
            return Filter()

        def mutes(self, rule: str, at_us: int) -> object | None:
            return rule, at_us

    site = Site(excepted=Exceptions())
    site.arrive(event_at(1, user="scanner"), event_at(2, user="ines"))
    site.run(60)
    assert (site.times, asked, site.book.excepted) == ([2], ["r"], {"e1": 1})
    assert [alert.notify for alert in site.book.alerts.values()] == [None]


def test_an_exception_mutes_a_rule_about_absence_while_it_is_in_force_and_removes_nothing() -> None:
    rule = Rule()
    rule.absence = True
    exemptions = Exemptions(silences=["r"])
    until_us = START_US + 120 * SECOND
    exemptions.replace([Exemption("e1", "rule", "r", "details.user:ines", 0, until_us)])
    site = Site(rule, excepted=exemptions)
    rule.answer = lambda window: [silence(0, (window.end_us - START_US) / SECOND)]
    for at_s, notify in ((60, False), (119, False), (120, None)):
        live(site, at_s - (site.clock.us - START_US) / SECOND)
        site.run()
        (alert,) = site.book.alerts.values()
        assert (alert.last.us - START_US) // SECOND == at_s
        assert alert.notify is notify
    assert site.book.excepted == {}


def test_events_without_a_group_are_counted_in_the_ledger() -> None:
    site = Site()
    odd = event_at(3)

    def answer(window: Window) -> Any:
        window.note_ungrouped(odd)
        return []

    site.rule.answer = answer
    site.run(60)
    (row,) = site.book.intervals("r", START_US, START_US + 1)
    assert (row.ungrouped, row.sample) == (1, odd.id)


# Crontabs


def test_a_rule_by_crontab_is_run_at_its_times_only_however_often_it_is_called() -> None:
    site = Site(calendar=True, step_s=86_400)
    first = site.scheduled.due_after(START_US)
    to_midnight_s = (first - START_US) / SECOND
    assert site.run(60) == timedelta(hours=1)
    assert site.rule.windows == []
    site.run(to_midnight_s - 60)
    assert site.rule.windows[-1][1] == to_midnight_s
    site.rule.windows.clear()
    site.run(HOUR_S)
    assert site.rule.windows == []


def test_after_downtime_a_rule_by_crontab_makes_up_for_the_time_it_missed() -> None:
    site = Site(calendar=True, step_s=86_400)
    site.run(86_400 * 1.5)
    assert site.rule.windows[-1][1] == 86_400 * 1.5


def test_a_rule_by_crontab_tries_again_what_failed_before_its_next_time() -> None:
    site = Site(calendar=True, step_s=86_400)
    due_s = (site.scheduled.due_after(START_US) - START_US) / SECOND
    site.rule.answer = raising(ValueError("no such field"))
    assert site.run(due_s) == runner.RETRY
    site.rule.answer = site.rule.find
    site.rule.windows.clear()
    assert site.run(60) == timedelta(hours=1)
    assert site.rule.windows[-1][1] == due_s + 60
    assert RunState.FAILED not in {row[0] for row in site.rows}


# Traits


def test_an_engine_that_is_no_rule_is_on_the_stream() -> None:
    class Engine:
        @hookimpl
        def alert_match(self, window: Window) -> list[Alert]:
            return []

    assert traits_of(Plugin("engine", Engine())).streams
    assert not traits_of(Plugin("engine", Engine())).scheduled


def test_a_rule_that_is_off_is_on_neither() -> None:
    traits = traits_of(Plugin("r", Rule(mode="off")))
    assert not traits.streams
    assert not traits.scheduled


def test_a_failing_finish_raises_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    lost = Failing(site.book.finish, LeaseLostError("r: another process runs this rule now"), 1)
    monkeypatch.setattr(site.book, "finish", lost)
    assert site.run(60) is None
    assert site.rows == []
    outcome = Outcome(Interval("r", 0, 1, RunState.RAN, 0))
    assert outcome.journal is None
