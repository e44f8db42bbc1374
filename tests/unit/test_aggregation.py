from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core import aggregation
from mozdef_core.aggregation import aggregate, percentiles, stats
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.event import isoformat
from mozdef_core.ports import EventStore, Page
from mozdef_core.query.aggregations import (
    Aggregation,
    Cardinality,
    DateHistogram,
    GroupBucket,
    Groups,
    Histogram,
    Hits,
    Percentiles,
    Stats,
    StatsResult,
    TermsAgg,
    TopHits,
)
from mozdef_core.query.model import All, Exists, Query, Search, Term
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event

HOUR_US = 3_600_000_000


def store_with(*details: Mapping[str, Any], step_us: int = HOUR_US) -> MemoryStore:
    store = MemoryStore()
    assert not store.write(
        [stored_event(BASE_US + number * step_us, details=dict(each)) for number, each in enumerate(details)]
    )
    return store


def ask(store: EventStore, wanted: Aggregation, query: Query | None = None, **options: Any) -> Any:
    return aggregate(store, {"it": wanted}, query or All(), **options)["it"]


def users(*names: str) -> MemoryStore:
    return store_with(*({"user": name} for name in names))


def test_the_largest_groups_come_first_and_equal_ones_by_name() -> None:
    store = users("b", "a", "B", "é", "é", "\U0001f600", "\uffff")
    assert ask(store, TermsAgg("details.user", 3)) == Groups(
        [GroupBucket("é", 2), GroupBucket("B", 1), GroupBucket("a", 1)], 3, 6
    )
    assert [bucket.key for bucket in ask(store, TermsAgg("details.user", None, order="key")).buckets] == [
        "B", "a", "b", "é", "\uffff", "\U0001f600",
    ]  # fmt: skip


def test_a_threshold_finds_every_group_that_reaches_it() -> None:
    store = users(*(f"u{number}" for number in range(500) for _ in range(number % 4)))
    found = ask(store, TermsAgg("details.user", None, 3))
    assert {bucket.key for bucket in found.buckets} == {f"u{number}" for number in range(3, 500, 4)}
    assert found.total_groups == 125
    assert found.others == 0


def test_what_stands_in_a_group_is_over_all_of_its_events_and_no_other() -> None:
    store = store_with(
        {"user": "ines", "port": 443, "took": 3},
        {"user": ["ines", "max"], "port": "443", "took": 5},
        {"user": "max", "port": 22},
        {"user": {"ines": 1}, "port": 22},
    )
    wanted = TermsAgg(
        "details.user",
        sub={
            "ports": Cardinality("details.port"),
            "took": Stats("details.took"),
            "last": TopHits(),
            "by_port": TermsAgg("details.port", 1),
        },
    )
    ines, other = ask(store, wanted).buckets
    assert (ines.key, ines.count, other.key, other.count) == ("ines", 2, "max", 2)
    assert ines.sub["ports"].value == 1
    assert ines.sub["took"] == StatsResult(2, 3, 5, 8, 4)
    assert [event.get("details.took") for event in ines.sub["last"].events] == [5]
    assert ines.sub["by_port"] == Groups([GroupBucket("443", 2)], 0, 1)
    assert other.sub["by_port"] == Groups([GroupBucket("22", 1)], 1, 2)
    assert other.sub["last"].events[0].get("details.port") == 22


def test_a_string_that_looks_like_another_spelling_of_a_number_is_a_group_of_its_own() -> None:
    store = store_with({"port": 443}, {"port": "443.0", "a": 1}, {"port": 443.0}, {"port": "443"})
    first, second = ask(store, TermsAgg("details.port", sub={"a": Stats("details.a")})).buckets
    assert (first.key, first.count, first.sub["a"].count) == ("443", 3, 0)
    assert (second.key, second.count, second.sub["a"].count) == ("443.0", 1, 1)


def test_top_hits_are_the_newest_or_oldest() -> None:
    store = users("a", "b", "c")
    assert [event.text("details.user") for event in ask(store, TopHits(2)).events] == ["c", "b"]
    assert [event.text("details.user") for event in ask(store, TopHits(2, "oldest")).events] == ["a", "b"]
    assert ask(store, TopHits(), Exists("details.absent")) == Hits([])


def test_a_histogram_shows_the_intervals_of_the_time_asked_for_and_counts_only_what_is_in_it() -> None:
    store = store_with(*({"n": number} for number in range(4)))  # 12:00:00.25, 13:..., 14:..., 15:00:00.25
    between = (BASE_US + 1, BASE_US + 2 * HOUR_US + 1)
    found = ask(store, DateHistogram("1h"), between=between)
    assert [(isoformat(bucket.start_us)[11:16], bucket.count) for bucket in found.buckets] == [
        ("12:00", 0), ("13:00", 1), ("14:00", 1),
    ]  # fmt: skip
    assert found.buckets[0].end_us == found.buckets[1].start_us


def test_open_ends_are_where_the_matching_events_end() -> None:
    store = users("a", "b", "a", "b", "a")
    found = ask(store, DateHistogram("1h"), Term("details.user", "b"))
    assert [bucket.count for bucket in found.buckets] == [1, 0, 1]
    half = ask(store, DateHistogram("1h"), Term("details.user", "b"), between=(BASE_US, None))
    assert [bucket.count for bucket in half.buckets] == [0, 1, 0, 1]
    assert ask(store, DateHistogram("1h"), Term("details.user", "x")) == Histogram([])
    assert ask(store, DateHistogram("1h"), Term("details.user", "x"), between=(None, BASE_US)) == Histogram(
        []
    )
    assert ask(store, DateHistogram("1h"), between=(BASE_US, BASE_US)) == Histogram([])


def test_histograms_of_groups_have_the_same_intervals() -> None:
    found = ask(users("a", "b", "b"), TermsAgg("details.user", sub={"when": DateHistogram("1h")}))
    counts = {bucket.key: [each.count for each in bucket.sub["when"].buckets] for bucket in found.buckets}
    assert counts == {"a": [1, 0, 0], "b": [0, 1, 1]}


def test_groups_in_a_histogram_are_those_of_each_interval() -> None:
    store = store_with({"user": "a"}, {"user": "a"}, {"user": "b"}, step_us=DAY_US // 2)
    found = ask(store, DateHistogram("day", sub={"who": TermsAgg("details.user")}))
    assert [[each.key for each in bucket.sub["who"].buckets] for bucket in found.buckets] == [
        ["a"],
        ["a", "b"],
    ]
    gap = ask(
        store_with({}, {}, step_us=3 * DAY_US), DateHistogram("day", sub={"who": TermsAgg("details.user")})
    )
    assert [bucket.sub for bucket in gap.buckets] == [
        {"who": Groups([], 0, 0)},
        {},
        {},
        {"who": Groups([], 0, 0)},
    ]


def test_more_questions_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store = users("a", "b", "c")
    wanted = TermsAgg("details.user", sub={"one": TopHits(), "two": TopHits()})
    monkeypatch.setattr(aggregation, "MOST_QUESTIONS", 7)
    assert len(ask(store, wanted).buckets) == 3
    monkeypatch.setattr(aggregation, "MOST_QUESTIONS", 6)
    with pytest.raises(QueryError, match="more than 6 questions to the store"):
        ask(store, wanted)


def test_time_that_is_over_is_said() -> None:
    with pytest.raises(QueryTimeoutError, match="took longer than 0 s and are given up"):
        ask(users("a"), TermsAgg("details.user"), limit_s=0)


class HaltingStore(MemoryStore):
    """A store whose searches end before they are complete."""

    def search(self, search: Search) -> Page:
        """Return a page that says that there would be more."""
        return super().search(search)._replace(complete=False)


@pytest.mark.parametrize("wanted", [TopHits(), DateHistogram("1h")])
def test_an_incomplete_answer_of_the_store_is_an_error(wanted: Aggregation) -> None:
    store = HaltingStore()
    store.write([stored_event()])
    with pytest.raises(QueryTimeoutError):
        ask(store, wanted)


class ScannedStore(MemoryStore):
    """The memory store with the answers of the port, page by page."""

    _scan = EventStore._scan
    pages = 0

    def search(self, search: Search) -> Page:
        """Return a page, and count it."""
        self.pages += 1
        return super().search(search)


def test_a_store_that_can_only_search_is_looked_through_page_by_page() -> None:
    store = ScannedStore()
    store.write([stored_event(BASE_US + number, details={"n": number % 3}) for number in range(2500)])
    assert store.groups("details.n") == {"0": 834, "1": 833, "2": 833}
    assert store.pages == 3
    assert list(store.histogram(All(), [BASE_US, BASE_US + 1200, BASE_US + 2500])) == [1200, 1300]


@pytest.mark.parametrize("cls", [ScannedStore, MemoryStore])
def test_looking_through_a_store_ends_when_the_time_is_over(cls: type[MemoryStore]) -> None:
    store = cls()
    store.write([stored_event()])
    store.time_limit_s = 0
    for question in (
        lambda: store.groups("details.n"),
        lambda: store.numbers("details.n"),
        lambda: store.histogram(All(), [0, 2 * BASE_US]),
        store.fields,
    ):
        with pytest.raises(QueryTimeoutError, match="longer than 0 s and is given up, for it is never cut"):
            question()


def test_an_incomplete_page_is_never_counted_as_all() -> None:
    class Scanned(HaltingStore):
        """A halting store that is looked through page by page."""

        _scan = EventStore._scan

    store = Scanned()
    store.write([stored_event()])
    with pytest.raises(QueryTimeoutError):
        store.groups("hostname")


def test_an_unknown_aggregation_is_refused() -> None:
    class Other(Aggregation):
        """Nothing that can be answered."""

    with pytest.raises(QueryError, match="cannot answer a Other"):
        ask(users(), Other())


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, StatsResult(0)),
        ({1: 2, 4: 1}, StatsResult(3, 1, 4, 6, 2)),
        ({0.1: 10}, StatsResult(10, 0.1, 0.1, 1.0, 0.1)),
        ({2**63 - 1: 2}, StatsResult(2, 2**63 - 1, 2**63 - 1, float(2**64), 2**63 - 1)),
        ({1e308: 10}, StatsResult(10, 1e308, 1e308, int(1e308) * 10, 1e308)),
        ({2**53 + 1: 1, -(2**53): 1}, StatsResult(2, -(2**53), 2**53 + 1, 1, 0.5)),
        ({10**400: 1}, StatsResult(1, 10**400, 10**400, 10**400, 10**400)),
    ],
)
def test_figures_are_exact(numbers: dict[int | float, int], expected: StatsResult) -> None:
    assert stats(numbers) == expected


@given(st.dictionaries(st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9), st.integers(1, 5), min_size=1))
def test_figures_do_not_depend_on_the_order_of_numbers(numbers: dict[int | float, int]) -> None:
    found = stats(numbers)
    assert found == stats(dict(reversed(numbers.items())))
    assert found.minimum is not None
    assert found.maximum is not None
    assert found.mean is not None
    assert found.minimum <= found.mean <= found.maximum


def test_percentiles_lie_in_proportion_between_ranks() -> None:
    found = percentiles(dict.fromkeys(range(1, 101), 1), (0, 50, 95, 99.9, 100))
    assert found.count == 100
    assert found.values == {0: 1, 50: 50.5, 95: 95.05, 99.9: 99.901, 100: 100}
    assert percentiles({7: 3, 9: 1}, (50, 100)).values == {50: 7, 100: 9}
    assert percentiles({5: 1}, (0, 33, 100)).values == {0: 5, 33: 5, 100: 5}
    assert percentiles({}, (50,)).values == {50: None}


@given(
    st.dictionaries(st.integers(-1000, 1000), st.integers(1, 4), min_size=1),
    st.lists(st.integers(0, 100), min_size=1, max_size=4, unique=True),
)
def test_percentiles_of_counted_numbers_are_those_of_the_numbers(
    numbers: dict[int | float, int], percents: Sequence[float]
) -> None:
    each = sorted(number for number, count in numbers.items() for _ in range(count))
    found = percentiles(numbers, percents)
    assert found.count == len(each)
    for percent in percents:
        place, rest = divmod((len(each) - 1) * int(percent), 100)
        low, high = each[place], each[min(place + 1, len(each) - 1)]
        assert found.values[percent] == pytest.approx(low + (high - low) * rest / 100)


def test_a_percentile_aggregation_reads_the_store() -> None:
    store = store_with({"took": 1}, {"took": "3"}, {"took": "slow"}, {"took": [5, 5.0]})
    assert ask(store, Percentiles("details.took", (50,))).values == {50: 3}
