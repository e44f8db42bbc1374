"""The window over the store: exact in detection time, whatever the clocks of senders said."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozdef_core.alert import Consumed, Moment
from mozdef_core.detection import received
from mozdef_core.detection.intervals import Span
from mozdef_core.detection.store_window import StoreWindow
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.errors import QueryTimeoutError
from mozdef_core.event import Event, isoformat
from mozdef_core.ports import BatchRecord, EventStore, Interval, Outcome, Page, RunState
from mozdef_core.query.groups import count_groups, frequent
from mozdef_core.query.model import All, Query, Search, Term
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US, Clock, event_at, finding

DAY_S = 86_400
END_US = START_US + 10 * SECOND


def made(number: int, own_s: float, received_s: float, user: str, *, replayed: bool = False) -> Event:
    event = event_at(own_s, received=received_s, name=f"{number:04d}", user=user)
    return Event(event.id, {**event.body, "mozdef": {"replayed": True}}) if replayed else event


moments = st.one_of(
    st.integers(-3, 13),
    st.sampled_from(
        [-3600, 3600, -7 * DAY_S - 1, -7 * DAY_S, -7 * DAY_S + 1, -8 * DAY_S, 30 * DAY_S, -400 * DAY_S]
    ),
)
drawn = st.lists(
    st.tuples(moments, st.integers(-3, 13), st.sampled_from(["ines", "joe", "kim"]), st.booleans()),
    max_size=25,
).map(
    lambda rows: [
        made(number, own, received, user, replayed=replayed)
        for number, (own, received, user, replayed) in enumerate(rows)
    ]
)
queries = st.sampled_from([All(), Term("details.user", "ines"), Term("details.user", "nobody")])
pages = st.sampled_from([1, 2, 3, 50])


def window(
    store: EventStore, start_s: float = 0, end_s: float = 10, page: int = 50, **more: Any
) -> StoreWindow:
    span = Span(START_US + int(start_s * SECOND), START_US + int(end_s * SECOND))
    return StoreWindow(
        store, more.pop("ledger", None) or MemoryBook(clock=Clock()), "rule", span, page=page, **more
    )


def truth(events: Sequence[Event], query: Query, start_s: float, end_s: float) -> list[str]:
    user = query.value if isinstance(query, Term) else None
    first_us, end_us = START_US + int(start_s * SECOND), START_US + int(end_s * SECOND)
    inside = [event for event in events if first_us <= event.detection_us < end_us]
    found = [event for event in inside if user is None or event.get("details.user") == user]
    return [event.id for event in sorted(found, key=Moment.of)]


@given(events=drawn, query=queries, page=pages, before=st.integers(0, 4), end=st.integers(0, 11))
def test_a_search_is_what_looking_at_every_event_would_find(
    events: list[Event], query: Query, page: int, before: int, end: int
) -> None:
    store = MemoryStore()
    store.write(events)
    found = [
        event.id for event in window(store, 0, end, page).search(query, before=timedelta(seconds=before))
    ]
    assert found == truth(events, query, -before, end)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=drawn, query=queries, page=pages, before=st.integers(0, 4))
def test_so_it_is_over_the_embedded_store(events: list[Event], query: Query, page: int, before: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = TantivyStore(TantivyStore.Options(), Path(directory) / "events", "writer")
        try:
            store.write(events)
            store.refresh()
            looked = window(store, page=page)
            found = [event.id for event in looked.search(query, before=timedelta(seconds=before))]
            assert found == truth(events, query, -before, 10)
            last = looked.last(query)
            assert (last and last.id) == latest(events, query)
        finally:
            store.close()


def latest(events: Sequence[Event], query: Query) -> str | None:
    user = query.value if isinstance(query, Term) else None
    matches = [event for event in events if user is None or event.get("details.user") == user]
    early = [event for event in matches if event.received_us < END_US]
    return max(early, key=lambda event: (event.received_us, event.id)).id if early else None


@given(events=drawn, query=queries)
def test_the_last_is_the_one_received_last_whatever_its_own_time(events: list[Event], query: Query) -> None:
    store = MemoryStore()
    store.write(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(received, "_FEW", 1)
        last = window(store).last(query)
    assert (last and last.id) == latest(events, query)


@given(
    events=drawn,
    query=queries,
    since=st.integers(-4, 12),
    before=st.integers(-4, 14),
    few=st.sampled_from([1, 9]),
)
def test_the_first_and_the_last_of_a_span_of_reception(
    events: list[Event], query: Query, since: int, before: int, few: int
) -> None:
    store = MemoryStore()
    store.write(events)
    span = {"since_us": START_US + since * SECOND, "before_us": START_US + before * SECOND}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(received, "_FEW", few)
        found = (window(store).first(query, **span), window(store).last(query, **span))
    user = query.value if isinstance(query, Term) else None
    matches = sorted(
        (event for event in events if user is None or event.get("details.user") == user),
        key=lambda event: (event.received_us, event.id),
    )
    stop_us = min(span["before_us"], END_US)
    inside = [event.id for event in matches if span["since_us"] <= event.received_us < stop_us]
    assert [event and event.id for event in found] == ([inside[0], inside[-1]] if inside else [None, None])


def test_the_last_is_found_however_long_ago_and_among_many() -> None:
    store = MemoryStore()
    burst = [event_at(-200 * DAY_S + number / 100, name=f"{number:04d}") for number in range(3_000)]
    store.write(burst)
    last = window(store).last(All())
    assert last is not None
    assert last.id == burst[-1].id


@given(events=drawn, at_least=st.integers(1, 4), before=st.integers(0, 4))
def test_groups_leave_out_none_that_has_enough_events_and_count_none_too_low(
    events: list[Event], at_least: int, before: int
) -> None:
    store = MemoryStore()
    store.write(events)
    groups = window(store).groups("details.user", All(), at_least=at_least, before=timedelta(seconds=before))
    wanted = set(truth(events, All(), -before, 10))
    counted = frequent(
        count_groups((event for event in events if event.id in wanted), "details.user"), at_least
    )
    assert all(groups.get(value, 0) >= number for value, number in counted.items())


def test_a_burst_of_one_moment_is_read_in_order_of_ids() -> None:
    store = MemoryStore()
    twins = [event_at(3, name=f"{number:03d}") for number in range(40)]
    store.write([*reversed(twins), event_at(4)])
    found = [event.id for event in window(store, page=7)]
    assert found[:-1] == [event.id for event in twins]


def test_a_fleet_with_clocks_ahead_is_read_a_piece_at_a_time() -> None:
    searched: list[int] = []

    class Watched(MemoryStore):
        def search(self, search: Search) -> Page:
            page = super().search(search)
            searched.append(len(page.events))
            return page

    store = Watched()
    ahead = [
        event_at(7_200 + number / 100, received=number / 100, name=f"{number:03d}") for number in range(1_000)
    ]
    store.write(ahead)
    read = iter(window(store, page=10))
    assert next(read).id == ahead[0].id
    assert sum(searched) < 300
    assert [event.id for event in read] == [event.id for event in ahead[1:]]


def test_an_answer_that_was_cut_short_is_none() -> None:
    class Slow(MemoryStore):
        def search(self, search: Search) -> Page:
            return Page(super().search(search).events, None, complete=False)

    store = Slow()
    store.write([event_at(1)])
    with pytest.raises(QueryTimeoutError, match="30 s"):
        list(window(store))


def test_removed_events_are_left_out_and_counted_in_the_window_only() -> None:
    asked: list[tuple[str, bool]] = []

    def keep(event: Event, counted: bool) -> bool:
        asked.append((event.id, counted))
        return event.get("details.user") != "joe"

    store = MemoryStore()
    events = [event_at(-1, user="joe"), event_at(1, user="joe"), event_at(2, user="ines")]
    store.write(events)
    looked = window(store, keep=keep)
    assert [event.id for event in looked.search(All(), before=timedelta(seconds=5))] == [events[2].id]
    assert asked == [(events[0].id, False), (events[1].id, True), (events[2].id, True)]
    assert looked.events == 1
    assert [event.id for event in looked.fresh(All())] == [events[2].id]


def test_an_event_that_several_searches_bring_is_counted_once() -> None:
    store = MemoryStore()
    events = [event_at(number, user=("ines", "joe")[number % 2]) for number in range(6)]
    store.write(events)
    looked = window(store)
    for query in (All(), Term("details.user", "joe"), All()):
        list(looked.search(query))
    next(looked.search(All()))
    assert looked.events == 6
    apart = window(store)
    for user in ("joe", "ines", "joe"):
        list(apart.search(Term("details.user", user)))
    assert apart.events == 6
    assert window(store).events == 0


# What the ledger knows


@pytest.fixture
def ledger() -> MemoryBook:
    return MemoryBook(clock=Clock())


def test_what_was_consumed_is_that_of_the_rule_from_the_look_back_on(ledger: MemoryBook) -> None:
    early, old = finding(event_at(-2), user="ines"), finding(event_at(-60), user="joe")
    ledger.record(BatchRecord(alerts=[early, old, finding(event_at(1), rule="another", user="kim")]))
    found = window(MemoryStore(), ledger=ledger).consumed(timedelta(seconds=5))
    moment = Moment.of(event_at(-2))
    assert found == {"ines": [Consumed(early.minted_id, moment, moment)]}


def test_fresh_events_are_those_of_the_window_and_of_late_spans_that_were_not_given_before(
    ledger: MemoryBook,
) -> None:
    store = MemoryStore()
    known, late, due, elsewhere = event_at(-60), event_at(-59), event_at(1), event_at(-30)
    store.write([known, late, due, elsewhere])
    lease = ledger.lease("rule", START_US, START_US, 60)
    assert lease is not None
    row = Interval("rule", START_US, START_US + 1, RunState.RAN, START_US)
    ledger.finish(lease, Outcome(row, seen={known.id: known.detection_us}))
    looked = window(store, ledger=ledger, late=[Span(START_US - 60 * SECOND, START_US - 58 * SECOND)])
    assert [event.id for event in looked.fresh(All())] == [late.id, due.id]
    assert looked.given == {late.id: late.detection_us, due.id: due.detection_us}
    assert looked.events == 2


def test_fresh_events_are_looked_up_some_hundred_at_a_time(ledger: MemoryBook, monkeypatch: Any) -> None:
    store = MemoryStore()
    store.write([event_at(number / 200, name=f"{number:04d}") for number in range(1_200)])
    asked: list[int] = []
    real = ledger.seen

    def seen(rule: str, ids: Sequence[str]) -> set[str]:
        asked.append(len(ids))
        return real(rule, ids)

    monkeypatch.setattr(ledger, "seen", seen)
    looked = window(store, ledger=ledger, page=700)
    assert len(list(looked.fresh(All()))) == 1_200
    assert asked == [500, 500, 200]


def test_memory_reads_the_ledger_and_keeps_changes_to_itself(ledger: MemoryBook) -> None:
    lease = ledger.lease("rule", START_US, START_US, 60)
    assert lease is not None
    row = Interval("rule", START_US, START_US + 1, RunState.RAN, START_US)
    ledger.finish(lease, Outcome(row, state={"a": 1, "ab": [2], "b": 3}))
    memory = window(MemoryStore(), ledger=ledger).memory
    memory.set("a", 9)
    memory.set("b", None)
    memory.set("abc", 4)
    assert (memory.get("a"), memory.get("ab"), memory.get("b"), memory.get("none")) == (9, [2], None, None)
    assert memory.get_many(["a", "ab", "b"]) == {"a": 9, "ab": [2]}
    assert memory.items("a") == {"a": 9, "ab": [2], "abc": 4}
    assert ledger.recall("rule") == {"a": 1, "ab": [2], "b": 3}


def test_minutes_of_listening_come_from_the_ledger(ledger: MemoryBook) -> None:
    minute = START_US // 60_000_000
    counters: Mapping[str, Any] = {"queue": {"oldest_us": None}, "inputs": {"syslog": {"running": True}}}
    ledger.report("worker", "1", counters, START_US)
    assert list(window(MemoryStore(), ledger=ledger).listened(START_US, END_US)) == [minute]


def test_the_times_of_a_query_are_written_to_the_microsecond() -> None:
    store = MemoryStore()
    edge = event_at(10, received=9.999999)  # its own time is the end, reception one microsecond before
    store.write([edge])
    assert edge.body["receivedtimestamp"] == isoformat(END_US - 1)
    assert [event.id for event in window(store)] == [edge.id]
    assert list(window(store, 10, 20)) == []


def test_a_window_longer_than_the_late_horizon_brings_each_event_once() -> None:
    store = MemoryStore()
    early = event_at(DAY_S)  # more than seven days before the end, yet inside
    ancient = event_at(-20 * DAY_S, received=2 * DAY_S)
    store.write([early, ancient])
    assert [event.id for event in window(store, 0, 10 * DAY_S)] == [early.id, ancient.id]
