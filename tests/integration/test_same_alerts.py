"""The same alerts on the stream, on a schedule and in a backtest (detections.md A3.9), for rules and events made up.

``MOZDEF_SAME_ALERTS_CASES`` says how many cases there are over the drivers in memory; of those over tantivy and SQLite
there are a tenth as many. How many were made is printed at the end.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.alert import Alert, Moment, weight
from mozdef_core.casework.migration import upgrade
from mozdef_core.event import LATE_HORIZON_S, Event
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, event_at
from tests.integration.same_alerts import (
    Place,
    Results,
    Schedule,
    Spec,
    Stream,
    consumed_by,
    one_pass,
    over_history,
)

CASES: Final = int(os.environ.get("MOZDEF_SAME_ALERTS_CASES", "150"))
ON_DISK: Final = max(5, CASES // 10)
LENGTH: Final = 60
"""Events happen within so many units."""

UNITS: Final = (SECOND, MINUTE // 2, 30 * MINUTE)
made: Counter[str] = Counter()

Act = tuple[str, int]


class Case(NamedTuple):
    """A rule, the events in the order in which they arrive, and what happens meanwhile."""

    spec: Spec
    events: Sequence[Event]
    acts: Sequence[Act]


USERS: Final[Sequence[Sequence[Any]]] = [
    ["ines"],
    ["ines", "joe"],
    ["ines", "joe", ["ines", "joe"], ["joe", "joe"], 7, "7", None, {"a": 1}],
]
RESULTS: Final = [["failed"], ["failed", "failed", "failed", "opened", "closed", "noise"]]
LATE: Final = [[0], [0, 0, 0, 0, 3, 10, 30], [0, 0, 3], [0, 100]]
CLOCKS: Final[Sequence[Sequence[Any]]] = [[0], [0, 0, 0, 1, 4, 20, 60, -3, -200, "ancient"]]
ACTS: Final[Sequence[str]] = ("arrive", "arrive", "run", "wait", "die before", "die after")
FATES: Final[Sequence[str]] = ("well", "well", "well", "processed", "stored", "recorded")
LOSING: Final[Sequence[str]] = (*FATES, "failed", "settle")
KINDS: Final = ("event", "aggregation", "aggregation", "sequence")
STREAMED: Final = ("event",)


def a_spec(drawn: random.Random, kinds: Sequence[str]) -> Spec:
    kind: Any = drawn.choice(kinds)
    fields: list[tuple[str, ...]] = [("details.user",), ("details.user",), ("details.user", "details.host")]
    return Spec(
        kind,
        drawn.choice([*fields, ()] if kind == "event" else fields),
        drawn.choice(UNITS),
        window=drawn.choice((1, 2, 3, 5, 10, 15)),
        threshold=1 if kind == "event" else drawn.choice((1, 2, 3, 3, 4, 6)),
        hosts=drawn.choice((1, 1, 2)) if kind == "aggregation" else 1,
        steps=tuple(drawn.choice((1, 2)) for _ in range(drawn.choice((1, 2, 2, 3)))),
        ordered=drawn.random() < 0.6,
        group_for=drawn.choice((None, 0, 0, 1, 5, 30)),
        staged=drawn.random() < 0.2,
        excepted=(drawn.randint(-5, 30), drawn.randint(10, 65)) if drawn.random() < 0.3 else None,
    )


def in_order(seed: int, kinds: Sequence[str], acts: Sequence[str]) -> Case:
    """Return a case in which events arrive in the order of (detection time, id), whenever they do."""
    drawn = random.Random(seed)
    spec, details = a_spec(drawn, kinds), some_details(drawn)
    times = [drawn.randint(0, LENGTH * 2) for _ in range(drawn.randint(1, 40))]
    events = [_event(spec, at, at, number, drawn, details()) for number, at in enumerate(times)]
    return Case(spec, sorted(events, key=Moment.of), some_acts(drawn, acts))


def in_any_order(seed: int, kinds: Sequence[str], acts: Sequence[str]) -> Case:
    """Return a case in which events arrive late, and from clocks that are wrong either way."""
    drawn = random.Random(seed)
    spec, details = a_spec(drawn, kinds), some_details(drawn)
    late, wrong = drawn.choice(LATE), drawn.choice(CLOCKS)
    events = []
    for number in range(drawn.randint(1, 40)):
        received, error = drawn.randint(0, LENGTH * 2), drawn.choice(wrong)
        ago = 4 * LATE_HORIZON_S * SECOND // spec.unit_us if error == "ancient" else error
        one = _event(spec, received - ago, received, number, drawn, details())
        events.append((received + drawn.choice(late), one))
    ordered = [one for _, one in sorted(events, key=lambda pair: pair[0])]
    return Case(spec, ordered, some_acts(drawn, acts))


def some_acts(drawn: random.Random, acts: Sequence[str]) -> list[Act]:
    return [(drawn.choice(acts), drawn.choice((1, 2, 3, 5, 8))) for _ in range(drawn.randint(0, 30))]


def some_details(drawn: random.Random) -> Callable[[], dict[str, Any]]:
    """Return what makes details: of few users or of many odd values, with few or many results."""
    users, results, many = drawn.choice(USERS), drawn.choice(RESULTS), drawn.random() < 0.3

    def make() -> dict[str, Any]:
        made: dict[str, Any] = {"user": drawn.choice(users), "result": drawn.choice(results)}
        if drawn.random() < 0.8:
            made["host"] = drawn.choice("abc")
        if many and drawn.random() < 0.5:
            made["repeated"] = drawn.choice((0, 1, 1, 3))
        return made

    return make


def _event(
    spec: Spec, at: int, received: int, number: int, drawn: random.Random, details: dict[str, Any]
) -> Event:
    half_s = spec.unit_us / SECOND / 2
    name = f"{drawn.randint(0, 9)}{number:03d}"
    return event_at(at * half_s, received=received * half_s, name=name, **details)


def shrunk(case: Case, check: Callable[[Case], None]) -> Case:
    """Return as small a case as is found quickly that fails as well."""

    def fails(tried: Case) -> bool:
        try:
            check(tried)
        except AssertionError:
            return True
        return False

    for name in ("acts", "events") * 2:
        number = 0
        while number < len(part := getattr(case, name)):
            fewer: dict[str, Any] = {name: [*part[:number], *part[number + 1 :]]}
            tried = case._replace(**fewer)
            if tried.events and fails(tried):
                case = tried
            else:
                number += 1
    return case


def hold(case: Case, check: Callable[[Case], None]) -> None:
    """Check a case; of one that fails show the smallest that does."""
    try:
        check(case)
    except AssertionError:
        small = shrunk(case, check)
        arrivals = [
            ((one.time_us - START_US) / SECOND, (one.received_us - START_US) / SECOND, one.body["details"])
            for one in small.events
        ]
        print(small.spec, small.acts, *arrivals, sep="\n")
        check(small)
        raise


# The two comparisons


def groups_consumed_twice(alerts: Collection[Alert], spec: Spec, events: Collection[Event]) -> list[str]:
    found: Counter[tuple[str, str]] = Counter()
    for value, ids in consumed_by(alerts, spec, events):
        found.update((value, event_id) for event_id in ids)
    return [f"{event_id} of {value}" for (value, event_id), times in found.items() if times > 1]


def compare(alerts: Sequence[Alert], spec: Spec, events: Collection[Event], *, exactly: bool) -> None:
    """Hold what was found against what one pass over the same events finds."""
    assert all(alert.staged == spec.staged for alert in alerts)
    assert len({alert.id for alert in alerts}) == len(alerts)
    found, wanted = consumed_by(alerts, spec, events), one_pass(spec, events)
    assert len(found) == len(alerts)
    if exactly:
        assert found == wanted
        weights = {one.id: weight(one) for one in events}
        counts = sorted(sum(weights[each] for each in ids) for _, ids in found)
        assert sorted(alert.count for alert in alerts) == counts
        return
    assert groups_consumed_twice(alerts, spec, events) == []
    moments = {one.id: Moment.of(one) for one in events}
    assert _apart(found, wanted, moments) == []
    assert _apart(wanted, found, moments) == []


def _apart(these: Results, those: Results, moments: dict[str, Moment]) -> list[tuple[str, list[str]]]:
    """Return those alerts of the one that overlap none of the other."""

    def ends(ids: Collection[str]) -> tuple[Moment, Moment]:
        inside = sorted(moments[each] for each in ids)
        return inside[0], inside[-1]

    apart = []
    for value, ids in these:
        first, last = ends(ids)
        others = [ends(others) for group, others in those if group == value]
        if not any(begin <= last and first <= end for begin, end in others):
            apart.append((value, sorted(ids)))
    return apart


# The three ways


def schedule(case: Case, place: Place) -> None:
    """Run the rule on a schedule while the events arrive."""
    run = Schedule(case.spec, place)
    waiting = list(case.events)
    whole = case.spec.kind == "sequence" and case.spec.ordered
    for name, number in case.acts:
        if name == "arrive":
            while number < len(waiting) and whole and _of_one_moment(waiting[number - 1 : number + 1]):
                number += 1
            run.arrive(waiting[:number])
            del waiting[:number]
        elif name == "wait":
            run.wait(number * case.spec.unit_us)
        elif name == "run":
            run.run()
        else:
            run.die(name.removeprefix("die "))
    run.arrive(waiting)
    run.end()


def _of_one_moment(events: Sequence[Event]) -> bool:
    return len({one.detection_us for one in events}) == 1


def stream(case: Case, place: Place) -> None:
    """Lead the events through a worker with the rule."""
    run = Stream(case.spec, place)
    waiting = list(case.events)
    for fate, number in case.acts:
        if fate == "settle":
            run.settle()
            continue
        run.send(waiting[: number // 2])
        run.send(waiting[number // 2 : number])
        del waiting[:number]
        if fate == "failed":
            run.fail(number)
        else:
            run.work(number, fate)
    run.send(waiting)
    run.end()


def history(case: Case, place: Place) -> list[Alert]:
    """Return what a backtest finds in all that has arrived."""
    events = place.events()
    until_us = max(one.detection_us for one in events) + 1
    return over_history(case.spec, place.store, max(until_us, START_US + MINUTE))


def check_schedule(case: Case, place: Place, *, exactly: bool) -> None:
    schedule(case, place)
    events = place.events()
    assert len(events) == len(case.events)
    compare(place.alerts(), case.spec, events, exactly=exactly)
    compare(history(case, place), case.spec, events, exactly=True)
    note(case, "schedule", place)


def check_stream(case: Case, place: Place, *, exactly: bool) -> None:
    stream(case, place)
    events = place.events()
    assert len(events) == len(case.events)
    compare(place.alerts(), case.spec, events, exactly=exactly)
    compare(history(case, place), case.spec, events, exactly=True)
    note(case, "stream", place)


def note(case: Case, way: str, place: Place) -> None:
    where = "memory" if place.root is None else "disk"
    made[f"{way} over {where}, {case.spec.kind}"] += 1
    made["alerts"] += len(place.alerts())


def test_what_arrives_late_around_two_alerts_is_not_one_over_both() -> None:
    spec = Spec("aggregation", ("details.user",), SECOND, window=15, threshold=3, group_for=0)
    times = [(5, 5), (6, 6), (7, 7), (9, 9), (10, 10), (11, 11), (3, 12), (13, 13), (14, 14)]
    events = [
        event_at(at, received=received, name=str(at), user="ines", result="failed") for at, received in times
    ]
    check_schedule(Case(spec, events, [("arrive", 6), ("wait", 1), ("run", 0)]), Place(), exactly=False)


SEEDS: Final = st.integers(0, 1 << 62)


@settings(max_examples=CASES)
@given(SEEDS)
def test_on_a_schedule_what_arrives_in_order_is_found_as_in_one_pass(seed: int) -> None:
    hold(in_order(seed, KINDS, ACTS), lambda case: check_schedule(case, Place(), exactly=True))


@settings(max_examples=CASES)
@given(SEEDS)
def test_on_a_schedule_what_arrives_in_any_order_is_found_once_and_nothing_is_missed(seed: int) -> None:
    hold(in_any_order(seed, KINDS, ACTS), lambda case: check_schedule(case, Place(), exactly=False))


@settings(max_examples=CASES)
@given(SEEDS)
def test_on_the_stream_what_arrives_in_order_is_found_as_in_one_pass(seed: int) -> None:
    hold(in_order(seed, STREAMED, FATES), lambda case: check_stream(case, Place(), exactly=True))


@settings(max_examples=CASES)
@given(SEEDS)
def test_on_the_stream_what_arrives_in_any_order_is_found_once_and_nothing_is_missed(seed: int) -> None:
    hold(in_any_order(seed, STREAMED, LOSING), lambda case: check_stream(case, Place(), exactly=False))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty casework database."""
    path = tmp_path_factory.mktemp("template") / "casework.db"
    upgrade(f"sqlite:///{path}")
    return path


@settings(max_examples=ON_DISK)
@given(SEEDS, st.booleans(), st.booleans())
def test_over_tantivy_and_a_database_it_is_the_same(
    template: Path, seed: int, ordered: bool, streamed: bool
) -> None:
    arrivals = in_order if ordered else in_any_order
    fates = FATES if ordered else LOSING
    case = arrivals(seed, STREAMED if streamed else KINDS, fates if streamed else ACTS)

    def check(case: Case) -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = Place(root=Path(folder) / "place", template=template)
            try:
                (check_stream if streamed else check_schedule)(case, place, exactly=ordered)
            finally:
                place.close()

    hold(case, check)


def test_the_cases_were_made_and_found_something() -> None:
    print("".join(f"\n{number:>7} {what}" for what, number in sorted(made.items())))
    if made:
        assert made["alerts"]
