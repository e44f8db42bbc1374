"""What the worker makes of imported events, among those of senders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mozdef_core import hookimpl
from mozdef_core.alert import Alert
from mozdef_core.detection import Detector
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.event import LATE_HORIZON_S, Change, Event, new_ids, now_us
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.normalise import Normaliser, parse_json
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import BatchRecord, Delivery, Item, Origin, StoreRefusal
from mozdef_core.services.backfill import ORIGIN, as_item
from mozdef_core.services.worker import Work, Worker
from mozdef_core.testing_contracts.store_events import stored_event
from mozdef_core.window import Window

OLD_US = now_us() - (LATE_HORIZON_S + 600) * 1_000_000
RECENT_US = now_us() - 3_600_000_000


class Mapper:
    @hookimpl
    def on_event(self, event: Event) -> Change:
        return Change(set={"details.mapped": True})


class Rule:
    """Notes what it is shown, and fails if it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.seen: list[list[str]] = []

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert]:
        self.seen.append([event.id for event in window])
        if self.fails:
            raise RuntimeError
        return ()


class Book(MemoryBook):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[BatchRecord] = []

    def record(self, batch: BatchRecord) -> Any:
        self.records.append(batch)
        return super().record(batch)


class Store(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []
        self.refuses: set[str] = set()

    def write(self, events: Any, *, maybe_known: bool = False) -> list[StoreRefusal]:
        self.asked.append(maybe_known)
        super().write([event for event in events if event.id not in self.refuses])
        return [StoreRefusal(event, "too odd") for event in events if event.id in self.refuses]


class Site:
    def __init__(self, rule: Rule | None = None) -> None:
        self.rule = rule or Rule()
        host = Host([Plugin("mapper", Mapper()), Plugin("rule", self.rule)], Health())
        self.store, self.book = Store(), Book()
        pipeline = Pipeline(host, Normaliser("node", 1), {"json": parse_json}, {})
        queue = MemoryQueue(MemoryQueue.Options())
        self.worker = Worker(queue, pipeline, Detector(host), self.store, self.book)

    def lead(self, *items: Item) -> Work:
        work = self.worker.process([Delivery("1", items, redelivered=False)])
        self.worker.commit(work)
        return work


def sent(text: str = "x") -> Item:
    moment = now_us()
    return Item(new_ids(moment, 1)[0], moment, Origin("events", "http"), b'{"summary": "%b"}' % text.encode())


def test_imported_events_are_stored_as_they_were_and_no_plugin_changes_them_again() -> None:
    site, event, other = Site(), stored_event(OLD_US), sent()
    site.lead(as_item(event, now_us()), other)
    stored, mapped = site.store.get(event.id), site.store.get(other.id)
    assert stored is not None
    assert stored.body == {**event.body, "mozdef": {**event.body["mozdef"], "replayed": True}}
    assert mapped is not None
    assert mapped.get("details.mapped") is True
    assert site.store.asked == [True]


def test_a_batch_without_imported_events_needs_no_look_at_the_store() -> None:
    site = Site()
    site.lead(sent())
    assert site.store.asked == [False]


def test_the_same_event_twice_is_stored_once_as_it_was_first() -> None:
    site, event = Site(), stored_event(OLD_US)
    site.lead(as_item(event, now_us()), as_item(event, now_us()))
    site.lead(as_item(event.with_change(Change(set={"summary": "forged"})), now_us()))
    (stored,) = site.store.between_ids("0", "Z" * 26)
    assert stored.text("summary") == event.text("summary")


def test_what_lies_before_the_late_horizon_reopens_nothing_and_is_counted() -> None:
    site, old = Site(), stored_event(OLD_US)
    site.lead(as_item(old, now_us()))
    assert site.rule.seen == []
    assert site.book.records[0].arrivals == {}
    assert site.store.get(old.id) is not None
    counters = site.worker.progress.snapshot()
    assert (counters["imported"], counters["imported_old"], counters["stored"]) == (1, 1, 1)


def test_what_is_recent_is_looked_at_apart_from_what_arrives() -> None:
    site, recent, old, other = Site(), stored_event(RECENT_US), stored_event(OLD_US), sent()
    site.lead(as_item(recent, now_us()), as_item(old, now_us()), other)
    assert site.rule.seen == [[other.id], [recent.id]]
    assert sum(site.book.records[0].arrivals.values()) == 2
    assert site.book.records[0].arrivals[RECENT_US // 60_000_000] == 1


def test_what_is_owed_to_a_rule_does_not_span_the_time_between() -> None:
    site, recent, other = Site(Rule(fails=True)), stored_event(RECENT_US), sent()
    site.lead(as_item(recent, now_us()), other)
    assert [(span.first, span.last) for span in site.book.records[0].owed] == [
        (other.id, other.id),
        (recent.id, recent.id),
    ]


def test_imported_events_hold_up_no_watermark() -> None:
    site, at_us = Site(), now_us()
    site.worker.process([Delivery("1", [as_item(stored_event(OLD_US), at_us)], redelivered=False)])
    assert site.worker.progress.snapshot()["watermark_us"] == at_us


def test_what_the_store_refuses_becomes_a_dead_letter_of_what_was_imported() -> None:
    site, event = Site(), stored_event(OLD_US)
    child = Event(f"{event.id}-2", event.body)
    site.store.refuses = {child.id}
    item = as_item(child, now_us())
    site.lead(as_item(event, now_us()), item)
    (letter,) = site.book.records[0].dead_letters
    assert (letter.id, letter.stage, letter.raw) == (child.id, "store", item.raw)


def test_what_is_no_event_becomes_a_dead_letter() -> None:
    site = Site()
    site.lead(Item("A" * 26, now_us(), ORIGIN, b"nonsense"), sent())
    (letter,) = site.book.records[0].dead_letters
    assert letter.code == "invalid-json"
    assert site.worker.progress.snapshot()["stored"] == 1


def test_a_replayed_letter_of_an_import_is_settled() -> None:
    site, event = Site(), stored_event(OLD_US)
    site.lead(Item("B" * 26, now_us(), ORIGIN, event.to_bytes(), replay_of="L1"))
    assert site.book.records[0].replayed == {"L1": [event.id]}
