"""The tail: events as they arrive, each once, in the order in which they were received."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from mozdef_core.errors import QueueError
from mozdef_core.event import Event, isoformat, now_us
from mozdef_core.ports import EventStore, Queue
from mozdef_core.query.model import Query, Range, Search
from mozdef_core.services.transfer import Pager

OVERLAP_US: Final = 10_000_000
"""What an entrance has given a time of reception is in the queue at most so much later."""
FURTHEST_US: Final = 86_400_000_000
"""What has been waiting in the queue for longer when the tail begins is not waited for."""
_PAGE: Final = 1_000


class Tail:
    """Follows what the worker stores.

    An event is in the queue from its reception until it is in the store. So what comes next was not received before
    the oldest item that waited at the look before this one: from there on every look searches, and leaves out what
    it has shown. An hour that the worker was behind is thus not passed over. Only a replayed dead letter, whose time
    of reception lies in the past, may be: it is no new arrival.

    :param oldest_us: returns when the oldest item was received that waits, None when none does; see :func:`oldest`.
    """

    def __init__(
        self,
        store: EventStore,
        query: Query,
        oldest_us: Callable[[], int | None],
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self._store = store
        self._query = query
        self._oldest_us = oldest_us
        self._clock_us = clock_us
        self._floor_us = clock_us() - FURTHEST_US
        self._seen: dict[str, int] = {}

    def begin(self, count: int) -> Sequence[Event]:
        """Return the last events that are stored already, at most so many; :meth:`look` gives what comes after."""
        self._floor_us = max(self._next_floor_us(), self._floor_us)
        self._unseen()
        found: Sequence[Event] = ()
        if count:
            self._store.refresh()
            found = self._store.search(Search(self._query, size=count)).events
            self._seen.update({event.id: event.received_us for event in found})
        return sorted(found, key=_arrival)

    def look(self) -> Sequence[Event]:
        """Return what has been stored since the last look, in the order in which it was received.

        :raises StoreUnavailableError, TransferError: the store cannot be read now; the next look returns what this
            one missed.
        """
        floor_us = (
            self._next_floor_us()
        )  # before the store is looked at: what leaves the queue later comes again
        found = self._unseen()
        if floor_us > self._floor_us:
            self._floor_us = floor_us
            self._seen = {event_id: us for event_id, us in self._seen.items() if us >= floor_us}
        return sorted(found, key=_arrival)

    def _next_floor_us(self) -> int:
        now = self._clock_us()
        oldest_us = self._oldest_us()
        return (now if oldest_us is None else min(oldest_us, now)) - OVERLAP_US

    def _unseen(self) -> list[Event]:
        """Return what was received since the floor and not returned before."""
        self._store.refresh()
        arrived = self._query & Range("receivedtimestamp", gte=isoformat(self._floor_us))
        found = []
        for page in Pager(self._store, Search(arrived, order="oldest"), _PAGE):
            found += [event for event in page.events if event.id not in self._seen]
        self._seen.update({event.id: event.received_us for event in found})
        return found


def oldest(queue: Queue) -> Callable[[], int | None]:
    """Return a function that says when the oldest item was received that waits in a queue.

    While that cannot be told it answers with what it said last.
    """
    last: int | None = None

    def ask() -> int | None:
        nonlocal last
        with suppress(QueueError):
            last = queue.depth().oldest_us
        return last

    return ask


def _arrival(event: Event) -> tuple[int, str]:
    return event.received_us, event.id
