"""Narrow windows of time find what a search of everything would."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tantivy import Query as Found

from mozdef_core.drivers import tantivy_windows
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_catalogue import Marks
from mozdef_core.drivers.tantivy_pages import Span
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.drivers.tantivy_windows import Window, Windows
from mozdef_core.event import Event
from mozdef_core.ports import EventStore
from mozdef_core.query.model import All, Order, Query, Search, Term
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

OPTIONS = TantivyStore.Options(heap_mb=15)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TantivyStore]:
    """A store with an event each second, every tenth of them tenth and two of them rare, and one from another time."""
    monkeypatch.setattr(tantivy_windows, "FEWEST_EVENTS", 1)
    monkeypatch.setattr(tantivy_windows, "_MARKED", 10)
    opened = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    opened.write([event_at(step) for step in range(1_000)])
    opened.write([stored_event(BASE_US + 40_000_000_000, received_us=BASE_US, category="tenth")])
    yield opened
    opened.close()


def event_at(step: int) -> Event:
    category = "rare" if step in (3, 500) else "tenth" if step % 10 == 0 else "other"
    return stored_event(BASE_US + step * 1_000_000, received_us=BASE_US, category=category)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """The spans that were searched."""
    seen: list[Span] = []
    restrict = Span.restrict

    def note(self: Span, view: View, query: Found) -> Found:
        seen.append(self)
        return restrict(self, view, query)

    monkeypatch.setattr(Span, "restrict", note)
    return seen


def seconds(us: int | None) -> int | None:
    return None if us is None else (us - BASE_US) // 1_000_000


def walk(
    store: EventStore, query: Query, between: tuple[int | None, int | None], order: Order, size: int
) -> list[list[str]]:
    pages, after = [], None
    while True:
        page = store.search(Search(query, between, order, size, after))
        assert page.complete
        pages.append([event.id for event in page.events])
        after = page.after
        assert len(pages) < 1_000  # a page that leads on to itself
        if after is None:
            return pages


def test_a_query_that_matches_many_is_answered_from_one_narrow_window(
    store: TantivyStore, spans: list[Span]
) -> None:
    assert len(store.search(Search(All(), size=5)).events) == 5
    ((first, end),) = spans
    assert seconds(first) == 991
    assert end is None
    spans.clear()
    assert len(store.search(Search(All(), order="oldest", size=5)).events) == 5
    ((first, end),) = spans
    assert first is None
    assert seconds(end) == 9
    spans.clear()
    assert len(store.search(Search(All(), (None, BASE_US + 700_000_000), size=5)).events) == 5
    ((first, end),) = spans
    assert seconds(first) == 690
    assert seconds(end) == 700


def test_a_window_is_widened_by_what_it_held(store: TantivyStore, spans: list[Span]) -> None:
    page = store.search(Search(Term("category", "tenth"), size=5))
    assert [seconds(event.time_us) for event in page.events] == [40_000, 990, 980, 970, 960]
    assert [seconds(span.first) for span in spans] == [991, 843]


@pytest.mark.parametrize(("category", "expected"), [("rare", 2), ("absent", 0)])
def test_what_is_not_in_the_first_window_is_looked_for_everywhere(
    store: TantivyStore, spans: list[Span], category: str, expected: int
) -> None:
    (ids,) = walk(store, Term("category", category), (None, None), "newest", 5)
    assert len(ids) == expected
    assert spans == [(BASE_US + 991_000_000, None), (None, None)]


def test_a_small_partition_a_short_span_and_a_large_page_have_no_windows(
    store: TantivyStore, spans: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = BASE_US + 100_000_000, BASE_US + 130_000_000
    store.search(Search(All(), short, size=5))
    store.search(Search(All(), size=5_000))
    monkeypatch.setattr(tantivy_windows, "FEWEST_EVENTS", 1_002)
    store.search(Search(All(), size=5))
    assert spans == [Span(*short), Span(None, None), Span(None, None)]


def test_marks_are_looked_up_anew_when_the_partition_has_grown(store: TantivyStore) -> None:
    def marks() -> Marks | None:
        return tantivy_windows.marks_of(store._shelf.views()[0])

    assert marks() == (1_001, BASE_US + 9_000_000, BASE_US + 991_000_000)
    store.write([event_at(step) for step in range(1_000, 1_031)])
    assert marks() == (1_001, BASE_US + 9_000_000, BASE_US + 991_000_000)
    store.write([event_at(1_031)])
    assert marks() == (1_033, BASE_US + 9_000_000, BASE_US + 1_023_000_000)


moments = st.integers(0, 30) | st.integers(0, 400) | st.sampled_from([-(10**9), 10**9])
bound = st.none() | st.integers(-1, 402)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(
        st.lists(st.tuples(moments, st.sampled_from("aaab")), min_size=1, max_size=60), min_size=1, max_size=3
    ),
    asked=st.lists(
        st.tuples(
            bound, bound, st.sampled_from(["newest", "oldest"]), st.integers(1, 12), st.sampled_from("abc-")
        ),
        min_size=4,
        max_size=8,
    ),
    marked=st.integers(1, 12),
)
def test_pages_are_those_of_the_memory_store(
    batches: list[list[tuple[int, str]]],
    asked: list[tuple[int | None, int | None, Order, int, str]],
    marked: int,
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tantivy_windows, "FEWEST_EVENTS", 1)
        patch.setattr(tantivy_windows, "_MARKED", marked)
        patch.setattr(tantivy_windows, "_GROWTH", 2)
        store, memory = TantivyStore(OPTIONS, Path(directory) / "store", "writer"), MemoryStore()
        for batch in batches:
            events = [stored_event(BASE_US + us, received_us=BASE_US, category=kind) for us, kind in batch]
            store.write(events)
            memory.write(events)
            for first, end, order, size, kind in asked:
                between = tuple(None if us is None else BASE_US + us for us in (first, end))
                query = All() if kind == "-" else Term("category", kind)
                expected = walk(memory, query, between, order, size)  # type: ignore[arg-type]
                assert walk(store, query, between, order, size) == expected  # type: ignore[arg-type]
                edges = [BASE_US + edge for edge in (-5, first or 0, 100, 200, 300) if edge is not None]
                edges = sorted(set(edges))
                assert list(store.histogram(query, edges)) == list(memory.histogram(query, edges))
        store.close()


def test_windows_stay_within_their_span_and_grow(store: TantivyStore) -> None:
    view = store._shelf.views()[0]
    orders: tuple[Order, ...] = ("newest", "oldest")
    for order in orders:
        windows = Windows(view, order)
        window = windows.first(None, None, 5)
        seen: list[Window] = []
        while window is not None:
            seen.append(window)
            window = windows.wider(window, None, None, 4, 5)
        assert len(seen) > 1
        assert all(wide.width_us > 3 * narrow.width_us for narrow, wide in pairwise(seen))
        assert seen[-1].width_us < 1_000_000_000 // 4
