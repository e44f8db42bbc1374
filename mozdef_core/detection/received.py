"""Events by their time of reception: the first and the last one of a span, found without reading the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mozdef_core.errors import QueryTimeoutError
from mozdef_core.event import Event, isoformat
from mozdef_core.ports import Between, EventStore
from mozdef_core.ports.store import took_too_long
from mozdef_core.query.model import Query, Range, Search

_SECOND_US: Final = 1_000_000
_GROWTH: Final = 8
_FEW: Final = 1_000
_PAGE: Final = 5_000


def received_in(start_us: int | None, end_us: int) -> Query:
    """Return a query for what was received in a half-open span; None is ever since."""
    start = None if start_us is None else isoformat(start_us)
    return Range("receivedtimestamp", gte=start, lt=isoformat(end_us))


def last(store: EventStore, query: Query, since_us: int | None, end_us: int) -> Event | None:
    """Return the match that was received last in a span, whatever its own time; None for none.

    It looks at a second before the end, then at ever longer times before that.
    """
    least_us = since_us or 0
    if end_us <= least_us or not store.count(query & received_in(since_us, end_us)):
        return None
    width_us, first_us = _SECOND_US, max(end_us - _SECOND_US, least_us)
    while first_us > least_us and not store.count(query & received_in(first_us, end_us)):
        width_us *= _GROWTH
        first_us, end_us = max(first_us - width_us, least_us), first_us
    while end_us - first_us > 1:  # few events are left, or one moment
        if store.count(query & received_in(first_us, end_us)) <= _FEW:
            break
        middle_us = (first_us + end_us) // 2
        if store.count(query & received_in(middle_us, end_us)):
            first_us = middle_us
        else:
            end_us = middle_us
    found = pages(store, query & received_in(first_us, end_us), (None, None))
    return max(found, key=lambda event: (event.received_us, event.id), default=None)


def first(store: EventStore, query: Query, since_us: int, end_us: int) -> Event | None:
    """Return the match that was received first in a span, whatever its own time; None for none."""
    if end_us <= since_us or not store.count(query & received_in(since_us, end_us)):
        return None
    stop_us = end_us
    while stop_us - since_us > 1:  # as above
        if store.count(query & received_in(since_us, stop_us)) <= _FEW:
            break
        middle_us = (since_us + stop_us) // 2
        if store.count(query & received_in(since_us, middle_us)):
            stop_us = middle_us
        else:
            since_us = middle_us
    found = pages(store, query & received_in(since_us, stop_us), (None, None))
    return min(found, key=lambda event: (event.received_us, event.id), default=None)


def pages(store: EventStore, query: Query, between: Between, size: int = _PAGE) -> Iterator[Event]:
    """Yield all matches by their own time, a page after the other.

    :raises QueryTimeoutError: the store takes too long.
    """
    after: str | None = None
    while True:
        page = store.search(Search(query, between, "oldest", size, after))
        if not page.complete:
            raise QueryTimeoutError(took_too_long(store.time_limit_s))
        yield from page.events
        after = page.after
        if after is None:
            return
