from __future__ import annotations

import threading

import pytest

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.errors import QueueFullError
from mozdef_core.ports import Item, Origin
from mozdef_core.services import intake as module
from mozdef_core.services.intake import ITEM_LIMIT, QueueIntake

ORIGIN = Origin("syslog", "syslog", decoder="syslog")


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue(MemoryQueue.Options(limit_bytes=2**22))


def waiting(queue: MemoryQueue) -> list[Item]:
    return [item for delivery in queue.take(100_000, 0) for item in delivery.items]


def test_items_get_ids_in_their_order_a_time_the_origin_and_the_fields(queue: MemoryQueue) -> None:
    result = QueueIntake(queue, ORIGIN).put([b"a", b"b"], peer="192.0.2.7", fields={"category": "syslog"})
    items = waiting(queue)
    assert [item.id for item in items] == result.ids == sorted(result.ids)
    assert [item.raw for item in items] == [b"a", b"b"]
    assert items[0].received_us == items[1].received_us > 0
    assert items[0].origin == Origin("syslog", "syslog", decoder="syslog", peer="192.0.2.7")
    assert items[1].fields == {"category": "syslog"}


def test_without_a_peer_the_origin_is_the_inputs_own(queue: MemoryQueue) -> None:
    QueueIntake(queue, ORIGIN).put([b"a"])
    assert waiting(queue)[0].origin is ORIGIN


def test_an_item_of_the_greatest_size_is_taken_whole_and_a_bigger_one_is_kept_cut_with_its_refusal(
    queue: MemoryQueue,
) -> None:
    QueueIntake(queue, ORIGIN).put([b"x" * ITEM_LIMIT, b"y" * (ITEM_LIMIT + 1), b"z"])
    fits, long, after = waiting(queue)
    assert (fits.refusal, len(fits.raw)) == (None, ITEM_LIMIT)
    assert long.refusal is not None
    assert long.refusal[0] == "too-large"
    assert "1048577 bytes" in long.refusal[1]
    assert len(long.raw) == ITEM_LIMIT
    assert (after.refusal, after.raw) == (None, b"z")


def test_repeats_are_counted_and_get_the_first_ones_id(queue: MemoryQueue) -> None:
    intake = QueueIntake(queue, ORIGIN)
    first = intake.put([b"a", b"b"], sender_ids=["1", None])
    second = intake.put([b"a", b"b"], sender_ids=["1", None])
    assert second.ids[0] == first.ids[0] != second.ids[1]
    assert intake.counters.snapshot() == {
        "received": 4, "duplicates": 1, "size_bytes": 4, "held_back": 0, "lost": {}
    }  # fmt: skip


def test_a_refused_put_keeps_nothing_however_many_items_it_has(queue: MemoryQueue) -> None:
    intake = QueueIntake(queue, ORIGIN)
    intake.put([b"x" * 100])
    with pytest.raises(QueueFullError):
        intake.put([b"y" * 400] * 11_000)
    assert len(waiting(queue)) == 1
    assert (intake.counters.received, intake.counters.held_back) == (1, 1)


def test_more_items_than_there_are_ids_for_are_refused(
    queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    with pytest.raises(ValueError, match="3 items in one put, 2 are allowed"):
        QueueIntake(queue, ORIGIN).put([b"a"] * 3)


def test_what_is_lost_is_counted_by_reason(queue: MemoryQueue) -> None:
    intake = QueueIntake(queue, ORIGIN)
    intake.lost(2, "cut short")
    intake.lost(1, "cut short")
    assert intake.counters.snapshot()["lost"] == {"cut short": 3}


def test_counts_of_many_threads_wait_for_each_other(queue: MemoryQueue) -> None:
    intake = QueueIntake(queue, ORIGIN)
    with intake.counters._lock:
        thread = threading.Thread(target=intake.put, args=([b"a"],))
        thread.start()
        thread.join(0.05)
        assert intake.counters.received == 0
    thread.join()
    assert intake.counters.received == 1
