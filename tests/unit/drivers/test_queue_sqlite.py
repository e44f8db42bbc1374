from __future__ import annotations

import logging
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mozdef_core.drivers import queue_sqlite
from mozdef_core.drivers.queue_sqlite import SqliteQueue
from mozdef_core.drivers.queue_sqlite_senders import SenderIds
from mozdef_core.errors import QueueFullError, QueueUnavailableError
from mozdef_core.testing_contracts.queue import OpenQueue, drain, items, put_until_refused, taken
from mozdef_core.testing_contracts.queue_durable import DurableQueueContract


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "queue.db"


def opened(path: Path, **options: Any) -> SqliteQueue:
    return SqliteQueue(SqliteQueue.Options(min_free_bytes=0, **options), path)


class TestSqliteQueue(DurableQueueContract):
    @pytest.fixture
    def open_queue(self, path: Path) -> OpenQueue:
        def open_queue(**options: Any) -> SqliteQueue:
            return opened(path, **options)

        return open_queue

    @pytest.fixture
    def queue_source(self, path: Path) -> str:
        return (
            "from pathlib import Path; from mozdef_core.drivers.queue_sqlite import SqliteQueue\n"
            f"queue = SqliteQueue(SqliteQueue.Options(min_free_bytes=0), Path({str(path)!r}))"
        )


def test_a_put_waits_for_the_disk(path: Path) -> None:
    queue = opened(path)
    queue.put(items(b"a"))
    with queue._writing.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    queue.close()


@contextmanager
def _file_size_limit(limit: int) -> Iterator[None]:
    """Make every write beyond a size fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_costs_nothing_that_was_accepted(path: Path) -> None:
    queue = opened(path)
    accepted: list[str] = []
    with _file_size_limit(300_000), pytest.raises(QueueUnavailableError, match="cannot be used"):
        put_until_refused(queue, accepted)
    assert len(accepted) > 10
    accepted += queue.put(items(b"there is room again")).ids
    assert [item.id for item in drain(queue)] == accepted
    queue.close()


def test_a_disk_with_too_little_left_is_full(path: Path) -> None:
    queue = SqliteQueue(SqliteQueue.Options(min_free_bytes=2**60), path)
    queue.take(1, 0)
    with pytest.raises(QueueFullError, match="must stay free") as caught:
        queue.put(items(b"a"))
    assert caught.value.retry_after_s == 30
    queue.close()


def test_a_locked_file_is_unavailable_and_then_works_again(path: Path) -> None:
    queue = opened(path, lock_timeout_s=0.05)
    queue.put(items(b"a"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(QueueUnavailableError, match="locked"):
        queue.put(items(b"b"))
    with pytest.raises(QueueUnavailableError, match="locked"):
        queue.take(1, 0)
    other.execute("ROLLBACK")
    other.close()
    queue.put(items(b"c"))
    assert [item.raw for item in drain(queue)] == [b"a", b"c"]
    queue.close()


def test_a_connection_that_failed_is_replaced(path: Path) -> None:
    queue = opened(path)
    queue.put(items(b"a"))
    assert queue._writing._connection is not None
    queue._writing._connection.close()
    with pytest.raises(QueueUnavailableError):
        queue.put(items(b"b"))
    queue.put(items(b"c"))
    assert [item.raw for item in drain(queue)] == [b"a", b"c"]
    queue.close()


def test_a_put_of_another_connection_is_seen_by_polling(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_sqlite, "_LOOK_FOR_THE_DEAD_S", 60)
    first, second = opened(path), opened(path)
    timer = threading.Timer(0.05, second.put, [items(b"a")])
    timer.start()
    started = time.monotonic()
    assert len(first.take(1, 10)) == 1
    assert time.monotonic() - started < 5
    timer.join()
    first.close()
    second.close()


def test_a_file_that_is_no_queue_is_unavailable(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    queue = opened(path)
    with pytest.raises(QueueUnavailableError, match="not a database"):
        queue.put(items(b"a"))
    queue.close()


def test_a_file_of_another_version_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    queue = opened(path)
    with pytest.raises(QueueUnavailableError, match="format 99"):
        queue.depth()
    queue.close()


def test_a_closed_queue_is_unavailable_and_can_be_closed_again(path: Path) -> None:
    queue = opened(path)
    queue.put(items(b"a"))
    queue.close()
    queue.close()
    with pytest.raises(QueueUnavailableError, match="closed"):
        queue.put(items(b"a"))


def test_closing_wakes_who_waits(path: Path) -> None:
    queue = opened(path)
    timer = threading.Timer(0.05, queue.close)
    timer.start()
    started = time.monotonic()
    with pytest.raises(QueueUnavailableError, match="closed"):
        queue.take(1, 10)
    assert time.monotonic() - started < 2
    timer.join()


def test_a_damaged_batch_does_not_hold_up_the_others(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue = opened(path)
    first, second = items(*[b"a"] * 100), items(*[b"b"] * 100)
    queue.put(first)
    queue.put(second)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE batches SET payload = x'00ff' WHERE id = 1")
    connection.close()
    with caplog.at_level(logging.ERROR):
        assert taken(queue.take(1000, 0)) == second
    assert "batch 1 of the queue" in caplog.text
    assert queue.take(1000, 0) == []
    assert queue.depth().items == 200
    queue.close()


def test_after_a_start_of_the_machine_everything_may_have_been_delivered(path: Path) -> None:
    queue = opened(path)
    queue.put(items(b"a"))
    queue.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE totals SET boot = 'the boot before'")
    connection.close()
    queue = opened(path)
    queue.put(items(*[b"b"] * 100))
    assert [delivery.redelivered for delivery in queue.take(1000, 0)] == [True, False]
    queue.close()


def test_a_batch_that_cannot_be_read_for_a_moment_is_not_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = opened(path)
    batches = [items(*[b"%d" % number] * 100) for number in range(3)]
    for batch in batches:
        queue.put(batch)
    real, reads = queue._taking.read, []

    @contextmanager
    def read() -> Iterator[sqlite3.Connection]:
        reads.append(1)
        if len(reads) in (4, 5):  # one look at the version, one at what waits, one batch read
            raise QueueUnavailableError("for a moment")
        with real() as connection:
            yield connection

    monkeypatch.setattr(queue._taking, "read", read)
    assert taken(queue.take(1000, 0)) == batches[0]
    with pytest.raises(QueueUnavailableError):
        queue.take(1000, 0)
    assert taken(queue.take(1000, 0)) == batches[1] + batches[2]
    queue.close()


def test_fields_that_are_no_json_fail_alone(path: Path) -> None:
    queue = opened(path)
    (item,) = items(b"a")
    wrong = type(item)(item.id, item.received_us, item.origin, b"a", fields={"x": object()})
    with pytest.raises(TypeError):
        queue.put([wrong])
    queue.put(items(b"b"))
    assert [item.raw for item in drain(queue)] == [b"b"]
    queue.close()


def test_a_sender_id_leaves_the_window_by_its_own_time_not_by_its_generations(path: Path) -> None:
    queue, senders = opened(path), SenderIds(100, 1000)
    with queue._writing.write() as connection:
        senders.add(connection, {b"one": 0}, ["A"], 1, 0)
        senders.add(connection, {b"two": 0}, ["B"], 2, 20_000_000)
        found = [
            senders.find(connection, [b"one", b"two"], now_s * 1_000_000) for now_s in (100, 101, 120, 121)
        ]
    assert found == [{b"one": "A", b"two": "B"}, {b"two": "B"}, {b"two": "B"}, {}]
    queue.close()


def test_sender_ids_out_of_the_window_are_cleared_from_the_file(path: Path) -> None:
    queue = opened(path, sender_id_window_s=0.04)
    queue.put(items(*[b"x"] * 2500, sender_ids=[str(number) for number in range(2500)]))
    time.sleep(0.05)
    counts = []
    for number in range(4):
        queue.put(items(b"x", sender_ids=[f"new {number}"]))
        with queue._writing.read() as connection:
            query = "SELECT COUNT(*) FROM sender_ids WHERE generation = 1"
            counts.append(connection.execute(query).fetchone()[0])
    assert counts == [1500, 500, 0, 0]
    with queue._writing.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM sender_batches WHERE generation = 1").fetchone() == (
            0,
        )
    queue.close()


def test_sender_ids_forgotten_too_early_are_told_to_the_operator(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = opened(path, sender_id_limit=8)
    for number in range(30):
        queue.put(items(b"x", sender_ids=[str(number)]))
        with queue._writing.read() as connection:
            assert (
                connection.execute("SELECT SUM(entries) FROM sender_generations WHERE NOT dying").fetchone()[
                    0
                ]
                <= 8
            )
    assert "2 sender ids were forgotten before their time" in caplog.text
    queue.close()
