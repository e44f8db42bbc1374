"""The queue in memory, for tests and trials: everything waiting is lost when the process ends."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mozdef_core.errors import QueueFullError, QueueUnavailableError
from mozdef_core.options import Field
from mozdef_core.options import Options as PluginOptions
from mozdef_core.ports import Delivery, Item, PutResult, Queue, QueueDepth


class _Batch(NamedTuple):
    items: Sequence[Item]
    bytes: int
    before: bool


class MemoryQueue(Queue):
    """A queue for the threads of one process; its bytes are those of the raw items.

    :param path: not used; every queue driver is given one.
    """

    class Options(PluginOptions):
        """Options in the table ``[queue.memory]``."""

        limit_bytes: int = Field(
            default=2**28, ge=2**16, description="raw bytes that may wait before senders are told to"
        )
        sender_id_window_s: float = Field(
            default=3600, gt=0, description="seconds within which a repeated sender id is a repeat"
        )
        sender_id_limit: int = Field(
            default=1_000_000, ge=4, description="sender ids kept at most; beyond it the oldest go"
        )

    def __init__(self, options: MemoryQueue.Options, path: Path | None = None) -> None:
        self._options = options
        self._state = threading.Condition()
        self._batches: dict[int, _Batch] = {}
        self._waiting: set[int] = set()
        self._next = 1
        self._bytes = 0
        self._senders: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
        self._closed = False

    def put(self, items: Sequence[Item]) -> PutResult:
        """Keep the items; a put bigger than the limit is taken when the queue is empty, or it could never be."""
        with self._state:
            if self._closed:
                raise QueueUnavailableError("the queue is closed")
            now = time.monotonic()
            ids, fresh, known = self._sort_out(items, now)
            size = sum(len(item.raw) for item in fresh)
            if fresh and self._bytes and self._bytes + size > self._options.limit_bytes:
                raise QueueFullError(
                    f"the queue holds {self._bytes} of at most {self._options.limit_bytes} bytes"
                )
            for sender, item_id in known.items():
                self._senders.pop(sender, None)
                self._senders[sender] = (item_id, now)
            while len(self._senders) > self._options.sender_id_limit:
                self._senders.popitem(last=False)
            if fresh:
                self._batches[self._next] = _Batch(fresh, size, before=False)
                self._waiting.add(self._next)
                self._next += 1
                self._bytes += size
                self._state.notify_all()
            return PutResult(ids, len(items) - len(fresh))

    def _sort_out(
        self, items: Sequence[Item], now: float
    ) -> tuple[list[str], list[Item], dict[tuple[str, str], str]]:
        """Return the id of each item, those that are no repeats, and the sender ids that are new."""
        ids, fresh = [], []
        known: dict[tuple[str, str], str] = {}
        for item in items:
            sender_id = item.sender_id if item.replay_of is None else None
            sender = None if sender_id is None else (item.origin.name, sender_id)
            first = None
            if sender is not None:
                first = known.get(sender)
                if first is None and sender in self._senders:
                    seen, since = self._senders[sender]
                    first = seen if since >= now - self._options.sender_id_window_s else None
                if first is None:
                    known[sender] = item.id
            ids.append(first or item.id)
            if first is None:
                fresh.append(item)
        return ids, fresh, known

    def take(self, most: int, wait_s: float) -> list[Delivery]:
        """Take batches; the wait costs nothing."""
        with self._state:
            self._state.wait_for(lambda: self._waiting or self._closed, wait_s)
            deliveries: list[Delivery] = []
            items = 0
            for number in sorted(self._waiting):
                if items >= most:
                    break
                batch = self._batches[number]
                deliveries.append(Delivery(str(number), batch.items, batch.before))
                items += len(batch.items)
            self._waiting.difference_update(int(delivery.token) for delivery in deliveries)
            return deliveries

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Forget batches."""
        with self._state:
            for number in self._held(deliveries):
                self._bytes -= self._batches.pop(number).bytes

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Give batches back; they come again as redelivered, since their events may be stored in part."""
        with self._state:
            for number in self._held(deliveries):
                self._batches[number] = self._batches[number]._replace(before=True)
                self._waiting.add(number)
            self._state.notify_all()

    def _held(self, deliveries: Iterable[Delivery]) -> list[int]:
        numbers = [int(delivery.token) for delivery in deliveries]
        return [number for number in numbers if number in self._batches and number not in self._waiting]

    def depth(self) -> QueueDepth:
        """Return how much waits."""
        with self._state:
            oldest = min(self._batches, default=None)
            return QueueDepth(
                sum(len(batch.items) for batch in self._batches.values()),
                self._bytes,
                self._options.limit_bytes,
                None if oldest is None else min(item.received_us for item in self._batches[oldest].items),
            )

    def close(self) -> None:
        """Refuse further puts and wake those who wait."""
        with self._state:
            self._closed = True
            self._state.notify_all()
