"""Detection: rules over a batch and over what is owed to them, each failure the rule's own and nothing missed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.alert import Alert, Moment, Severity
from mozdef_core.detection import OWED_RETRY_S, Conditions, Detector, EventsWindow, stream
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Event
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.markers import hookimpl
from mozdef_core.ports import BatchRecord, OwedSpan
from mozdef_core.query.model import All, Exists, Query, Term
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US, Clock, event_at, finding
from mozdef_core.window import Window

EVENTS = [event_at(seconds, user="ines" if seconds % 2 else "joe") for seconds in range(6)]


class Rule:
    """Finds one alert for each event of one user, unless it is given something else to do."""

    def __init__(
        self, user: str = "ines", answer: Callable[[Window], Any] | BaseException | None = None
    ) -> None:
        self.user = user
        self.answer = answer
        self.windows: list[list[str]] = []

    @hookimpl
    def alert_match(self, window: Window) -> Any:
        self.windows.append([event.id for event in window])
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is not None:
            return self.answer(window)
        return (finding(event, rule="x") for event in window.search(Term("details.user", self.user)))


class Site:
    """A detector over rules, a store and a book, with one clock."""

    def __init__(self, *rules: Rule, failures: int = 10**9, events: Sequence[Event] = EVENTS) -> None:
        self.clock = Clock()
        self.health = Health(Limits(failures=failures), clock=lambda: self.clock.us * 1_000)
        self.plugins = [Plugin(f"r{number}", rule) for number, rule in enumerate(rules)]
        self.detector = Detector(Host(self.plugins, self.health))
        self.book = MemoryBook(clock=self.clock)
        self.store = MemoryStore()
        self.store.write(events)

    def stream(self, events: Sequence[Event] = EVENTS) -> stream.Found:
        ids = sorted(event.id for event in events)
        return self.detector.stream(self.detector.window(events), ids[0], ids[-1])

    def owe(self, rule: str, first: int = 0, last: int = 5, reason: str = "it failed") -> None:
        span = OwedSpan(rule, EVENTS[first].id, EVENTS[last].id, reason)
        self.book.record(BatchRecord(owed=[span]))

    def pay(self, batch: int = 5_000) -> int:
        return self.detector.run_owed(self.store, self.book, self.clock.us, batch)

    @property
    def owed(self) -> list[tuple[OwedSpan, int]]:
        spans = self.book.owed_spans([plugin.name for plugin in self.plugins], self.clock.us + 10**12)
        return [(span, failures) for _, span, failures in spans]


# The window


def test_a_window_covers_its_events_and_an_empty_one_nothing() -> None:
    window = EventsWindow(EVENTS, Conditions())
    assert (window.start_us, window.end_us) == (START_US, START_US + 5 * SECOND + 1)
    empty = EventsWindow([], Conditions())
    assert (empty.start_us, empty.end_us, list(empty), list(empty.search(All()))) == (0, 0, [], [])
    assert not empty.arrivals()


@given(st.permutations(EVENTS))
def test_events_come_in_order_of_time_and_id_however_they_arrived(events: list[Event]) -> None:
    window = EventsWindow(events, Conditions())
    assert list(window) == EVENTS
    assert list(window.search(Term("details.user", "ines"))) == EVENTS[1::2]
    assert list(window.search(Term("details.user", "nobody"))) == []
    assert window.count(Term("details.user", "joe")) == 3


def test_events_of_one_moment_come_in_order_of_their_ids() -> None:
    twins = [event_at(1, name=name) for name in "CAB"]
    window = EventsWindow(twins, Conditions())
    assert [event.id[-1] for event in window] == ["A", "B", "C"]
    assert [event.id[-1] for event in window.search(All())] == ["A", "B", "C"]


def test_arrivals_are_counted_by_minute_of_detection_time() -> None:
    late = event_at(-30 * 86_400, received=0)  # so far back that its reception counts
    events = [event_at(0), event_at(1), event_at(60), late]
    minute = START_US // 60_000_000
    assert EventsWindow(events, Conditions()).arrivals() == {minute: 3, minute + 1: 1}


def test_a_query_is_compiled_once_for_all_windows_and_another_one_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[Query] = []
    real = stream.compile_query

    def note(query: Query) -> Callable[[Event], bool]:
        compiled.append(query)
        return real(query)

    monkeypatch.setattr(stream, "compile_query", note)
    detector = Site().detector
    joe, ines = Term("details.user", "joe"), Term("details.user", "ines")
    for _ in range(3):
        assert [detector.window(EVENTS).count(query) for query in (joe, ines)] == [3, 3]
    assert compiled == [joe, ines]


def test_a_query_at_the_address_of_one_that_is_gone_is_compiled_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "id", lambda _query: 1, raising=False)
    conditions = Conditions()
    assert conditions(Term("details.user", "joe"))(EVENTS[0])
    assert not conditions(Term("details.user", "ines"))(EVENTS[0])


# The stream


def test_every_rule_sees_the_batch_and_its_alerts_bear_its_name() -> None:
    found = Site(Rule("ines"), Rule("joe")).stream()
    assert [alert.rule for alert in found.alerts] == ["r0"] * 3 + ["r1"] * 3
    assert [alert.first for alert in found.alerts[:3]] == [Moment.of(event) for event in EVENTS[1::2]]
    assert found.owed == []


def test_a_plugin_without_alert_match_is_no_rule() -> None:
    class Mapper:
        @hookimpl
        def on_event(self, event: Event) -> None:
            raise AssertionError("called")

    detector = Detector(Host([Plugin("mapper", Mapper())], Health()))
    assert detector.stream(detector.window(EVENTS), "a", "b") == ([], [])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ValueError("broken"), "plugin-error: ValueError: broken"),
        (SystemExit(), "plugin-error: SystemExit"),
        (StoreUnavailableError("away"), "unavailable: StoreUnavailableError: away"),
        (lambda _window: 5, "plugin-error: TypeError: 'int' object is not iterable"),
        (lambda _window: ["text"], "plugin-error: TypeError: yielded a value of type str, expected Alerts"),
    ],
)
def test_what_a_rule_could_not_look_at_is_owed_to_it_alone(answer: Any, reason: str) -> None:
    found = Site(Rule(answer=answer), Rule("joe")).stream()
    assert found.owed == [OwedSpan("r0", EVENTS[0].id, EVENTS[5].id, reason)]
    assert [alert.rule for alert in found.alerts] == ["r1"] * 3


def test_nothing_is_kept_of_a_rule_that_breaks_half_way() -> None:
    def half(window: Window) -> Iterator[Alert]:
        yield finding(next(iter(window)))
        raise ValueError("half way")

    found = Site(Rule(answer=half)).stream()
    assert found.alerts == []
    assert [span.rule for span in found.owed] == ["r0"]


def test_a_rule_that_takes_too_long_is_owed_the_span() -> None:
    site = Site()
    rule = Rule(answer=lambda _window: site.clock.pass_by(11))
    site = Site(rule)
    found = site.stream()
    (span,) = found.owed
    assert span.reason == "plugin-timeout: alert_match took 11000 ms, the limit is 10000 ms"


def test_a_suspended_rule_is_not_called_and_is_owed_the_span() -> None:
    rule = Rule(answer=ValueError("broken"))
    site = Site(rule, Rule("joe"), failures=2)
    owed = [span for _ in range(4) for span in site.stream().owed]
    assert len(rule.windows) == 2
    assert [span.reason for span in owed] == ["plugin-error: ValueError: broken"] * 2 + [
        "the rule was suspended"
    ] * 2
    assert {span[:3] for span in owed} == {("r0", EVENTS[0].id, EVENTS[5].id)}


GOOD = finding(EVENTS[0], details={"a": 1}, tags=("t",), attack=("T1110",), user="ines")


@pytest.mark.parametrize(
    "fields",
    [
        {"summary": 5},
        {"summary": None},
        {"rule_version": 1},
        {"category": None},
        {"url": None},
        {"channel": 3},
        {"severity": "NOTICE"},
        {"severity": None},
        {"first": None},
        {"last": 5},
        {"count": "3"},
        {"group": "ines"},
        {"group": ("user", 5)},
        {"group": ("user",)},
        {"group_for": 60},
        {"group_max": None},
        {"details": None},
        {"details": {(1, 2): 3}},
        {"notify": "yes"},
        {"events": None},
        {"events": ["id"]},
        {"tags": "ssh"},
        {"tags": (1,)},
        {"attack": "T1110"},
        {"attack": [None]},
    ],
)
def test_an_alert_that_the_book_could_not_hold_is_the_rules_failure(fields: dict[str, Any]) -> None:
    site = Site(Rule(answer=lambda _window: [GOOD, replace(GOOD, **fields)]))
    found = site.stream()
    assert found.alerts == []
    assert found.owed[0].reason.startswith("plugin-error: TypeError: ")


@pytest.mark.parametrize(
    "fields",
    [
        {"details": {"when": timedelta(1), "half": "\ud800", "long": 2**70, "nan": float("nan")}},
        {"tags": ["ssh"], "attack": [], "events": [EVENTS[0]]},
        {"group": None, "notify": True, "severity": Severity.DEBUG, "count": 5},
    ],
)
def test_an_alert_that_the_book_can_hold_is_kept_as_it_is(fields: dict[str, Any]) -> None:
    alert = replace(GOOD, **fields)
    found = Site(Rule(answer=lambda _window: [alert])).stream()
    assert found == ([replace(alert, rule="r0")], [])


# What is owed


def test_an_owed_span_is_run_over_the_store_and_forgotten() -> None:
    rule = Rule()
    site = Site(rule)
    site.owe("r0", 1, 4)
    assert site.pay() == 1
    assert rule.windows == [[event.id for event in EVENTS[1:5]]]
    assert sorted(alert.first for alert in site.book.alerts.values()) == [
        Moment.of(EVENTS[1]),
        Moment.of(EVENTS[3]),
    ]
    assert {alert.rule for alert in site.book.alerts.values()} == {"r0"}
    assert (site.owed, site.pay()) == ([], 0)


def test_a_long_span_is_run_in_pieces_and_its_alerts_are_stored_together() -> None:
    rule = Rule()
    site = Site(rule)
    site.owe("r0")
    assert site.pay(batch=4) == 1
    assert rule.windows == [[event.id for event in EVENTS[:4]], [event.id for event in EVENTS[4:]]]
    assert len(site.book.alerts) == 3


def test_a_piece_that_fails_leaves_the_whole_span_owed_and_stores_nothing() -> None:
    rule = Rule()

    def second_fails(window: Window) -> list[Alert]:
        if len(rule.windows) == 2:
            raise ValueError("second")
        return [finding(event) for event in window]

    rule.answer = second_fails
    site = Site(rule)
    site.owe("r0")
    assert site.pay(batch=4) == 0
    assert site.book.alerts == {}
    ((span, failures),) = site.owed
    assert (span.first, span.last, failures) == (EVENTS[0].id, EVENTS[5].id, 1)


@pytest.mark.parametrize("batch", [2, 5_000])
def test_a_failed_span_comes_again_after_growing_pauses_until_it_is_run(
    batch: int, caplog: pytest.LogCaptureFixture
) -> None:
    rule = Rule(answer=ValueError("broken"))
    site = Site(rule)
    site.owe("r0")
    for number, pause_s in enumerate((*OWED_RETRY_S, OWED_RETRY_S[-1]), 1):
        assert site.pay(batch) == 0
        ((span, failures),) = site.owed
        assert (failures, span.reason) == (number, "plugin-error: ValueError: broken")
        assert f"rule r0 failed on what is owed to it, next try in {pause_s} s" in caplog.text
        site.clock.pass_by(pause_s - 1)
        assert (site.pay(batch), len(rule.windows)) == (0, number)
        site.clock.pass_by(1)
    rule.answer = None
    assert site.pay(batch) == 1
    assert len(site.book.alerts) == 3


def test_a_suspended_rule_keeps_its_span_and_the_others_are_run() -> None:
    rule, other = Rule(), Rule("joe")
    site = Site(rule, other)
    site.health.suspend("r0", "it was slow", seconds=30)
    site.owe("r0")
    site.owe("r1")
    assert site.pay() == 1
    assert (rule.windows, [(span.rule, failures) for span, failures in site.owed]) == ([], [("r0", 0)])
    site.clock.pass_by(30)
    assert site.pay() == 1
    assert len(site.book.alerts) == 6


def test_what_is_owed_to_a_rule_that_is_not_enabled_waits_for_it() -> None:
    site = Site(Rule())
    site.owe("gone")
    assert site.pay() == 0
    assert [span.rule for _, span, _ in site.book.owed_spans(["gone"], site.clock.us)] == ["gone"]


def test_a_span_without_events_is_settled() -> None:
    site = Site(Rule(), events=[])
    site.owe("r0")
    assert (site.pay(), site.owed, site.book.alerts) == (1, [], {})


def test_a_store_that_is_away_is_the_callers_concern_and_the_span_stays_due() -> None:
    class AwayStore(MemoryStore):
        def between_ids(self, first: str, last: str) -> Iterator[Event]:
            raise StoreUnavailableError("away")

    site = Site(Rule())
    site.store = AwayStore()
    site.owe("r0")
    with pytest.raises(StoreUnavailableError):
        site.pay()
    assert [failures for _, failures in site.owed] == [0]


@given(
    kinds=st.lists(st.sampled_from(["good", "raises", "wrong", "suspended"]), min_size=1, max_size=5),
    cut=st.integers(1, 5),
    batch=st.integers(1, 7),
)
def test_whatever_fails_on_the_stream_every_alert_is_found_in_the_end(
    kinds: list[str], cut: int, batch: int
) -> None:
    """The alerts are those of a stream on which nothing fails, and a failing rule changes no other's."""
    answers: dict[str, Any] = {"raises": ValueError("x"), "wrong": lambda _window: [5]}
    rules = [Rule("ines" if number % 2 else "joe", answers.get(kind)) for number, kind in enumerate(kinds)]
    logging.disable(logging.CRITICAL)
    try:
        site = Site(*rules)
        for number, kind in enumerate(kinds):
            if kind == "suspended":
                site.health.suspend(f"r{number}", "slow", seconds=1)
        for events in (EVENTS[:cut], EVENTS[cut:]):
            found = site.stream(events)
            site.book.record(BatchRecord(alerts=found.alerts, owed=found.owed))
        good = {f"r{number}" for number, kind in enumerate(kinds) if kind == "good"}
        assert {alert.rule for alert in site.book.alerts.values()} == good
        assert {span.rule for span, _ in site.owed} == {f"r{number}" for number in range(len(kinds))} - good
        for rule in rules:
            rule.answer = None
        site.clock.pass_by(1)
        site.pay(batch)
    finally:
        logging.disable(logging.NOTSET)
    assert site.owed == []
    wanted = {
        (f"r{number}", Moment.of(event))
        for number, rule in enumerate(rules)
        for event in EVENTS
        if event.get("details.user") == rule.user
    }
    assert {(alert.rule, alert.first) for alert in site.book.alerts.values()} == wanted


def test_a_batch_that_is_detected_on_again_changes_nothing() -> None:
    site = Site(Rule(answer=lambda window: [finding(e) for e in window.search(Exists("details.user"))]))
    for _ in range(2):
        site.book.record(BatchRecord(alerts=site.stream().alerts))
    assert len(site.book.alerts) == 6
    assert all(alert.count == 1 for alert in site.book.alerts.values())


# Rules that are not on the stream


@pytest.mark.parametrize(
    ("schedule", "mode", "runs"), [("stream", "live", 1), ("60s", "live", 0), ("stream", "off", 0)]
)
def test_a_rule_on_a_schedule_or_off_is_not_run_and_nothing_is_owed_to_it(
    schedule: str, mode: str, runs: int
) -> None:
    rule: Any = Rule(answer=ValueError("no such field"))
    rule.schedule, rule.options = schedule, SimpleNamespace(mode=mode)
    found = Site(rule).stream()
    assert len(rule.windows) == runs
    assert len(found.owed) == runs


def test_what_a_staged_rule_finds_is_marked_as_such() -> None:
    rule: Any = Rule()
    rule.options = SimpleNamespace(mode="staged")
    assert {alert.staged for alert in Site(rule, Rule("joe")).stream().alerts if alert.rule == "r0"} == {True}
    assert {alert.staged for alert in Site(Rule("joe")).stream().alerts} == {False}
