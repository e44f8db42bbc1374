"""The intake: what an input hands its items to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mozdef_core.errors import QueueError
from mozdef_core.event import new_ids, now_us
from mozdef_core.ports import Intake, Item, Origin, PutResult, Queue

ITEM_LIMIT: Final = 1 << 20
"""A longer item is refused and kept as a dead letter (event-format.md section 5.10)."""
MOST: Final = 10_000


class IntakeCounters:
    """What came in at one input. Written by the input's threads, read by another."""

    def __init__(self) -> None:
        self.received = 0
        self.duplicates = 0
        self.size_bytes = 0
        self.held_back = 0
        self.lost: Counter[str] = Counter()

    def snapshot(self) -> dict[str, Any]:
        """Return the counters as JSON can hold them."""
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
        """Keep what was received now; see :meth:`Intake.put`. More than 10,000 items go in several batches."""
        ids: list[str] = []
        duplicates = 0
        for start in range(0, len(raw), MOST):
            part = raw[start : start + MOST]
            senders = sender_ids[start : start + MOST] if sender_ids is not None else [None] * len(part)
            items = self._items(part, peer, senders, fields or {})
            try:
                result = self._queue.put(items)
            except QueueError:
                self.counters.held_back += 1
                raise
            ids.extend(result.ids)
            duplicates += result.duplicates
        self.counters.received += len(raw)
        self.counters.duplicates += duplicates
        self.counters.size_bytes += sum(map(len, raw))
        return PutResult(ids, duplicates)

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
        self.counters.lost[reason] += count
