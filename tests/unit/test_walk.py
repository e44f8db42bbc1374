"""The walk finds the same whenever it is made, at a cost that is linear in the events."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.alert import Consumed, Moment, weight
from mozdef_core.event import Event, isoformat
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.query.groups import group_values
from mozdef_core.query.model import Term
from mozdef_core.rules.sequence import InOrder, Together
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US
from mozdef_core.walk import Finding, Threshold, Trigger, walk

USER = "details.username"
LONG = timedelta(days=1)


def at(seconds: float, name: str = "", *, received: float | None = None, **details: Any) -> Event:
    """Return an event; the name is its id, by default made from its time."""
    us = START_US + round(seconds * SECOND)
    received_us = us if received is None else START_US + round(received * SECOND)
    body = {
        "utctimestamp": isoformat(us),
        "receivedtimestamp": isoformat(received_us),
        "details": {"username": "ines", **details},
    }
    return Event(name or f"{us}", body)


def by_user(event: Event) -> set[str]:
    return group_values(event, USER)


def span(alert_id: str, first: Event, last: Event, closed: float | None = None) -> Consumed:
    closed_us = None if closed is None else START_US + int(closed * SECOND)
    return Consumed(alert_id, Moment.of(first), Moment.of(last), closed_us)


def found(
    events: Iterable[Event],
    threshold: int = 3,
    window_s: float = 10,
    having: Mapping[str, int] | None = None,
    consumed: Mapping[str, Sequence[Consumed]] | None = None,
    group_s: float = 0,
    max_s: float = 86_400,
    groups_of: Callable[[Event], Iterable[str]] = by_user,
    make_trigger: Callable[[], Trigger] | None = None,
) -> list[Finding]:
    return list(
        walk(
            sorted(events, key=Moment.of),
            groups_of,
            make_trigger or (lambda: Threshold(threshold, having or {})),
            window=timedelta(seconds=window_s),
            consumed=consumed or {},
            group_for=timedelta(seconds=group_s),
            group_max=timedelta(seconds=max_s),
        )
    )


def times(findings: Iterable[Finding]) -> list[list[float]]:
    return [[(event.time_us - START_US) / SECOND for event in finding.events] for finding in findings]


# A3.3: the first event at which the unconsumed events not older than the window reach the threshold


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0, 1], []),
        ([0, 1, 2], [[0, 1, 2]]),
        ([0, 5, 10], [[0, 5, 10]]),  # inclusive
        ([0, 5, 10.000001], []),
        ([0, 5, 11, 12], [[5, 11, 12]]),
        ([0, 1, 2, 3, 4], [[0, 1, 2]]),  # the last two are too few
        ([0, 1, 2, 3, 4, 5], [[0, 1, 2], [3, 4, 5]]),
    ],
)
def test_the_threshold_is_reached_within_the_window(
    seconds: list[float], expected: list[list[float]]
) -> None:
    assert times(found(map(at, seconds))) == expected


def test_events_of_one_moment_are_taken_in_order_of_their_ids() -> None:
    (first,) = found([at(1, name) for name in "DBAC"])
    assert [event.id for event in first.events] == ["A", "B", "C"]


def test_what_is_counted_is_how_often_a_message_was_repeated() -> None:
    (first,) = found([at(0, repeated=2), at(1)])
    assert (first.count, len(first.events)) == (3, 2)
    assert found([at(0, repeated="2"), at(1, repeated=-5)]) == []
    (first,) = found([at(0, repeated=2), at(11, repeated=2), at(12)])
    assert times([first]) == [[11, 12]]


def test_a_further_event_within_group_for_extends_a_finding_singly() -> None:
    assert times(found(map(at, [0, 1, 2, 7, 12, 18]), group_s=5)) == [[0, 1, 2, 7, 12]]
    (first,) = found([at(0), at(1), at(2), at(7, repeated=4)], group_s=5)
    assert first.count == 7


def test_nothing_extends_a_finding_where_group_for_is_zero_even_at_the_same_moment() -> None:
    assert times(found([at(1, name) for name in "ABCD"], group_s=0)) == [[1, 1, 1]]


def test_a_finding_is_extended_within_group_max_of_its_first_event() -> None:
    seconds = [0, 1, 2, 6, 10, 14, 15, 16]
    assert times(found(map(at, seconds), group_s=5, max_s=10)) == [[0, 1, 2, 6, 10], [14, 15, 16]]


# A3.4, A3.7, A3.8: what earlier alerts have consumed


def test_an_event_inside_a_span_is_passed_over() -> None:
    consumed = {"ines": [span("a", at(0), at(2))]}
    assert found(map(at, [0, 1, 2, 3, 4]), consumed=consumed) == []
    assert times(found(map(at, [0, 1, 2, 3, 4, 5]), consumed=consumed)) == [[3, 4, 5]]
    assert times(found(map(at, [0, 1, 2]), consumed={"joe": consumed["ines"]})) == [[0, 1, 2]]


def test_a_span_ends_with_the_id_of_its_last_event() -> None:
    consumed = {"ines": [span("a", at(1, "B"), at(1, "C"))]}
    (first,) = found([at(1, name) for name in "ABCDE"], consumed=consumed)
    assert [event.id for event in first.events] == ["A", "D", "E"]


def test_an_event_near_an_open_alert_extends_it_and_several_of_a_run_do_so_at_once() -> None:
    consumed = {"ines": [span("a", at(0), at(2))]}
    (more,) = found(map(at, [1, 5, 9]), consumed=consumed, group_s=5)
    assert (more.extends, times([more])) == ("a", [[5, 9]])
    (more,) = found(map(at, [5, 9]), consumed=consumed, group_s=5)  # none of its own events is seen
    assert (more.extends, more.count) == ("a", 2)
    assert found(map(at, [7.1, 8]), consumed=consumed, group_s=5) == []


def test_an_event_beyond_group_max_of_an_alert_does_not_extend_it() -> None:
    consumed = {"ines": [span("a", at(0), at(90))]}
    (more,) = found(map(at, [92, 95, 97]), consumed=consumed, group_s=5, max_s=93)
    assert (more.extends, times([more])) == ("a", [[92]])  # the others are too few for one of their own
    more, own = found(map(at, [92, 95, 97, 99]), consumed=consumed, group_s=5, max_s=92)
    assert (more.extends, own.extends, times([more, own])) == ("a", "", [[92], [95, 97, 99]])


def test_a_closed_alert_is_not_extended_and_consumes_only_what_was_received_before() -> None:
    consumed = {"ines": [span("a", at(0), at(4), closed=100)]}
    assert found(map(at, [0, 1, 2, 5, 6]), consumed=consumed, group_s=5) == []
    late = [at(second, received=101) for second in (1, 2, 3)]
    assert times(found(late, consumed=consumed, group_s=5)) == [[1, 2, 3]]
    just = [at(second, received=100) for second in (1, 2, 3)]
    assert found(just, consumed=consumed) == []


def test_what_is_found_around_several_alerts_is_more_of_these_for_one_would_reach_over_all() -> None:
    consumed = {"ines": [span("a", at(1), at(2)), span("b", at(4), at(5))]}
    findings = found(map(at, [0, 1, 2, 3, 4, 5, 6, 7]), threshold=4, consumed=consumed)
    assert times(findings) == [[0], [3], [6, 7]]
    assert [finding.extends for finding in findings] == ["a", "a", "b"]
    assert [finding.count for finding in findings] == [1, 1, 2]


def test_what_comes_after_a_finding_around_several_alerts_extends_the_last_of_them() -> None:
    consumed = {"ines": [span("a", at(1), at(1)), span("b", at(3), at(3))]}
    findings = found(map(at, [0, 1, 3, 8, 9, 10, 11]), window_s=9, consumed=consumed, group_s=2)
    assert times(findings) == [[0], [8, 9, 10, 11]]
    assert [finding.extends for finding in findings] == ["a", "b"]


def test_what_is_left_over_before_a_span_counts_with_what_comes_behind_it() -> None:
    consumed = {"ines": [span("a", at(1), at(3))]}
    assert times(found(map(at, [0, 1, 2, 3, 4, 5]), consumed=consumed)) == [[0, 4, 5]]


def test_the_nearest_of_several_spans_is_extended() -> None:
    consumed = {"ines": [span("b", at(4), at(5)), span("a", at(0), at(2)), span("c", at(20), at(30))]}
    (more,) = found([at(6)], consumed=consumed, group_s=9)
    assert more.extends == "b"


# A3.5, A3.6: groups and distinct values


def test_an_event_is_in_the_group_of_each_element_of_a_list() -> None:
    events = [at(0, username=["ines", "joe", "ines"]), at(1), at(2), at(3, username="joe")]
    assert times(found(events)) == [[0, 1, 2]]
    found_by_user = {one.value: times([one])[0] for one in found([*events, at(4, username=["joe"])])}
    assert found_by_user == {"ines": [0, 1, 2], "joe": [0, 3, 4]}


def test_distinct_values_are_those_of_all_events_within_the_window() -> None:
    having = {"details.host": 2}
    assert times(found([at(s, host="a") for s in range(5)], having=having)) == []
    mixed = [at(0, host="b"), *(at(s, host="a") for s in (5, 6, 11)), at(12, host=["a", "b"])]
    assert times(found(mixed, having=having)) == [[0, 5, 6]]
    assert times(found(mixed[1:], having=having)) == [[5, 6, 11, 12]]
    assert times(found([at(0, host="b"), *mixed[2:4]], window_s=10, having=having)) == []  # "b" is too old


# Whenever a walk is made, it finds the same

Case = tuple[list[Event], int, float, float, float, list[int], bool]

DETAILS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"username": st.sampled_from(["ines", "joe", ["ines", "joe"], ["joe", "kim", "joe"], None, {"a": 1}])},
    optional={"repeated": st.integers(0, 4), "host": st.sampled_from("abc")},
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Events in order, a threshold, window, group_for, group_max, times of runs, and whether hosts must differ."""
    seconds = draw(st.lists(st.integers(0, 60), min_size=1, max_size=40).map(sorted))
    events = [
        at(second, f"{draw(st.integers(0, 9))}{n:03d}", **draw(DETAILS)) for n, second in enumerate(seconds)
    ]
    return (
        sorted(events, key=Moment.of),
        draw(st.integers(1, 7)),
        draw(st.integers(1, 20)),
        draw(st.sampled_from([0, 0, 1, 5, 20])),
        draw(st.sampled_from([10, 25, 86_400])),
        draw(st.lists(st.integers(0, 62), max_size=12)),
        draw(st.booleans()),
    )


def single_pass(case: Case) -> set[tuple[str, frozenset[str]]]:
    """Return what a single pass finds, said as plainly as the specification does."""
    events, threshold, window_s, group_s, max_s, _, hosts = case
    results = set()
    for value in sorted({value for event in events for value in by_user(event)}):
        mine = [event for event in events if value in by_user(event)]
        taken: set[str] = set()
        findings: list[list[Event]] = []
        for number, event in enumerate(mine):
            last = findings[-1] if findings else None
            if (
                last
                and group_s
                and event.time_us - last[-1].time_us <= group_s * SECOND
                and event.time_us - last[0].time_us <= max_s * SECOND
            ):
                last.append(event)
                taken.add(event.id)
                continue
            near = [
                other
                for other in mine[: number + 1]
                if other.id not in taken and event.time_us - other.time_us <= window_s * SECOND
            ]
            distinct = {host for other in near for host in other.values("details.host")}
            if sum(map(weight, near)) >= threshold and (not hosts or len(distinct) >= 2):
                findings.append(near)
                taken.update(other.id for other in near)
        results |= {(value, frozenset(event.id for event in one)) for one in findings}
    return results


class Spans:
    """What a ledger keeps of the alerts: the span of each, and which events made it."""

    def __init__(self) -> None:
        self.alerts: dict[str, tuple[str, list[Event]]] = {}

    def consumed(self) -> Mapping[str, Sequence[Consumed]]:
        spans = defaultdict(list)
        for alert_id, (value, events) in self.alerts.items():
            spans[value].append(span(alert_id, events[0], events[-1]))
        return spans

    def store(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.extends:
                self.alerts[finding.extends][1].extend(finding.events)
            else:
                self.alerts[f"{finding.value}:{finding.events[0].id}"] = (finding.value, list(finding.events))

    @property
    def results(self) -> set[tuple[str, frozenset[str]]]:
        return {(value, frozenset(event.id for event in events)) for value, events in self.alerts.values()}


def runs(case: Case) -> Iterator[tuple[int, int]]:
    edges = sorted({0, *case[5], 100})
    return ((START_US + one * SECOND, START_US + other * SECOND) for one, other in pairwise(edges))


@settings(max_examples=300)
@given(cases())
def test_a_schedule_decides_when_a_rule_looks_and_never_what_it_finds(case: Case) -> None:
    events, threshold, window_s, group_s, max_s, _, hosts = case
    spans = Spans()
    for start_us, end_us in runs(case):
        seen = [event for event in events if start_us - window_s * SECOND <= event.time_us < end_us]
        having = {"details.host": 2} if hosts else {}
        spans.store(found(seen, threshold, window_s, having, spans.consumed(), group_s, max_s))
    assert spans.results == single_pass(case)


@given(cases())
def test_what_is_swept_no_longer_matters(case: Case) -> None:
    events, threshold, window_s, group_s, max_s, _, hosts = case
    having = {"details.host": 2} if hosts else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mozdef_core.walk._SWEEP", -(10**9))  # after every event
        findings = found(events, threshold, window_s, having, {}, group_s, max_s)
    results = {(finding.value, frozenset(event.id for event in finding.events)) for finding in findings}
    assert results == single_pass(case)


@settings(max_examples=100)
@given(cases(), st.data())
def test_what_an_earlier_alert_consumed_is_never_found_again(case: Case, data: st.DataObject) -> None:
    """Whatever the spans are: no open alert's events are in a finding, and none is in two of a group."""
    events, threshold, window_s, group_s, max_s, _, _ = case
    moments = sorted(Moment.of(event) for event in events)
    spans = []
    for number in range(data.draw(st.integers(0, 4))):
        one, other = sorted(data.draw(st.tuples(st.sampled_from(moments), st.sampled_from(moments))))
        spans.append(Consumed(f"a{number}", one, other))
    findings = found(events, threshold, window_s, {}, {"ines": spans}, group_s, max_s)
    mine = [Moment.of(event) for finding in findings if finding.value == "ines" for event in finding.events]
    assert len(mine) == len(set(mine))
    assert not [moment for moment in mine for one in spans if one.first <= moment <= one.last]


def pieces_find(seconds: Sequence[float], threshold: int, step_s: int, window_s: int) -> bool:
    """Return whether some run finds a burst if each counts only what lies in a fixed span before it."""
    ends = range(0, int(max(seconds)) + window_s + step_s, step_s)
    return any(sum(end - window_s <= second < end for second in seconds) >= threshold for end in ends)


def test_fixed_pieces_would_miss_a_seventh_of_the_bursts_that_the_walk_finds() -> None:
    """Bursts of 12 in 119 s at a threshold of 10 in 2 min, with a run each minute: the figure of A3.3."""
    chance = random.Random(1)
    bursts, missed = 2_000, 0
    for _ in range(bursts):
        start = chance.uniform(0, 60)
        seconds = sorted(start + chance.uniform(0, 119) for _ in range(12))
        missed += not pieces_find(seconds, 10, 60, 120)
        spans = Spans()
        events = [at(second, f"{number:02d}") for number, second in enumerate(seconds)]
        for end in range(60, 240, 60):
            seen = [event for event in events if end - 180 <= (event.time_us - START_US) / SECOND < end]
            spans.store(found(seen, 10, 120, {}, spans.consumed(), 120))
        assert spans.results == {("ines", frozenset(event.id for event in events))}
    assert 0.13 < missed / bursts < 0.16


# Sequences

FAILED, OPENED, ADDED = (Term("details.action", action) for action in ("failed", "opened", "added"))


def in_order(*least: int, window_s: float = 10) -> Callable[[], Trigger]:
    tests = [compile_query(query) for query in (FAILED, OPENED, ADDED)[: len(least)]]
    return lambda: InOrder(tests, least, timedelta(seconds=window_s))


def together(*least: int) -> Callable[[], Trigger]:
    tests = [compile_query(query) for query in (FAILED, OPENED, ADDED)[: len(least)]]
    return lambda: Together(tests, least)


def did(text: str, **details: Any) -> list[Event]:
    """Return events from words such as ``f0 f1 o2``: failed at 0 s and 1 s, opened at 2 s; ``o2x`` sets its id."""
    actions = {"f": "failed", "o": "opened", "a": "added"}
    events = []
    for number, word in enumerate(text.split()):
        second = word[1:].rstrip("xyz")
        events.append(
            at(float(second), word[len(second) + 1 :] or f"m{number:03d}", action=actions[word[0]], **details)
        )
    return events


@pytest.mark.parametrize(
    ("text", "least", "expected"),
    [
        ("f0 f1 o2", (2, 1), [[0, 1, 2]]),
        ("f0 o2", (2, 1), []),
        ("o0 f1 f2", (2, 1), []),
        ("f0 o1 f2 o3", (2, 1), [[0, 1, 2, 3]]),
        ("f0 f1 o10", (2, 1), [[0, 1, 10]]),
        ("f0 f1 o10.5", (2, 1), []),
        ("f0 f8 f9 o18", (2, 1), [[8, 9, 18]]),
        ("f0 f1 f2 o3 o4", (2, 1), [[0, 1, 2, 3]]),
        ("f0 o1 f2 o3 a4", (2, 1, 1), [[0, 1, 2, 3, 4]]),
        ("f0 o1 f2 a3 a4", (2, 1, 1), []),
        ("f0 f1 o2 a3", (2, 1, 1), [[0, 1, 2, 3]]),
        ("f0 f1 a2 o3 a4", (2, 1, 1), [[0, 1, 2, 3, 4]]),
        ("f0 o1 f2 f9 o11 a12", (1, 2, 1), []),
        ("f2 o3 o11 a12", (1, 2, 1), [[2, 3, 11, 12]]),
    ],
)
def test_steps_come_one_after_the_other_within_the_window(
    text: str, least: tuple[int, ...], expected: list[list[float]]
) -> None:
    assert times(found(did(text), make_trigger=in_order(*least))) == expected


@pytest.mark.parametrize("text", ["f1x f1y o1z", "o1x f1y f1z", "f1x o1y f1z", "f0 o1x f1y"])
def test_equal_times_count_as_in_order_whatever_the_ids_are(text: str) -> None:
    (one,) = found(did(text), make_trigger=in_order(2, 1))
    assert len(one.events) == 3
    assert [event.id for event in one.events] == sorted(event.id for event in one.events)


def test_a_finding_takes_all_events_of_its_last_moment() -> None:
    (one,) = found(did("f0 o1x o1y f1z"), make_trigger=in_order(1, 1))
    assert len(one.events) == 4


def test_an_event_is_in_one_place_of_an_order() -> None:
    tests = [compile_query(FAILED), compile_query(FAILED)]
    findings = found(did("f0 f3"), make_trigger=lambda: InOrder(tests, (1, 1), LONG))
    assert times(findings) == [[0, 3]]
    assert found(did("f0"), make_trigger=lambda: InOrder(tests, (1, 1), LONG)) == []


def test_repeated_messages_make_a_step_as_often_as_they_were_repeated() -> None:
    assert times(found(did("f0", repeated=3) + did("o1"), make_trigger=in_order(3, 1))) == [[0, 1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("o0 f1 f2", [[0, 1, 2]]),
        ("f0 o1 f2", [[0, 1, 2]]),
        ("o0 f10 f11", []),
        ("o0 f1 f11 o12", []),
        ("f0 f1", []),
    ],
)
def test_without_order_each_step_is_made_somewhere_in_the_window(
    text: str, expected: list[list[float]]
) -> None:
    assert times(found(did(text), make_trigger=together(2, 1))) == expected


def holds(actions: Sequence[tuple[float, str]], least: Sequence[int], ordered: bool) -> bool:
    """Return whether the steps are in the events, said as plainly as can be; equal times are sorted by step."""
    names = ("failed", "opened", "added")[: len(least)]
    if not ordered:
        return all(
            sum(action == name for _, action in actions) >= n for name, n in zip(names, least, strict=True)
        )
    place, had = 0, 0
    for _, action in sorted(actions, key=lambda one: (one[0], names.index(one[1]) if one[1] in names else 9)):
        if place < len(least) and action == names[place]:
            had += 1
            if had == least[place]:
                place, had = place + 1, 0
    return place == len(least)


SEQUENCES = st.tuples(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from("foa"), st.sampled_from(["ines", "joe"])), max_size=30
    ),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.booleans(),
    st.integers(1, 15),
    st.lists(st.integers(0, 41), max_size=6),
    st.sampled_from([0, 0, 4]),
)


@settings(max_examples=300)
@given(SEQUENCES)
def test_a_sequence_is_found_by_a_search_of_all_events_and_by_runs_at_any_time(drawn: Any) -> None:
    words, least, ordered, window_s, edges, group_s = drawn
    full = {"f": "failed", "o": "opened", "a": "added"}
    events = sorted(
        (at(s, f"{(7 * n) % 31:02d}", action=full[a], username=u) for n, (s, a, u) in enumerate(words)),
        key=Moment.of,
    )
    expected = set()
    for user in ("ines", "joe"):
        free: list[Event] = []
        last: list[Event] = []
        for second in range(41):
            now = [e for e in events if e.time_us == START_US + second * SECOND and e.get(USER) == user]
            if last and group_s and now and now[0].time_us - last[-1].time_us <= group_s * SECOND:
                last.extend(now)
                continue
            free = [e for e in [*free, *now] if e.time_us >= START_US + (second - window_s) * SECOND]
            if now and holds([(e.time_us, e.get("details.action")) for e in free], least, ordered):
                if last:
                    expected.add((user, frozenset(e.id for e in last)))
                free, last = [], free
        if last:
            expected.add((user, frozenset(e.id for e in last)))
    make = in_order(*least, window_s=window_s) if ordered else together_moments(*least)
    spans = Spans()
    for one, other in pairwise(sorted({0, *edges, 50})):
        seen = [
            e for e in events if START_US + (one - window_s) * SECOND <= e.time_us < START_US + other * SECOND
        ]
        spans.store(found(seen, 1, window_s, {}, spans.consumed(), group_s, make_trigger=make))
    assert spans.results == expected


def together_moments(*least: int) -> Callable[[], Trigger]:
    """As ``together``, but asked once for each moment, so that one oracle does for both."""

    class Moments(Together):
        together = True

    tests = [compile_query(query) for query in (FAILED, OPENED, ADDED)[: len(least)]]
    return lambda: Moments(tests, least)


# What it costs


def calls(work: Callable[[], object]) -> int:
    """Return how many functions were called, written in Python or in C, and generators resumed."""
    counted = 0

    def note(_frame: object, kind: str, _argument: object) -> None:
        nonlocal counted
        counted += kind in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def users(count: int, every: int) -> list[Event]:
    return [at(n / 100, f"{n:06d}", username=f"u{n % every}", host=f"h{n}") for n in range(count)]


COSTS: Mapping[str, Callable[[int], Callable[[], object]]] = {
    "never enough": lambda n: lambda: found(users(n, 1), 10**9, 86_400),
    "never distinct": lambda n: lambda: found(users(n, 1), 3, 86_400, {"details.none": 2}),
    "a window that slides": lambda n: lambda: found(users(n, 1), 10**9, 1),
    "distinct values that slide": lambda n: lambda: found(users(n, 1), 3, 1, {"details.host": 10**9}),
    "each a finding": lambda n: lambda: found(users(n, 1), 1, 10),
    "one long finding": lambda n: lambda: found(users(n, 1), 1, 10, group_s=60),
    "each a group": lambda n: lambda: found(users(n, n), 3, 1),
    "many spans": lambda n: lambda: found(users(n, 1), 3, 10, consumed=many_spans(n)),
    "a sequence never made": lambda n: (
        lambda: found(did("f0 o0 " * (n // 2)), make_trigger=in_order(10**9, 1))
    ),
    "a sequence in wrong order": lambda n: (
        lambda: found(
            [e for s in range(n) for e in did(f"{'o' if s < n / 2 else 'f'}{s}")],
            1,
            10**6,
            make_trigger=in_order(1, 1),
        )
    ),
}


def many_spans(count: int) -> Mapping[str, Sequence[Consumed]]:
    events = users(count, 1)
    return {"u0": [span(f"a{n}", events[n], events[n + 1]) for n in range(0, count - 1, 4)]}


@pytest.mark.parametrize("name", COSTS)
def test_four_times_the_events_cost_four_times_the_calls(name: str) -> None:
    few, many = (calls(COSTS[name](count)) for count in (1_000, 4_000))
    assert 3.5 < many / few < 4.5


def test_a_long_walk_holds_the_groups_of_a_window_only() -> None:
    alive = most = 0

    class Counted(Threshold):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def make() -> Trigger:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return Counted(2, {})

    assert found(users(20_000, 20_000), window_s=1, make_trigger=make) == []
    assert most < 3_000  # 100 groups in a second, and those that a sweep has not come to yet
