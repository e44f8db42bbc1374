"""The worker over memory drivers that fail as told, before or after they have done what they were asked."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core import hookimpl
from mozdef_core.alert import Alert
from mozdef_core.detection import Detector
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import BookUnavailableError, QueueUnavailableError, StoreUnavailableError
from mozdef_core.event import Change, Event, Split, new_ids, now_us
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.normalise import Normaliser, parse_json
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import BatchRecord, Delivery, Item, Origin, StoreRefusal
from mozdef_core.services import worker as module
from mozdef_core.services.worker import BACK_OFF_S, Worker

ORIGIN = Origin("events", "http")
MINUTE_US = 60_000_000

Script = Iterable[str]
"""What becomes of the calls of one step, in order: "well", "before" or "after" the failure; then all go well."""


class Steps:
    """Lets each step fail as its script says, and keeps what was done in order."""

    def __init__(self, **scripts: Script) -> None:
        self.scripts = {name: iter(script) for name, script in scripts.items()}
        self.done: list[tuple[str, Any]] = []
        self.failures = 0

    def take(self, name: str, what: Any, action: Callable[[], Any], error: Exception) -> Any:
        fate = next(self.scripts.get(name, iter(())), "well")
        if fate == "before":
            self.failures += 1
            raise error
        answer = action()
        self.done.append((name, what))
        if fate == "after":
            self.failures += 1
            raise error
        return answer

    def names(self) -> list[str]:
        return [name for name, _ in self.done]


class Store(MemoryStore):
    """A store that keeps what it is given as often as it is given it, as real ones do, unless it is told to look."""

    def __init__(self, steps: Steps, refused: Callable[[Event], bool] = lambda _: False) -> None:
        super().__init__()
        self.steps = steps
        self.refused = refused
        self.kept: Counter[str] = Counter()
        self.asked: list[bool] = []

    def write(self, events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        def keep() -> Sequence[StoreRefusal]:
            fit = [event for event in events if not self.refused(event)]
            super(Store, self).write(fit)
            self.kept.update(event.id for event in fit if not (maybe_known and self.kept[event.id]))
            return [StoreRefusal(event, "too odd") for event in events if self.refused(event)]

        self.asked.append(maybe_known)
        ids = [event.id for event in events]
        found: Sequence[StoreRefusal] = self.steps.take(
            "store", ids, keep, StoreUnavailableError("disk full")
        )
        return found


class Book(MemoryBook):
    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps
        self.records: list[BatchRecord] = []

    def record(self, batch: BatchRecord) -> Sequence[Alert]:
        def keep() -> Sequence[Alert]:
            self.records.append(batch)
            return super(Book, self).record(batch)

        raised: Sequence[Alert] = self.steps.take(
            "book", batch, keep, BookUnavailableError("database is gone")
        )
        return raised


class Queue(MemoryQueue):
    """A queue that never makes anybody wait, and ends the worker when it knows that everything is acknowledged."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(MemoryQueue.Options())
        self.steps = steps
        self.stop: threading.Event | None = None
        self.doubtful = False

    def take(self, most: int, wait_s: float) -> list[Delivery]:
        def give() -> list[Delivery]:
            return super(Queue, self).take(most, 0)

        found: list[Delivery] = self.steps.take("take", None, give, QueueUnavailableError("queue is gone"))
        if not self.depth().items and not self.doubtful and self.stop is not None:
            self.stop.set()
        return found

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        held = list(deliveries)
        ids = [item.id for delivery in held for item in delivery.items]

        def forget() -> None:
            super(Queue, self).acknowledge(held)

        self.doubtful = True  # until it has returned: a worker that is told to stop now would not try again
        self.steps.take("acknowledge", ids, forget, QueueUnavailableError("queue is gone"))
        self.doubtful = False


class Stop(threading.Event):
    """Notes how long somebody would have waited, and lets no time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return self.is_set()


class Site:
    """A worker with everything around it in memory."""

    def __init__(
        self,
        *plugins: Any,
        refused: Callable[[Event], bool] = lambda _: False,
        chores: Sequence[Callable[[], None]] = (),
        **scripts: Script,
    ) -> None:
        self.steps = Steps(**scripts)
        self.queue, self.store, self.book = Queue(self.steps), Store(self.steps, refused), Book(self.steps)
        self.host = Host([Plugin(type(plugin).__name__.lower(), plugin) for plugin in plugins], Health())
        pipeline = Pipeline(self.host, Normaliser("node", 1), {"json": parse_json}, {})
        self.worker = Worker(self.queue, pipeline, Detector(self.host), self.store, self.book, chores)
        self.stop = Stop()

    def put(self, *raw: bytes, received_us: int | None = None) -> list[str]:
        moment = now_us() if received_us is None else received_us
        ids = new_ids(moment, len(raw))
        self.queue.put(
            [Item(*pair, ORIGIN, one) for pair, one in zip(((i, moment) for i in ids), raw, strict=True)]
        )
        return ids

    def run(self) -> None:
        """Run until everything is acknowledged."""
        self.queue.stop = self.stop
        self.worker.run(self.stop)


def a_batch_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 1)


def test_a_batch_is_stored_then_recorded_then_acknowledged() -> None:
    site = Site()
    ids = site.put(b'{"summary": "a"}', b'{"summary": "b"}', received_us=90 * MINUTE_US)
    site.run()
    assert [(name, what) for name, what in site.steps.done if name not in ("take", "book")] == [
        ("store", ids),
        ("acknowledge", ids),
    ]
    assert [name for name in site.steps.names() if name != "take"] == ["store", "book", "acknowledge"]
    assert site.book.records[0].arrivals == {90: 2}
    assert site.queue.depth().items == 0
    assert site.store.asked == [False]


def test_the_counters_say_what_was_done() -> None:
    site = Site()
    site.put(b'{"summary": "a"}', b"no json", b'{"summary": "b"}')
    site.run()
    counters = site.worker.progress.snapshot()
    del counters["watermark_us"]
    assert counters == {
        "taken": 3, "stored": 2, "dead_letters": 1, "alerts": 0, "imported": 0, "imported_old": 0, "retries": 0,
        "last_error": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "done"),
    [
        ("store", ["store", "book", "acknowledge"]),
        ("book", ["store", "book", "acknowledge"]),
        ("acknowledge", ["store", "book", "book", "book", "acknowledge"]),
    ],
)
def test_what_failed_is_tried_again_from_that_step(step: str, done: list[str]) -> None:
    site = Site(**{step: ["before", "before"]})
    (event_id,) = site.put(b"{}")
    site.run()
    assert [name for name in site.steps.names() if name != "take"] == done
    assert site.store.kept == {event_id: 1}
    assert site.queue.depth().items == 0
    assert site.worker.progress.retries == 2
    assert site.worker.progress.last_error is None


def test_a_write_that_failed_after_it_had_stored_is_repeated_with_care() -> None:
    site = Site(store=["after"])
    (event_id,) = site.put(b"{}")
    site.run()
    assert site.store.asked == [False, True]
    assert site.store.kept == {event_id: 1}


def test_of_a_redelivered_batch_the_events_may_be_known() -> None:
    site = Site()
    (event_id,) = site.put(b"{}")
    site.worker.commit(site.worker.process(site.queue.take(1, 0)))
    (again,) = new = [Item(event_id, now_us(), ORIGIN, b"{}")]
    site.queue.put(new)
    site.queue.put_back(site.queue.take(1, 0))
    site.run()
    assert again.id == event_id
    assert site.store.asked == [False, True]
    assert site.store.kept == {event_id: 1}


def test_one_redelivered_batch_among_several_makes_all_of_them_doubtful() -> None:
    site = Site()
    site.put(b"{}")
    site.queue.put_back(site.queue.take(1, 0))
    site.put(b"{}")
    site.run()
    assert site.store.asked == [True]


def test_an_event_that_the_store_refuses_is_a_dead_letter_with_the_senders_bytes() -> None:
    site = Site(refused=lambda event: event.body["summary"] == "odd")
    good, odd = site.put(b'{"summary": "good"}', b' {"summary":"odd"} ')
    site.run()
    assert site.store.kept == {good: 1}
    (letter,) = site.book.dead_letters.values()
    assert (letter.id, letter.stage, letter.code, letter.reason) == (odd, "store", "refused", "too odd")
    assert letter.raw == b' {"summary":"odd"} '
    assert (site.worker.progress.stored, site.worker.progress.dead_letters) == (1, 1)
    assert site.queue.depth().items == 0


class Halves:
    """Splits every event in two."""

    @hookimpl
    def on_event(self, event: Event) -> Split:
        return Split([Change(set={"details.half": 1}), Change(set={"details.half": 2})])


def test_a_part_of_an_item_that_the_store_refuses_is_a_dead_letter_with_the_whole_items_bytes() -> None:
    site = Site(Halves(), refused=lambda event: event.body["details"]["half"] == 2)
    site.put(b'{"summary": "other"}')
    (parent,) = site.put(b'{"summary": "whole"}')
    site.run()
    letter = site.book.dead_letters[f"{parent}-2"]
    assert letter.raw == b'{"summary": "whole"}'
    assert site.store.kept[f"{parent}-1"] == 1
    assert len(site.book.dead_letters) == 2


def test_a_refusal_survives_a_database_that_fails_afterwards() -> None:
    site = Site(refused=lambda _: True, book=["before"])
    site.put(b"{}")
    site.run()
    assert site.store.asked == [False]
    assert len(site.book.dead_letters) == 1


@pytest.mark.parametrize("step", ["store", "book", "acknowledge"])
def test_told_to_stop_it_leaves_what_does_not_get_through_in_the_queue(
    step: str, caplog: pytest.LogCaptureFixture
) -> None:
    def stopping() -> Iterator[str]:
        while True:
            site.stop.set()
            yield "before"

    site = Site(**{step: stopping()})
    site.put(b"{}")
    with caplog.at_level(logging.WARNING):
        site.worker.run(site.stop)
    assert site.queue.depth().items == 1
    assert site.steps.failures == 1
    assert site.stop.waits == []
    assert "stopped with 1 deliveries in hand, they come again" in caplog.text


def test_told_to_stop_it_finishes_what_is_in_hand() -> None:
    site = Site()
    site.queue.stop = site.stop
    site.put(b"{}")
    taken = site.queue.take

    def last(most: int, wait_s: float) -> list[Delivery]:
        site.stop.set()
        return taken(most, wait_s)

    site.queue.take = last  # type: ignore[method-assign]
    site.worker.run(site.stop)
    assert site.queue.depth().items == 0


def test_an_outage_is_told_once_with_growing_pauses_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site(store=["before"] * 8)
    site.put(b"{}")
    with caplog.at_level(logging.WARNING):
        site.run()
    assert site.stop.waits == [*BACK_OFF_S, BACK_OFF_S[-1], BACK_OFF_S[-1]]
    first, last = (record.getMessage() for record in caplog.records)
    assert first == "the worker waits, nothing is lost, next try in 0.5 s: StoreUnavailableError: disk full"
    assert last == "the worker goes on after 9 tries"


def test_while_it_waits_the_reason_is_shown() -> None:
    shown = []

    class Looking(Stop):
        def wait(self, timeout: float | None = None) -> bool:
            shown.append(site.worker.progress.snapshot()["last_error"])
            return super().wait(timeout)

    site = Site(book=["before"])
    site.stop = Looking()
    site.put(b"{}")
    site.run()
    assert shown == ["BookUnavailableError: database is gone"]


def test_a_queue_that_cannot_be_read_is_asked_again_with_pauses_that_begin_anew_after_a_success() -> None:
    site = Site(take=["before", "before", "before", "well", "before"])
    site.put(b"{}")
    site.run()
    assert site.stop.waits == [0.5, 1, 2, 0.5]
    assert site.queue.depth().items == 0


@pytest.mark.parametrize("stopping", [False, True])
def test_a_bug_ends_it_and_nothing_in_hand_is_acknowledged(*, stopping: bool) -> None:
    site = Site()
    site.put(b"{}")

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a bug")

    site.store.write = broken  # type: ignore[method-assign]
    if stopping:
        taken = site.queue.take

        def last(most: int, wait_s: float) -> list[Delivery]:
            site.stop.set()
            return taken(most, wait_s)

        site.queue.take = last  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        site.run()
    assert site.queue.depth().items == 1


def test_the_watermark_is_the_reception_of_the_oldest_item_in_hand_or_now() -> None:
    site = Site()
    before_us = now_us()
    assert before_us <= site.worker.progress.snapshot()["watermark_us"] <= now_us()  # type: ignore[operator]
    works = []
    for received_us in (2_000, 1_000, 3_000):
        site.put(b"{}", b"{}", received_us=received_us)
        works.append(site.worker.process(site.queue.take(1, 0)))
    seen = [site.worker.progress.snapshot()["watermark_us"]]
    for work in (works[1], works[0]):
        site.worker.commit(work)
        seen.append(site.worker.progress.snapshot()["watermark_us"])
    assert seen == [1_000, 2_000, 3_000]
    site.worker.commit(works[2])
    assert before_us <= site.worker.progress.snapshot()["watermark_us"] <= now_us()  # type: ignore[operator]


def test_items_that_fail_keep_the_watermark_back() -> None:
    site = Site(book=["before"])
    site.put(b"{}", received_us=1_000)
    work = site.worker.process(site.queue.take(1, 0))
    with pytest.raises(BookUnavailableError):
        site.worker.commit(work)
    assert site.worker.progress.snapshot()["watermark_us"] == 1_000


def test_chores_are_done_between_batches_and_when_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_batch_each(monkeypatch)
    done = []
    site = Site(chores=[lambda: done.append(site.queue.depth().items)])
    for _ in range(3):
        site.put(b"{}")
    site.run()
    assert len(done) >= 3
    assert site.queue.depth().items == 0


def test_the_next_batch_is_processed_while_the_one_before_is_being_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_batch_each(monkeypatch)
    site = Site()
    second_processed = threading.Event()
    process, write = site.worker.process, site.store.write

    def processing(deliveries: Sequence[Delivery]) -> Any:
        work = process(deliveries)
        if site.worker.progress.taken == 2:
            second_processed.set()
        return work

    def writing(events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        assert second_processed.wait(10)
        return write(events, maybe_known=maybe_known)

    site.worker.process = processing  # type: ignore[method-assign]
    site.store.write = writing  # type: ignore[method-assign]
    site.put(b"{}")
    site.put(b"{}")
    site.run()
    assert site.worker.progress.stored == 2


_fates = st.lists(st.sampled_from(["well", "before", "after"]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=6),
    redelivered=st.integers(0, 3),
    most=st.integers(1, 5),
    store=_fates,
    book=_fates,
    acknowledge=_fates,
    take=st.lists(st.sampled_from(["well", "before"]), max_size=6),
)
def test_whatever_fails_every_item_is_stored_once_and_acknowledged_only_after_store_and_book(
    sizes: list[int],
    redelivered: int,
    most: int,
    store: Script,
    book: Script,
    acknowledge: Script,
    take: Script,
) -> None:
    site = Site(store=store, book=book, acknowledge=acknowledge)
    ids = [event_id for size in sizes for event_id in site.put(*[b"{}"] * size)]
    site.queue.put_back(site.queue.take(redelivered, 0) if redelivered else [])
    site.steps.scripts["take"] = iter(take)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH", most)
        site.run()
    assert site.store.kept == dict.fromkeys(ids, 1)
    assert site.queue.depth().items == 0
    stored: set[str] = set()
    recorded = 0
    acknowledged: set[str] = set()
    for name, what in site.steps.done:
        if name == "store":
            stored.update(what)
        elif name == "book":
            recorded = len(stored)  # one thread commits, so all that was stored until now is in this record
        elif name == "acknowledge":
            assert stored.issuperset(what)
            acknowledged.update(what)
            assert len(acknowledged) <= recorded
    assert acknowledged == set(ids)
    assert {minute for record in site.book.records for minute in record.arrivals} == set(site.book.arrivals)
    assert site.worker.progress.retries == site.steps.failures
    assert (site.worker.progress.stored, site.worker.progress.held) == (len(ids), [])
