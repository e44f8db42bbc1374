"""What queue drivers that outlive their processes must do besides, as tests that a driver inherits."""

# a test's name is its sentence

from __future__ import annotations

import subprocess
import sys

import pytest

from mozdef_core.testing_contracts.queue import OpenQueue, QueueContract, drain, items, taken


class DurableQueueContract(QueueContract):
    """The tests for queues that outlive their processes; a driver gives ``queue_source`` too."""

    @pytest.fixture
    def queue_source(self) -> str:
        """Return Python statements that open the same queue as ``open_queue`` and call it ``queue``."""
        raise NotImplementedError

    def test_items_outlive_a_restart(self, open_queue: OpenQueue) -> None:
        first = open_queue()
        batch = items(b"a", b"b")
        first.put(batch)
        first.close()
        second = open_queue()
        deliveries = second.take(10, 0)
        assert (taken(deliveries), deliveries[0].redelivered) == (batch, False)
        second.close()

    def test_a_batch_taken_before_a_restart_comes_again_marked_as_redelivered(
        self, open_queue: OpenQueue
    ) -> None:
        first = open_queue()
        batch = items(*[b"a"] * 100)
        first.put(batch)
        first.put(items(*[b"b"] * 100))
        first.take(1, 0)
        first.close()
        second = open_queue()
        deliveries = second.take(200, 0)
        assert taken(deliveries)[:100] == batch
        assert [delivery.redelivered for delivery in deliveries] == [True, False]
        second.close()

    def test_sender_ids_outlive_a_restart(self, open_queue: OpenQueue) -> None:
        first = open_queue()
        batch = items(b"a", sender_ids=["1"])
        first.put(batch)
        first.close()
        second = open_queue()
        assert second.put(items(b"a", sender_ids=["1"])) == ([batch[0].id], 1)
        second.close()

    def test_two_consumers_share_the_batches(self, open_queue: OpenQueue) -> None:
        first, second = open_queue(), open_queue()
        for number in range(4):
            first.put(items(*[b"%d" % number] * 100))
        mine, others = first.take(1, 0), second.take(1000, 0)
        assert len(taken(mine)) == 100
        assert {item.raw for item in taken(others)} == {b"1", b"2", b"3"}
        second.acknowledge(mine)
        assert second.depth().items == 400
        first.close()
        second.close()

    def test_the_batches_of_a_living_consumer_are_left_to_it(
        self, open_queue: OpenQueue, queue_source: str
    ) -> None:
        queue = open_queue()
        queue.put(items(b"a"))
        with _Child(queue_source, "print(len(queue.take(1, 0)), flush=True); input()") as child:
            assert child.line() == "1"
            assert queue.take(1, 0.3) == []
        assert len(queue.take(1, 5)) == 1
        queue.close()

    def test_the_batches_of_a_killed_consumer_come_again_at_once(
        self, open_queue: OpenQueue, queue_source: str
    ) -> None:
        queue = open_queue()
        batch = items(b"a", b"b")
        queue.put(batch)
        with _Child(queue_source, "queue.take(1, 0); print('taken', flush=True); input()") as child:
            assert child.line() == "taken"
            child.kill()
        deliveries = queue.take(10, 5)
        assert (taken(deliveries), deliveries[0].redelivered) == (batch, True)
        queue.close()

    def test_a_put_of_another_process_wakes_who_waits(self, open_queue: OpenQueue, queue_source: str) -> None:
        queue = open_queue()
        with _Child(
            queue_source, "queue.depth(); print(1, flush=True); input(); queue.put([items[0]]); input()"
        ) as child:
            child.line()
            child.send()
            assert len(queue.take(1, 5)) == 1
        queue.close()

    @pytest.mark.parametrize("count", [1, 100])
    def test_what_was_put_survives_kill_9(self, open_queue: OpenQueue, queue_source: str, count: int) -> None:
        body = f"while True: ids = queue.put(make({count})).ids; print(*ids, flush=True)"
        acknowledged: list[str] = []
        with _Child(queue_source, body) as child:
            while len(acknowledged) < 20 * count:
                acknowledged += child.line().split()
            child.kill()
            acknowledged += [line for text in child.rest() for line in text.split()]
        queue = open_queue()
        depth = queue.depth()
        batch = drain(queue)
        found = [item.id for item in batch]
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) - len(acknowledged) in (0, count)
        assert depth.items == len(found)
        assert queue.depth()[:2] == (0, 0)
        queue.close()


class _Child:
    """A process that uses the queue too, killed at the end."""

    _HEAD = """
from mozdef_core.testing_contracts.queue import items as make_items
make = lambda count: make_items(*[b"x" * 50] * count)
items = make(10)
"""

    def __init__(self, source: str, body: str) -> None:
        self._process = subprocess.Popen(  # our own text
            [sys.executable, "-c", f"{self._HEAD}\n{source}\n{body}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def rest(self) -> list[str]:
        """Return the whole lines that it printed before its end."""
        assert self._process.stdout is not None
        return [line for line in self._process.stdout if line.endswith("\n")]

    def send(self) -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it without any warning."""
        self._process.kill()
        self._process.wait()
