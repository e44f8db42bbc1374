"""Searching several partitions as if they were one."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tantivy import Query as Found

from mozdef_core.drivers.tantivy_compile import Compiler
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_fields import Compiled
from mozdef_core.drivers.tantivy_pages import MOST_AT_ONCE, Hit, Span, in_order
from mozdef_core.drivers.tantivy_partition import Partition, View
from mozdef_core.errors import QueryTimeoutError
from mozdef_core.event import Event
from mozdef_core.ports import Between, Page
from mozdef_core.query import evaluate
from mozdef_core.query.model import Query, Search
from mozdef_core.query.order import Position, decode, encode
from mozdef_core.query.plain import plain

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ID: Final = re.compile(r"[0-9A-Za-z-]+", re.ASCII)
_ID_LENGTH: Final = 26
_IDS_AT_ONCE: Final = 5_000


class _Found(NamedTuple):
    """A hit, with where it was found and whether it has to be looked at."""

    hit: Hit
    view: View
    exact: bool


def find(partitions: Sequence[Partition], search: Search, deadline: Deadline) -> Page:
    """Return one page of a search.

    :param partitions: those that may hold events of the time asked for.
    :param deadline: after which the page is cut short; its cursor then leads on from there.
    :raises QueryError: the query has no meaning.
    :raises QueryTimeoutError: there was no time to find anything that a cursor could lead on from.
    """
    query = plain(search.query)
    matches = evaluate.compile(query)
    after = None if search.after is None else decode(search.after)
    events: list[Event] = []
    seen = full = after
    try:
        for found in _merged(partitions, query, search, after, deadline):
            if seen is not None and seen is not after and deadline.passed:
                return Page(events, encode(seen), complete=False)
            event = None if found.exact else found.view.stored(found.hit.address)
            seen = found.hit.position
            if event is not None and not matches(event):
                continue
            if len(events) == search.size:
                return Page(events, None if full is None else encode(full))
            events.append(found.view.stored(found.hit.address) if event is None else event)
            full = seen
    except QueryTimeoutError:
        if seen is None or seen is after:
            raise
        return Page(events, encode(seen), complete=False)
    return Page(events, None)


def _merged(
    partitions: Sequence[Partition],
    query: Query,
    search: Search,
    after: Position | None,
    deadline: Deadline,
) -> Iterator[_Found]:
    """Yield what the partitions find, in order; one is only opened when its turn may have come."""
    newest = search.order == "newest"
    waiting = sorted(
        ((_edge(partition, newest), place) for place, partition in enumerate(partitions)), reverse=True
    )
    heap: list[tuple[tuple[int, int], int, _Found, Iterator[_Found]]] = []

    def push(place: int, hits: Iterator[_Found]) -> None:
        found = next(hits, None)
        if found is not None:
            us, tie = found.hit.position
            heapq.heappush(heap, ((-us, -tie) if newest else (us, tie), place, found, hits))

    while waiting or heap:
        while waiting and (not heap or waiting[-1][0] <= heap[0][0][0]):
            _, place = waiting.pop()
            push(place, _in_partition(partitions[place].view(), query, search, after, deadline))
        if heap:
            _, place, found, hits = heapq.heappop(heap)
            yield found
            push(place, hits)


def _edge(partition: Partition, newest: bool) -> float:
    """Return the least that the order's key of any event in the partition can be."""
    limits = partition.catalogue().bounds_us()
    if limits is None:
        return float("-inf")
    return -limits[1] if newest else limits[0]


def _in_partition(
    view: View, query: Query, search: Search, after: Position | None, deadline: Deadline
) -> Iterator[_Found]:
    compiled = Compiler(view, deadline).compile(query)
    piece = 1_000
    if compiled.exact:  # one more says whether there is a next page, and the last one is cut off for its ties
        piece = min(search.size + 2, MOST_AT_ONCE)
    span = Span(*search.between)
    for hit in in_order(view, compiled.query, span, search.order, after, piece):
        yield _Found(hit, view, compiled.exact)


def count(partitions: Sequence[Partition], query: Query, between: Between, deadline: Deadline) -> int:
    """Return how many events match.

    :raises QueryError: the query has no meaning.
    :raises QueryTimeoutError: so many events would have to be looked at that the time was up.
    """
    wanted = plain(query)
    evaluate.compile(wanted)  # refuses a query without meaning also where there is no partition
    span = Span(*between)
    if span.empty:
        return 0
    total = 0
    for partition in partitions:
        view = partition.view()
        compiled = Compiler(view, deadline).compile(wanted)
        if compiled.exact:
            total += view.count(span.restrict(view, compiled.query))
        else:
            total += _count_candidates(view, compiled, wanted, span, deadline)
    return total


def _count_candidates(view: View, compiled: Compiled, query: Query, span: Span, deadline: Deadline) -> int:
    matches = evaluate.compile(query)
    total = 0
    for hit in in_order(view, compiled.query, span, "newest", None, MOST_AT_ONCE):
        deadline.check()
        total += matches(view.stored(hit.address))
    return total


def by_id(view: View, first: str, last: str) -> Iterator[Event]:
    """Yield the events with ids from ``first`` to ``last`` in order, a few thousand at a time."""
    if first > last:
        return
    if not (_ID.fullmatch(first) and _ID.fullmatch(last)):  # not to be written in a query string
        yield from _sorted(view, Found.all_query(), first, last)
        return
    query = view.index.parse_query(f"_id:[{first} TO {last}]")
    number = view.count(query)
    middle = _middle(first, last) if number > _IDS_AT_ONCE else None
    if middle is None:
        yield from _sorted(view, query, first, last)
        return
    yield from by_id(view, first, middle)
    yield from by_id(view, middle + "-", last) if middle + "-" <= last else ()


def _sorted(view: View, query: Found, first: str, last: str) -> list[Event]:
    number = view.count(query)
    if not number:
        return []
    hits = view.searcher.search(query, limit=number, count=False).hits
    events = [view.stored(address) for _, address in hits]
    return sorted((event for event in events if first <= event.id <= last), key=lambda event: event.id)


def _middle(first: str, last: str) -> str | None:
    """Return an id between two others, or None when they are not ids as the core makes them or too close."""
    low, high = (_number(one) for one in (first, last))
    if low is None or high is None or high - low < 2:
        return None
    middle = (low + high) // 2
    characters = []
    for _ in range(_ID_LENGTH):
        characters.append(_ALPHABET[middle & 31])
        middle >>= 5
    return "".join(reversed(characters))


def _number(event_id: str) -> int | None:
    number = 0
    for character in event_id[:_ID_LENGTH].ljust(_ID_LENGTH, "0"):
        place = _ALPHABET.find(character)
        if place < 0:
            return None
        number = number * 32 + place
    return number
