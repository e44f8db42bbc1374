from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueueUnavailableError, StoreUnavailableError
from mozdef_core.event import Event
from mozdef_core.ports import Item, Origin, Page
from mozdef_core.query.lucene import parse
from mozdef_core.query.model import Search
from mozdef_core.services import tailing as module
from mozdef_core.services.tailing import OVERLAP_US, Tail, oldest
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US


class Site:
    """A store, a queue of events that are not stored yet, and a clock."""

    def __init__(self, query: str = "*") -> None:
        self.now_us = BASE_US
        self.store, self.waiting = MemoryStore(), list[Event]()
        self.tail = Tail(self.store, parse(query), self.oldest_us, lambda: self.now_us)

    def oldest_us(self) -> int | None:
        return min((event.received_us for event in self.waiting), default=None)

    def receive(self, ago_us: int = 0, us: int | None = None, **fields: object) -> Event:
        event = stored_event(self.now_us if us is None else us, received_us=self.now_us - ago_us, **fields)
        self.waiting.append(event)
        return event

    def work(self, count: int = 1_000) -> None:
        self.store.write(self.waiting[:count])
        del self.waiting[:count]

    def look(self, after_us: int = SECOND_US) -> list[str]:
        self.now_us += after_us
        return [event.id for event in self.tail.look()]


def ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]


def test_it_begins_with_the_last_events_and_shows_no_other_old_one() -> None:
    site = Site()
    before = [site.receive(us=BASE_US - 9_000 + n) for n in range(9)]
    site.work()
    assert ids(site.tail.begin(3)) == sorted(ids(before[-3:]))
    assert site.look() == []


def test_none_before_the_beginning_are_shown_when_none_are_asked_for() -> None:
    site = Site()
    site.receive()
    site.work()
    assert ids(site.tail.begin(0)) == []
    assert site.look() == []


def test_a_new_event_is_shown_once() -> None:
    site = Site()
    site.tail.begin(3)
    event = site.receive()
    site.work()
    assert site.look() == [event.id]
    assert site.look() == site.look() == []


def test_only_what_matches_is_shown() -> None:
    site = Site("category:a OR details.n:7")
    site.tail.begin(3)
    wanted = [site.receive(category="a"), site.receive(details={"n": 7})]
    site.receive(category="b")
    site.work()
    assert sorted(site.look()) == sorted(ids(wanted))


def test_the_order_is_that_of_reception_whatever_the_events_say_of_their_time() -> None:
    site = Site()
    site.tail.begin(0)
    shown = [site.receive(us=us) for us in (BASE_US, 0, BASE_US + HOUR_US, BASE_US - HOUR_US)]
    for n, event in enumerate(shown):
        assert event.received_us == BASE_US, n
    site.now_us += 5
    shown.append(site.receive(us=1))
    site.work()
    assert site.look() == [*sorted(ids(shown[:4])), shown[4].id]


def test_many_of_one_microsecond_are_all_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 7)
    site = Site()
    site.tail.begin(0)
    shown = [site.receive() for _ in range(60)]
    site.work(25)
    first = site.look(1)
    site.work()
    assert sorted(first + site.look(1)) == sorted(ids(shown))
    assert len(first) == 25


def test_what_waited_for_an_hour_is_not_passed_over() -> None:
    site = Site()
    site.tail.begin(0)
    early = site.receive()
    for _ in range(60):
        assert site.look(HOUR_US // 60) == []
    late = site.receive()
    site.work()
    assert site.look() == [early.id, late.id]


def test_what_waited_before_it_began_is_shown_when_it_is_stored() -> None:
    site = Site()
    early = site.receive()
    site.now_us += HOUR_US
    site.tail.begin(3)
    site.work()
    assert site.look() == [early.id]


def test_what_is_stored_after_the_queue_was_asked_and_before_the_store_is_comes_with_the_next_look() -> None:
    """The worker may store at any moment between the two questions."""
    site = Site()
    site.tail.begin(0)
    early = site.receive()
    site.look(HOUR_US)
    real = site.store.search

    def search(wanted: Search) -> Page:
        page = real(wanted)
        site.work()  # just behind our back
        return page

    site.store.search = search  # type: ignore[method-assign]
    assert site.look() == []
    assert site.look() == [early.id]


def test_an_entrance_may_take_some_seconds() -> None:
    site = Site()
    site.tail.begin(0)
    site.look()
    event = site.receive(ago_us=OVERLAP_US - 3 * SECOND_US)
    site.work()
    assert site.look() == [event.id]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("receive"), st.integers(0, 9_000_000)),
            st.tuples(st.just("work"), st.integers(1, 4)),
            st.tuples(st.just("look"), st.sampled_from([1, SECOND_US, 30 * SECOND_US, HOUR_US])),
        ),
        max_size=40,
    )
)
def test_every_event_is_shown_once_whenever_it_comes_and_is_stored(steps: list[tuple[str, int]]) -> None:
    site = Site()
    site.tail.begin(5)
    received, shown = [], []
    for name, number in steps:
        if name == "receive":
            received.append(site.receive(us=BASE_US - number).id)
        elif name == "work":
            site.work(number)
        else:
            shown += site.look(number)
    site.work()
    shown += site.look()
    assert sorted(shown) == sorted(received)


def test_a_look_that_failed_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mozdef_core.services.transfer._PAUSES_S", ())
    site = Site()
    site.tail.begin(0)
    event = site.receive()
    site.work()

    def gone() -> None:
        raise StoreUnavailableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(site.store, "refresh", gone)
        with pytest.raises(StoreUnavailableError):
            site.look(HOUR_US)
    assert site.look() == [event.id]


def test_it_remembers_no_more_than_it_needs() -> None:
    site = Site()
    site.tail.begin(0)
    for _ in range(50):
        site.receive()
        site.work()
        site.look()
    assert len(site.tail._seen) <= OVERLAP_US // SECOND_US + 2


def test_the_oldest_item_of_a_queue_that_cannot_be_asked_is_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = MemoryQueue(MemoryQueue.Options())
    ask = oldest(queue)
    assert ask() is None
    queue.put([Item("x", 77, Origin("a", "b"), b"")])
    assert ask() == 77

    def gone() -> None:
        raise QueueUnavailableError("gone")

    monkeypatch.setattr(queue, "depth", gone)
    assert ask() == 77
