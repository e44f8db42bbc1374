"""How a store orders its answers and cuts them into pages."""

# the name of a test is its sentence
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.ports import EventStore
from mozdef_core.query.model import All, Order, Query, Search, Term
from mozdef_core.query.order import position
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, SECOND_US, stored_event
from mozdef_core.testing_contracts.store_matching import Mode


def pages(store: EventStore, order: Order, size: int, query: Query | None = None) -> Iterator[list[Event]]:
    """Yield the pages of a search, at most a thousand."""
    after = None
    for _ in range(1000):
        page = store.search(Search(query or All(), order=order, size=size, after=after))
        assert page.complete
        yield list(page.events)
        after = page.after
        if after is None:
            return
    raise AssertionError("the cursor never ended")


def in_order(events: list[Event], order: Order) -> list[str]:
    """Return the ids of events as a store must return them."""
    return [event.id for event in sorted(events, key=position, reverse=order == "newest")]


class StorePaging:
    """Order, pages and cursors."""

    def open_store(self, path: Path, mode: Mode) -> EventStore:
        """Open the store at a path; every call with one path sees the same events."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[EventStore]:
        """An empty store, open for writing."""
        store = self.open_store(tmp_path / "store", "writer")
        yield store
        store.close()

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    @pytest.mark.parametrize("size", [7, 100, 1000, 5000])
    def test_a_thousand_events_of_one_microsecond_are_paged_without_gap_or_duplicate(
        self, store: EventStore, order: Order, size: int
    ) -> None:
        events = [stored_event(BASE_US) for _ in range(1000)]
        events += [stored_event(BASE_US + offset) for offset in (-SECOND_US, -1, 1, SECOND_US)]
        store.write(events[:500])
        store.write(events[500:])
        store.refresh()
        found = list(pages(store, order, size))
        assert [event.id for page in found for event in page] == in_order(events, order)
        assert all(len(page) == size for page in found[:-1])
        assert found[-1]

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    def test_events_come_in_the_order_of_their_time_over_days_of_reception(
        self, store: EventStore, order: Order
    ) -> None:
        events = [
            stored_event(BASE_US - (step * 7919) % 40 * SECOND_US, received_us=BASE_US + (step % 4) * DAY_US)
            for step in range(60)
        ]
        store.write(events)
        store.refresh()
        found = [event.id for page in pages(store, order, 9) for event in page]
        assert found == in_order(events, order)

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    def test_a_cursor_holds_while_new_events_are_written(self, store: EventStore, order: Order) -> None:
        old = [stored_event(BASE_US + (step // 10) * SECOND_US) for step in range(40)]
        store.write(old)
        store.refresh()
        first = store.search(Search(order=order, size=15))
        new = [stored_event(BASE_US + step * SECOND_US) for step in range(-2, 7)]
        store.write(new)
        store.refresh()
        found = list(first.events)
        after = first.after
        while after is not None:
            page = store.search(Search(order=order, size=15, after=after))
            found.extend(page.events)
            after = page.after
        ids = [event.id for event in found]
        assert ids == in_order(found, order)
        assert len(ids) == len(set(ids))
        old_ids = {event.id for event in old}
        assert old_ids <= set(ids)
        last = position(first.events[-1])
        beyond = [event for event in new if (position(event) < last) == (order == "newest")]
        assert set(ids) - old_ids == {event.id for event in beyond}

    def test_the_last_page_has_no_cursor(self, store: EventStore) -> None:
        store.write([stored_event(BASE_US + step) for step in range(4)])
        store.refresh()
        assert store.search(Search(size=4)).after is None
        assert store.search(Search(size=5)).after is None
        first = store.search(Search(size=2))
        assert first.after is not None
        assert store.search(Search(size=2, after=first.after)).after is None

    def test_an_empty_store_has_one_empty_page(self, store: EventStore) -> None:
        page = store.search(Search())
        assert list(page.events) == []
        assert page.after is None
        assert store.count(All()) == 0

    def test_only_events_that_match_are_paged(self, store: EventStore) -> None:
        events = [stored_event(BASE_US + step, details={"parity": step % 2}) for step in range(50)]
        store.write(events)
        store.refresh()
        found = [event.id for page in pages(store, "newest", 4, Term("details.parity", 1)) for event in page]
        assert found == in_order(events[1::2], "newest")

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    def test_between_takes_its_start_and_not_its_end(self, store: EventStore, order: Order) -> None:
        events = [stored_event(BASE_US + step) for step in range(5)]
        store.write(events)
        store.refresh()
        for first, end, expected in (
            (1, 3, events[1:3]),
            (None, 2, events[:2]),
            (3, None, events[3:]),
            (2, 2, []),
        ):
            between = (
                None if first is None else BASE_US + first,
                None if end is None else BASE_US + end,
            )
            found = store.search(Search(between=between, order=order)).events
            assert [event.id for event in found] == in_order(expected, order)
            assert store.count(All(), between) == len(expected)

    def test_times_before_1970_and_far_ahead_have_their_place(self, store: EventStore) -> None:
        events = [
            stored_event(us, received_us=BASE_US)
            for us in (-10 * DAY_US, -1, 0, BASE_US, BASE_US + 36_500 * DAY_US)
        ]
        store.write(events)
        store.refresh()
        found = [event.id for page in pages(store, "oldest", 2) for event in page]
        assert found == [event.id for event in events]
        assert store.count(All(), (-1, 1)) == 2

    @pytest.mark.parametrize("cursor", ["", "x", "1", "1.2.3", "1.-2"])
    def test_a_cursor_that_no_page_gave_is_refused(self, store: EventStore, cursor: str) -> None:
        with pytest.raises(QueryError):
            store.search(Search(after=cursor))
