"""The contract of every event store: subclass :class:`EventStoreContract` and say how yours is opened."""

# the name of a test is its sentence
from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from mozdef_core.event import Event
from mozdef_core.ports import EventStore
from mozdef_core.query.model import All, Search, Term
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event
from mozdef_core.testing_contracts.store_groups import StoreGroups
from mozdef_core.testing_contracts.store_matching import StoreMatching
from mozdef_core.testing_contracts.store_paging import StorePaging

STRANGE: Final[dict[str, Any]] = {
    "an integer beyond 64 bits": {"details": {"huge": 2**80}},
    "an empty key": {"details": {"": "x", "a": {"": 1}}},
    "a key of dots": {"details": {".": 1, "..": {"a.": 2}, ".b": 3}},
    "a NUL in key and value": {"details": {"a\x00b": "c\x00d"}},
    "a long key": {"details": {"k" * 70_000: "x"}},
    "deep nesting": {"details": {"deep": [[[[[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]]]]}},
    "many keys": {"details": {f"key{number}": number for number in range(3000)}},
    "a scalar for details": {"details": "not an object"},
    "an object for a summary": {"summary": {"text": "x"}},
    "a long list": {"details": {"list": list(range(5000))}},
    "an odd clock": {"timestamp": "yesterday"},
    "names of the store": {"_id": "x", "us": "y", "tie": {"e": 1}, "_source": [1], "e": {"e": 1}},
}
"""Events that an engine may find hard to take."""


class EventStoreContract(StoreGroups, StoreMatching, StorePaging):
    """What every event store does. A subclass overrides :meth:`open_store`.

    The store is opened with ``mode`` ``writer`` by the process that writes and ``reader`` by all others; tests
    open both on one path in one process, as threads of one process would.
    """

    def test_what_was_written_is_found_by_its_id(self, store: EventStore) -> None:
        event = stored_event(details={"username": "ines", "port": 22, "list": [1, "two", None, {"a": True}]})
        assert not store.write([event])
        store.refresh()
        found = store.get(event.id)
        assert found is not None
        assert found == event
        assert found.to_bytes() == event.to_bytes()
        assert store.get("0" * 26) is None

    def test_events_are_there_after_the_store_is_opened_again(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        events = [stored_event(BASE_US + step, details={"step": step}) for step in range(20)]
        store.write(events)
        store.close()
        again = self.open_store(tmp_path / "store", "writer")
        assert again.get(events[3].id) == events[3]
        assert again.count(All()) == 20
        again.write([stored_event(details={"step": 7})])
        again.refresh()
        assert again.count(Term("details.step", 7)) == 2
        again.close()

    def test_a_reader_sees_what_the_writer_has_written_after_refresh(self, tmp_path: Path) -> None:
        writer = self.open_store(tmp_path / "store", "writer")
        reader = self.open_store(tmp_path / "store", "reader")
        first, second = stored_event(BASE_US), stored_event(BASE_US + DAY_US)
        for number, event in enumerate((first, second), 1):
            writer.write([event])
            reader.refresh()
            assert reader.get(event.id) == event
            assert reader.count(All()) == number
            assert reader.known([event.id]) == {event.id}
        reader.close()
        writer.close()

    def test_the_writer_finds_its_own_events_at_once(self, store: EventStore) -> None:
        event = stored_event()
        store.write([event])
        assert store.known([event.id]) == {event.id}
        assert store.get(event.id) == event

    def test_known_names_those_that_are_stored(self, store: EventStore) -> None:
        events = [stored_event(BASE_US + step * DAY_US) for step in range(3)]
        store.write(events)
        store.refresh()
        others = ["0" * 26, stored_event().id]
        assert store.known([*others, *(event.id for event in events)]) == {event.id for event in events}
        assert store.known([]) == set()

    def test_a_batch_that_is_delivered_twice_is_stored_once(self, store: EventStore) -> None:
        events = [stored_event(BASE_US + step, details={"step": step}) for step in range(30)]
        store.write(events[:20])
        assert not store.write(events, maybe_known=True)
        assert not store.write(events, maybe_known=True)
        store.refresh()
        assert store.count(All()) == 30
        assert {event.id for event in store.search(Search(size=100)).events} == {event.id for event in events}

    def test_a_known_event_is_left_as_it_is(self, store: EventStore) -> None:
        event = stored_event(summary="first")
        store.write([event])
        store.write([Event(event.id, {**event.body, "summary": "second"})], maybe_known=True)
        store.refresh()
        assert store.get(event.id) == event

    def test_writing_nothing_is_nothing(self, store: EventStore) -> None:
        assert not store.write([])
        assert not store.write([], maybe_known=True)
        assert store.count(All()) == 0

    def test_events_between_two_ids_come_in_the_order_of_their_ids(self, store: EventStore) -> None:
        events = [
            stored_event(BASE_US - step, received_us=BASE_US + step * DAY_US // 4) for step in range(12)
        ]
        store.write(events)
        store.refresh()
        found = list(store.between_ids(events[2].id, events[9].id))
        assert found == events[2:10]
        assert list(store.between_ids(events[9].id, events[2].id)) == []
        assert list(store.between_ids("0", "Z" * 26)) == events

    def test_children_of_a_split_stand_behind_their_parent(self, store: EventStore) -> None:
        parent = stored_event()
        ids = [parent.id, f"{parent.id}-1", f"{parent.id}-2"]
        store.write([Event(event_id, parent.body) for event_id in ids])
        store.refresh()
        assert [event.id for event in store.between_ids(parent.id, parent.id + "-9")] == ids
        assert [event.id for event in store.between_ids(parent.id, parent.id)] == ids[:1]

    def test_days_of_reception_are_dropped_whole(self, store: EventStore) -> None:
        events = [stored_event(BASE_US, received_us=BASE_US + step * DAY_US) for step in range(4)]
        kept = stored_event(BASE_US, received_us=BASE_US, mozdef={"retention": "long", "defaulted": []})
        store.write([*events, kept])
        store.refresh()
        assert sum(store.status().days.values()) == store.status().events == 5
        assert store.drop_before("2026-03-31") == 2
        store.refresh()
        assert {event.id for event in store.search(Search()).events} == {kept.id, events[2].id, events[3].id}
        assert store.get(events[0].id) is None
        assert store.known([events[0].id, events[2].id]) == {events[2].id}
        assert store.drop_before("2026-03-31") == 0
        assert store.drop_before("2026-03-31", "long") == 1
        store.refresh()
        assert store.count(All()) == 2
        assert list(store.status().days) == ["2026-03-31", "2026-04-01"]

    def test_partitions_are_listed_with_their_sizes_and_can_be_dropped_one_by_one(
        self, store: EventStore
    ) -> None:
        assert list(store.partitions()) == []
        long = {"retention": "long/term", "defaulted": []}
        store.write([stored_event(BASE_US, received_us=BASE_US + step * DAY_US) for step in (2, 0)])
        store.write(
            [
                stored_event(
                    BASE_US, received_us=BASE_US, mozdef=long, summary=" ".join(map(str, range(3_000)))
                )
            ]
        )
        store.refresh()
        listed = store.partitions()
        names = [("2026-03-29", "default"), ("2026-03-29", "long/term"), ("2026-03-31", "default")]
        assert [(one.day, one.retention_class) for one in listed] == names
        assert all(one.size_bytes > 0 for one in listed)
        assert listed[1].size_bytes > listed[0].size_bytes
        assert store.drop_before("2026-03-30", "long/term") == 1
        store.refresh()
        assert [(one.day, one.retention_class) for one in store.partitions()] == [names[0], names[2]]

    def test_an_event_with_a_wrong_clock_goes_by_its_day_of_reception(self, store: EventStore) -> None:
        old = stored_event(0, received_us=BASE_US)
        store.write([old])
        store.refresh()
        assert store.drop_before("2026-03-29") == 0
        assert store.count(All(), (0, 1)) == 1

    def test_a_day_that_was_dropped_can_be_written_to_again(self, store: EventStore) -> None:
        first, second = stored_event(), stored_event()
        store.write([first])
        assert store.drop_before("2026-03-30") == 1
        store.write([second])
        store.refresh()
        assert [event.id for event in store.search(Search()).events] == [second.id]

    @pytest.mark.parametrize("name", STRANGE)
    def test_a_strange_event_is_stored_or_handed_back_and_costs_no_other(
        self, store: EventStore, name: str
    ) -> None:
        before, strange, behind = stored_event(), stored_event(**STRANGE[name]), stored_event()
        refused = {refusal.event.id for refusal in store.write([before, strange, behind])}
        store.refresh()
        assert refused <= {strange.id}
        assert store.known([before.id, strange.id, behind.id]) | refused == {before.id, strange.id, behind.id}
        assert store.count(All()) == 3 - len(refused)
        if not refused:
            found = store.get(strange.id)
            assert found is not None
            assert found.body == strange.body or isinstance(found.get("details.fallback"), str)

    @pytest.mark.parametrize("field", ["utctimestamp", "receivedtimestamp"])
    def test_an_event_without_times_is_handed_back(self, store: EventStore, field: str) -> None:
        broken = stored_event(**dict[str, Any]({field: "never"}))
        good = stored_event()
        assert [refusal.event.id for refusal in store.write([broken, good])] == [broken.id]
        store.refresh()
        assert store.count(All()) == 1

    def test_a_closed_store_can_be_closed_again(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        store.close()
        store.close()
