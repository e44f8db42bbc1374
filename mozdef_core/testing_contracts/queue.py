"""What every queue driver must do, as tests that a driver inherits."""

# a test's name is its sentence, and it asserts

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozdef_core.errors import QueueFullError
from mozdef_core.event import new_ids, now_us
from mozdef_core.ports import Delivery, Item, Origin, Queue

ORIGIN = Origin("events", "http", endpoint="events", peer="127.0.0.1", token="laptop")  # a label


# A contract's test runs in each driver's class, and emptying the queue is all that an example has to clean up.
_INHERITED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


class OpenQueue(Protocol):
    """Opens a queue that is empty at the first call; each call is a consumer of its own on the same queue."""

    def __call__(self, **options: Any) -> Queue:
        """Open it with these options besides the driver's own."""
        ...


def items(
    *raw: bytes,
    sender_ids: Sequence[str | None] | None = None,
    origin: Origin = ORIGIN,
    received_us: int | None = None,
) -> list[Item]:
    """Return items with ids of their own, received now."""
    moment = now_us() if received_us is None else received_us
    senders = sender_ids or [None] * len(raw)
    ids = new_ids(moment, len(raw))
    return [Item(ids[n], moment, origin, raw[n], sender_id=senders[n]) for n in range(len(raw))]


def taken(deliveries: Sequence[Delivery]) -> list[Item]:
    """Return the items of deliveries in their order."""
    return [item for delivery in deliveries for item in delivery.items]


def drain(queue: Queue) -> list[Item]:
    """Take and acknowledge all that waits."""
    found: list[Item] = []
    while deliveries := queue.take(1000, 0):
        found += taken(deliveries)
        queue.acknowledge(deliveries)
    return found


def put_until_refused(queue: Queue, accepted: list[str], most: int = 1_000) -> None:
    """Put items of 2,000 bytes that cannot be compressed, noting the id of each accepted one, until one is refused."""
    for number in range(most):
        accepted += queue.put(items(_noise(number, 2_000))).ids


_text = st.text(st.characters(codec="utf-8"), max_size=20)
_origins = st.builds(
    Origin, name=_text, kind=_text, decoder=_text, endpoint=st.none() | _text, peer=st.none() | _text
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | _text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_text, inner, max_size=2),
    max_leaves=4,
)
_items = st.builds(
    Item,
    id=st.uuids().map(str),
    received_us=st.integers(0, 2**53),
    origin=_origins,
    raw=st.binary(max_size=200),
    refusal=st.none() | st.tuples(_text, _text),
    replay_of=st.none() | _text,
    fields=st.dictionaries(_text, _json, max_size=2),
)


class QueueContract:
    """The tests for every queue; a driver gives the fixture ``open_queue``."""

    full_options: ClassVar[dict[str, Any]] = {"limit_bytes": 2**16}
    """Options with which the queue holds few enough bytes to be filled by a test."""

    @pytest.fixture
    def open_queue(self) -> OpenQueue:
        """Return what opens the queue."""
        raise NotImplementedError

    @pytest.fixture
    def queue(self, open_queue: OpenQueue) -> Iterator[Queue]:
        """Open the queue for a test."""
        queue = open_queue()
        yield queue
        queue.close()

    def test_items_come_out_as_they_went_in(self, queue: Queue) -> None:
        first, second = items(b"a", b"", b"\xff\x00"), items(b"b")
        assert queue.put(first) == ([item.id for item in first], 0)
        queue.put(second)
        deliveries = queue.take(100, 0)
        assert taken(deliveries) == first + second
        assert [delivery.redelivered for delivery in deliveries] == [False] * len(deliveries)

    @settings(max_examples=40, deadline=None, suppress_health_check=_INHERITED)
    @given(batch=st.lists(_items, min_size=1, max_size=5))
    def test_any_item_comes_out_as_it_went_in(self, queue: Queue, batch: list[Item]) -> None:
        queue.put(batch)
        assert drain(queue) == batch

    def test_text_that_is_no_unicode_comes_out_as_it_went_in(self, queue: Queue) -> None:
        odd = items(b"x", sender_ids=["/var/log/\udcff:12"])
        queue.put(odd)
        assert drain(queue) == odd

    def test_putting_nothing_keeps_nothing(self, queue: Queue) -> None:
        assert queue.put([]) == ([], 0)
        assert queue.take(1, 0) == []

    def test_a_taken_batch_is_not_given_out_twice(self, queue: Queue) -> None:
        queue.put(items(b"a"))
        assert len(queue.take(1, 0)) == 1
        assert queue.take(1, 0) == []

    def test_taking_stops_when_there_are_enough_items(self, queue: Queue) -> None:
        batches = [items(*[b"%d" % n] * 100) for n in range(4)]
        for batch in batches:
            queue.put(batch)
        assert taken(queue.take(150, 0)) == batches[0] + batches[1]
        assert taken(queue.take(1, 0)) == batches[2]

    def test_acknowledged_batches_are_forgotten(self, queue: Queue) -> None:
        queue.put(items(b"a", b"b"))
        deliveries = queue.take(10, 0)
        assert queue.depth().items == 2
        queue.acknowledge(deliveries)
        assert queue.depth()[:2] == (0, 0)
        queue.acknowledge(deliveries)
        assert queue.depth()[:2] == (0, 0)

    def test_what_is_put_back_comes_again_in_its_old_place_marked_as_redelivered(self, queue: Queue) -> None:
        batches = [items(*[b"%d" % n] * 100) for n in range(3)]
        for batch in batches:
            queue.put(batch)
        first = queue.take(1, 0)
        queue.take(1, 0)
        queue.put_back(first)
        again = queue.take(1000, 0)
        assert taken(again) == batches[0] + batches[2]
        assert [delivery.redelivered for delivery in again] == [True, False]

    def test_the_depth_tells_the_items_and_the_oldest(self, queue: Queue) -> None:
        assert queue.depth()[:2] == (0, 0)
        assert queue.depth().oldest_us is None
        queue.put(items(b"a", b"b", received_us=1_000))
        queue.put(items(b"c", received_us=2_000))
        depth = queue.depth()
        assert (depth.items, depth.oldest_us) == (3, 1_000)
        assert 0 < depth.size_bytes < depth.limit_bytes

    def test_a_full_queue_refuses_until_there_is_room(self, open_queue: OpenQueue) -> None:
        queue = open_queue(**self.full_options)
        accepted: list[str] = []
        with pytest.raises(QueueFullError) as caught:
            put_until_refused(queue, accepted)
        assert caught.value.retry_after_s > 0
        assert queue.depth().size_bytes <= queue.depth().limit_bytes
        assert len(accepted) > 10
        assert [item.id for item in drain(queue)] == accepted
        queue.put(items(b"a"))
        assert len(drain(queue)) == 1
        queue.close()

    def test_a_put_bigger_than_the_limit_is_taken_by_an_empty_queue(self, open_queue: OpenQueue) -> None:
        queue = open_queue(**self.full_options)
        queue.put(items(_noise(0, 200_000)))
        with pytest.raises(QueueFullError):
            queue.put(items(b"a"))
        assert len(drain(queue)) == 1
        queue.close()

    def test_a_repeat_within_one_put_is_kept_once(self, queue: Queue) -> None:
        batch = items(b"a", b"b", b"c", b"d", sender_ids=["1", "2", "1", None])
        ids = [item.id for item in batch]
        assert queue.put(batch) == ([ids[0], ids[1], ids[0], ids[3]], 1)
        assert [item.raw for item in drain(queue)] == [b"a", b"b", b"d"]

    def test_a_repeat_of_an_earlier_put_gets_the_first_ones_id(self, queue: Queue) -> None:
        first, second = items(b"a", b"b", sender_ids=["1", "2"]), items(b"b", b"c", sender_ids=["2", "3"])
        queue.put(first)
        drain(queue)
        assert queue.put(second) == ([first[1].id, second[1].id], 1)
        assert [item.raw for item in drain(queue)] == [b"c"]
        assert queue.put(second) == ([first[1].id, second[1].id], 2)
        assert drain(queue) == []

    def test_many_repeats_are_all_known(self, queue: Queue) -> None:
        names = [str(number) for number in range(3_000)]
        first, second = items(*[b"x"] * 3_000, sender_ids=names), items(*[b"x"] * 3_000, sender_ids=names)
        ids = [item.id for item in first]
        queue.put(first)
        assert queue.put(second) == (ids, 3_000)
        assert len(drain(queue)) == 3_000

    def test_another_entrance_has_sender_ids_of_its_own(self, queue: Queue) -> None:
        queue.put(items(b"a", sender_ids=["1"]))
        assert queue.put(items(b"a", sender_ids=["1"], origin=Origin("files", "file"))).duplicates == 0

    def test_a_sender_id_is_forgotten_after_the_window(self, open_queue: OpenQueue) -> None:
        queue = open_queue(sender_id_window_s=0.05)
        queue.put(items(b"a", sender_ids=["1"]))
        assert queue.put(items(b"a", sender_ids=["1"])).duplicates == 1
        time.sleep(0.07)
        assert queue.put(items(b"a", sender_ids=["1"])).duplicates == 0
        assert queue.put(items(b"a", sender_ids=["1"])).duplicates == 1
        queue.close()

    def test_the_oldest_sender_ids_go_when_there_are_too_many(self, open_queue: OpenQueue) -> None:
        queue = open_queue(sender_id_limit=40)
        for number in range(100):
            queue.put(items(b"a", sender_ids=[str(number)]))
        assert queue.put(items(b"a", sender_ids=["99"])).duplicates == 1
        assert queue.put(items(b"a", sender_ids=["75"])).duplicates == 1
        assert queue.put(items(b"a", sender_ids=["1"])).duplicates == 0
        queue.close()

    def test_a_refused_put_leaves_no_sender_ids(self, open_queue: OpenQueue) -> None:
        queue = open_queue(**self.full_options)
        queue.put(items(_noise(0, 60_000)))
        late = items(_noise(1, 60_000), sender_ids=["late"])
        with pytest.raises(QueueFullError):
            queue.put(late)
        drain(queue)
        assert queue.put(late) == ([late[0].id], 0)
        queue.close()

    def test_of_the_same_sender_id_put_by_many_threads_one_is_kept(self, queue: Queue) -> None:
        batches = [items(b"a", b"%d" % number, sender_ids=["same", None]) for number in range(16)]
        results = _in_threads([lambda batch=batch: queue.put(batch) for batch in batches])  # type: ignore[misc]
        assert sum(result.duplicates for result in results) == 15
        assert len({result.ids[0] for result in results}) == 1
        assert sorted(item.raw for item in drain(queue)) == sorted(
            [b"a"] + [b"%d" % number for number in range(16)]
        )

    def test_the_order_of_each_thread_is_kept(self, queue: Queue) -> None:
        def put(sender: int) -> None:
            for number in range(30):
                queue.put(items(b"%d %d" % (sender, number)))

        _in_threads([lambda sender=sender: put(sender) for sender in range(4)])  # type: ignore[misc]
        found = [item.raw.split() for item in drain(queue)]
        for sender in range(4):
            mine = [int(number) for name, number in found if name == b"%d" % sender]
            assert mine == list(range(30))

    def test_threads_that_take_share_the_batches(self, queue: Queue) -> None:
        batches = [items(*[b"%d" % number] * 70) for number in range(40)]
        for batch in batches:
            queue.put(batch)
        found = _in_threads([lambda: drain(queue)] * 4)
        assert sorted(item.id for part in found for item in part) == sorted(
            item.id for b in batches for item in b
        )

    def test_who_waits_is_woken_by_a_put(self, queue: Queue) -> None:
        timer = threading.Timer(0.05, queue.put, [items(b"a")])
        timer.start()
        started = time.monotonic()
        assert len(queue.take(1, 5)) == 1
        assert time.monotonic() - started < 1
        timer.join()

    def test_who_waits_in_vain_gets_nothing(self, queue: Queue) -> None:
        started = time.monotonic()
        assert queue.take(1, 0.05) == []
        assert 0.04 < time.monotonic() - started < 1


def _noise(seed: int, size: int) -> bytes:
    """Return bytes that cannot be compressed."""
    state = hashlib.shake_128(b"%d" % seed)
    return state.digest(size)


def _in_threads(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the jobs at the same time and return what they return."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]
