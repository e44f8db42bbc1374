"""The intake: what an input hands its items to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mozdef_core.errors import QueueError
from mozdef_core.event import new_ids, now_us
from mozdef_core.ports import Intake, Item, Origin, PutResult, Queue

ITEM_LIMIT: Final = 1 << 20
"""A longer item is refused and kept as a dead letter (event-format.md section 5.10)."""
MOST: Final = 1 << 20
"""So many ids can be made for one put."""


class IntakeCounters:
    """What came in at one input. Written by the input's threads, which may be many, and read by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.received = 0
        self.duplicates = 0
        self.size_bytes = 0
        self.held_back = 0
        self.lost: Counter[str] = Counter()

    def add(self, *, received: int = 0, duplicates: int = 0, size_bytes: int = 0, held_back: int = 0) -> None:
        """Count what one put did."""
        with self._lock:
            self.received += received
            self.duplicates += duplicates
            self.size_bytes += size_bytes
            self.held_back += held_back

    def lose(self, count: int, reason: str) -> None:
        """Count what was given up."""
        with self._lock:
            self.lost[reason] += count

    def snapshot(self) -> dict[str, Any]:
        """Return the counters as JSON can hold them."""
        with self._lock:
            return {
                "received": self.received,
                "duplicates": self.duplicates,
                "size_bytes": self.size_bytes,
                "held_back": self.held_back,
                "lost": dict(self.lost),
            }


class QueueIntake(Intake):
    """Gives items their ids and puts them into the queue."""

    def __init__(self, queue: Queue, origin: Origin) -> None:
        self._queue = queue
        self._origin = origin
        self.counters = IntakeCounters()

    def put(
        self,
        raw: Sequence[bytes],
        *,
        peer: str | None = None,
        sender_ids: Sequence[str | None] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> PutResult:
        """Keep what was received now, all of it or nothing; see :meth:`Intake.put`.

        :raises ValueError: there are more than 1,048,576 items, for which one put has no ids.
        """
        if len(raw) > MOST:
            raise ValueError(f"{len(raw)} items in one put, {MOST} are allowed")
        items = self._items(
            raw, peer, sender_ids if sender_ids is not None else [None] * len(raw), fields or {}
        )
        try:
            result = self._queue.put(items)
        except QueueError:
            self.counters.add(held_back=1)
            raise
        self.counters.add(received=len(raw), duplicates=result.duplicates, size_bytes=sum(map(len, raw)))
        return result

    def _items(
        self,
        raw: Sequence[bytes],
        peer: str | None,
        sender_ids: Sequence[str | None],
        fields: Mapping[str, Any],
    ) -> list[Item]:
        base = self._origin
        origin = Origin(base.name, base.kind, base.decoder, peer=peer) if peer is not None else base
        received_us = now_us()
        items = []
        for item_id, one, sender_id in zip(new_ids(received_us, len(raw)), raw, sender_ids, strict=True):
            refusal = None
            if len(one) > ITEM_LIMIT:
                refusal = ("too-large", f"the item has {len(one)} bytes, {ITEM_LIMIT} are allowed")
                one = one[:ITEM_LIMIT]  # what a dead letter keeps
            items.append(Item(item_id, received_us, origin, one, sender_id, refusal, fields=fields))
        return items

    def lost(self, count: int, reason: str) -> None:
        """Count what had to be given up before it could be read."""
        self.counters.lose(count, reason)
