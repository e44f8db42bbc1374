"""Whole hours are counted by their own, remembered while nothing is added to them, and give the same answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tantivy import Index, SchemaBuilder

from mozdef_core.drivers import tantivy_groups, tantivy_histogram, tantivy_hours
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_catalogue import HOUR_US
from mozdef_core.drivers.tantivy_hours import HourlyGroups
from mozdef_core.drivers.tantivy_pages import Span
from mozdef_core.drivers.tantivy_partition import Name
from mozdef_core.event import Event
from mozdef_core.query.model import All, Match, Query, Range, Search, Term
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event

OPTIONS: Final = TantivyStore.Options(heap_mb=15)
START_US: Final = BASE_US // DAY_US * DAY_US
"""The beginning of the day of reception of all events here."""
DAY: Final = (START_US, START_US + DAY_US)


def event_at(us: int, **fields: Any) -> Event:
    return stored_event(us, received_us=BASE_US, **fields)


def by_hour(hours: int, **fields: Any) -> list[Event]:
    """Return two events in each hour of the day, one of them at its first moment."""
    return [
        event_at(START_US + hour * HOUR_US + shift, details={"user": f"u{hour % 3}"}, **fields)
        for hour in range(hours)
        for shift in (0, 7)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TantivyStore]:
    opened = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours pay in the smallest partition."""
    monkeypatch.setattr(tantivy_hours, "FEWEST_EVENTS", 1)
    monkeypatch.setattr(tantivy_hours, "_FEWEST_HOURS", 1)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """The spans within a partition that were counted by their own."""
    seen: list[Span] = []
    in_span = tantivy_groups._Grouping._in_span

    def note(self: Any, part: Any, path: str, span: Span) -> Any:
        seen.append(span)
        return in_span(self, part, path, span)

    monkeypatch.setattr(tantivy_groups._Grouping, "_in_span", note)
    return seen


def hour(number: int) -> Span:
    return Span(START_US + number * HOUR_US, START_US + (number + 1) * HOUR_US)


def test_the_second_time_a_question_is_counted_by_hours_and_then_not_at_all(
    store: TantivyStore, counted: list[Span]
) -> None:
    store.write(by_hour(6))
    expected = {"u0": 4, "u1": 4, "u2": 4}
    assert store.groups("details.user", between=DAY) == expected
    assert not counted
    assert store.groups("details.user", between=DAY) == expected
    assert counted == [hour(number) for number in range(6)]
    counted.clear()
    assert store.groups("details.user", between=DAY) == expected
    assert store.groups("details.user") == expected
    assert not counted


def test_only_the_hour_that_an_event_is_added_to_is_counted_anew(
    store: TantivyStore, counted: list[Span]
) -> None:
    store.write(by_hour(6))
    for _ in range(2):
        store.groups("details.user", between=DAY)
    counted.clear()
    store.write([event_at(START_US + 4 * HOUR_US + 1, details={"user": "late"})])
    assert store.groups("details.user", between=DAY) == {"u0": 4, "u1": 4, "u2": 4, "late": 1}
    assert counted == [hour(4)]


def test_a_span_with_broken_ends_is_whole_hours_and_two_rests(
    store: TantivyStore, counted: list[Span]
) -> None:
    store.write(by_hour(6))
    first, end = START_US + 1, START_US + 4 * HOUR_US + 5
    for _ in range(3):
        counted.clear()
        assert store.groups("details.user", between=(first, end)) == {"u0": 3, "u1": 3, "u2": 2}
    assert counted == [Span(first, hour(0).end), Span(hour(4).first, end)]


def test_the_terms_of_hours_hold_the_whole_span(store: TantivyStore) -> None:
    store.write(by_hour(6))
    for shift, number in ((0, 4), (1, 4), (8, 4)):
        first = START_US + HOUR_US + shift
        assert store.count(All(), (first, first + 2 * HOUR_US)) == number
    assert store.count(All(), (START_US + 1, START_US + 2 * HOUR_US + 1)) == 4


def test_a_document_that_goes_in_as_an_object_has_its_hour(store: TantivyStore) -> None:
    store.write([event_at(START_US + 3, details={"fraction": 0.1234567890123456789})])
    assert store.count(All(), (START_US, START_US + 5)) == 1
    assert store.histogram(All(), [START_US, START_US + HOUR_US, START_US + 2 * HOUR_US]) == [1, 0]


def test_a_condition_on_a_list_that_people_keep_is_not_remembered() -> None:
    class Kept(Query):
        """A query of a kind that is not known here."""

    lasting = Term("a", 1) & ~(Match("summary", "b") | Range("c", lt=4))
    assert tantivy_hours._is_lasting(lasting)
    for query in (Kept(), lasting & Kept(), Term("a", 1) & ~Kept(), Term("a", 1) | (All() & Kept())):
        assert not tantivy_hours._is_lasting(query)


def test_a_number_and_a_boolean_are_two_questions(store: TantivyStore, counted: list[Span]) -> None:
    one, true = {"user": "one", "flag": 1}, {"user": "true", "flag": True}
    store.write([event_at(START_US + step * HOUR_US, details=one) for step in range(4)])
    store.write([event_at(START_US + step * HOUR_US, details=true) for step in range(3)])
    for _ in range(3):
        assert store.groups("details.user", Term("details.flag", 1), DAY) == {"one": 4}
        assert store.groups("details.user", Term("details.flag", True), DAY) == {"true": 3}
    assert counted


def test_a_field_with_many_groups_an_hour_is_counted_over_the_span(
    store: TantivyStore, counted: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_hours, "MOST_GROUPS", 2)
    store.write(by_hour(2))
    store.write([event_at(START_US + HOUR_US + step, details={"user": f"v{step}"}) for step in range(2)])
    expected = {"u0": 2, "u1": 2, "v0": 1, "v1": 1}
    for _ in range(2):
        assert store.groups("details.user", between=DAY) == expected
    assert counted == [hour(0), hour(1)]
    store.write([event_at(START_US + 1, details={"user": "u0"})])
    assert store.groups("details.user", between=DAY) == {**expected, "u0": 3}
    assert counted == [hour(0), hour(1)]  # that the question is not for hours is remembered


def test_what_was_asked_longest_ago_is_forgotten_first(
    store: TantivyStore, counted: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_hours, "_QUESTION_WEIGHT", 1)
    store._hourly = hourly = HourlyGroups(most_kept=8)
    store.write(by_hour(3))
    for field in ("details.user", "hostname", "category", "details.user", "hostname"):
        for _ in range(2):
            assert store.groups(field, between=DAY)
            assert hourly._weight == sum(answer.weight for answer in hourly._answers.values()) <= 8
    counted.clear()
    store.groups("hostname", between=DAY)
    assert not counted
    store.groups("category", between=DAY)
    store.groups("category", between=DAY)
    assert counted


steps = st.integers(-3 * 60, 27 * 60)
"""Minutes from the beginning of the day, some outside it."""
values = st.sampled_from([443, "443", 443.0, [443, "443"], "a", ["a", "b"], True, "true", None])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.tuples(steps, values), max_size=12), min_size=1, max_size=4),
    spans=st.lists(st.tuples(steps, steps).map(sorted), min_size=1, max_size=4),
    shift=st.integers(-1, 1),
)
def test_any_span_has_the_groups_and_times_that_a_store_in_memory_finds(
    batches: list[list[tuple[int, Any]]], spans: list[list[int]], shift: int
) -> None:
    memory = MemoryStore()
    with tempfile.TemporaryDirectory() as directory:
        store = TantivyStore(OPTIONS, Path(directory), "writer")
        for batch in batches:
            events = [event_at(START_US + step * 60_000_000 + shift, details={"k": k}) for step, k in batch]
            memory.write(events)
            store.write(events)
            for first, end in spans:
                between = (START_US + first * 60_000_000, START_US + end * 60_000_000 + 1)
                for query in (All(), Term("details.k", "443")):
                    expected = memory.groups("details.k", query, between)
                    for _ in range(2):
                        assert store.groups("details.k", query, between) == expected
                    edges = [edge for edge in range(*DAY, HOUR_US) if between[0] < edge < between[1]]
                    edges = [between[0], *edges, between[1]]
                    assert store.histogram(query, edges) == memory.histogram(query, edges)
                assert store.count(All(), between) == memory.count(All(), between)
        store.close()


@pytest.fixture
def hourly_histograms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for each histogram of a partition that was counted by hours."""
    seen: list[int] = []
    hourly = tantivy_histogram._hourly

    def note(view: Any, query: Any, edges: Any) -> Any:
        seen.append(len(edges))
        return hourly(view, query, edges)

    monkeypatch.setattr(tantivy_histogram, "_hourly", note)
    return seen


@pytest.mark.parametrize("step", [HOUR_US, 3 * HOUR_US])
@pytest.mark.parametrize("cut", [0, 1, 8, HOUR_US])
def test_a_histogram_of_whole_hours_is_counted_by_hours(
    store: TantivyStore, hourly_histograms: list[int], step: int, cut: int
) -> None:
    memory = MemoryStore()
    before_1970 = [event_at(-HOUR_US - 1), event_at(-1), event_at(0)]
    for one in (store, memory):
        one.write([*by_hour(24), *before_1970])
    edges = [START_US + cut, *range(START_US + step, DAY[1], step), DAY[1] - cut]
    edges = sorted(set(edges))
    assert store.histogram(All(), edges) == memory.histogram(All(), edges)
    early = [-2 * HOUR_US, -HOUR_US, 0, 1]
    assert store.histogram(All(), early) == memory.histogram(All(), early) == [1, 1, 1]
    assert hourly_histograms


def test_a_histogram_of_other_steps_is_counted_by_times(
    store: TantivyStore, hourly_histograms: list[int]
) -> None:
    store.write(by_hour(3))
    assert store.histogram(All(), list(range(DAY[0], DAY[0] + HOUR_US, HOUR_US // 4))) == [2, 0, 0]
    assert not hourly_histograms


def make_old(path: Path) -> None:
    """Turn an empty partition into one of format 3, which had no hours."""
    builder = SchemaBuilder()
    builder.add_text_field("_id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("us", fast=True)
    builder.add_integer_field("received", fast=True)
    builder.add_unsigned_field("tie", fast=True)
    builder.add_text_field("summary", tokenizer_name="words", index_option="position")
    builder.add_text_field("defaulted", tokenizer_name="raw", index_option="basic")
    for column in ("ip_source", "ip_destination", "ip_eventsource", "ip_other"):
        builder.add_ip_addr_field(column, fast=True)
    builder.add_json_field(
        "e", fast=True, tokenizer_name="raw", index_option="basic", expand_dots_enabled=True
    )
    builder.add_bytes_field("_source", stored=True)
    for file in (path / "index").iterdir():
        file.unlink()
    Index(builder.build(), str(path / "index"))
    catalogue = path / "partition.json"
    catalogue.write_bytes(orjson.dumps({**orjson.loads(catalogue.read_bytes()), "format": 3}))


def test_a_partition_without_hours_is_written_and_asked_as_before(
    tmp_path: Path, counted: list[Span], hourly_histograms: list[int]
) -> None:
    first = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    path = first._shelf.provide(Name("2026-03-29", "default")).path
    first.close()
    make_old(path)
    store, memory = TantivyStore(OPTIONS, tmp_path / "store", "writer"), MemoryStore()
    deep = [event_at(START_US + 3, details={"fraction": 0.1234567890123456789, "user": "u1"})]
    for events in (by_hour(6), deep):
        assert not store.write(events)
        memory.write(events)
    assert orjson.loads((path / "partition.json").read_bytes())["format"] == 3
    reader = TantivyStore(OPTIONS, tmp_path / "store", "reader")
    edges = list(range(DAY[0], DAY[1] + 1, HOUR_US))
    for one in (store, reader):
        for _ in range(3):
            assert one.groups("details.user", between=DAY) == memory.groups("details.user", between=DAY)
        assert one.histogram(All(), edges) == memory.histogram(All(), edges)
        assert one.count(All(), (START_US, START_US + 5)) == 2
        assert len(one.search(Search(between=hour(1))).events) == 2
        one.close()
    assert not counted
    assert not hourly_histograms
