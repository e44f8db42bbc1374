"""The events of a partition in order of time, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tantivy import FieldType, Occur, Query
from tantivy import Order as Direction

from mozdef_core.drivers.tantivy_catalogue import HOUR_US
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.drivers.tantivy_windows import Windows
from mozdef_core.query.model import Order
from mozdef_core.query.order import Position

MOST_AT_ONCE: Final = 10_000
_MOST_HOURS: Final = 3
EVERY_EVENT: Final = Query.all_query()
"""The query for all events; where it is known to be this one, a time needs no other condition."""


class Hit(NamedTuple):
    """Where an event stands, and where in the partition it is."""

    position: Position
    address: Any


class Span(NamedTuple):
    """Event times from ``first`` (inclusive) to ``end`` (exclusive), microseconds since 1970; None is open."""

    first: int | None
    end: int | None

    def beyond(self, us: int, order: Order) -> Span:
        """Return the part that comes after a moment in this order."""
        if order == "newest":
            return Span(self.first, us if self.end is None else min(us, self.end))
        return Span(us + 1 if self.first is None else max(us + 1, self.first), self.end)

    @property
    def empty(self) -> bool:
        """Whether no time is in it."""
        return self.first is not None and self.end is not None and self.first >= self.end

    def restrict(self, view: View, query: Query) -> Query:
        """Return a query for these times only."""
        limits = view.catalogue.bounds_us()
        if (self.first is None and self.end is None) or (limits is not None and self._covers(*limits)):
            return query
        parts = self._times(view) if query is EVERY_EVENT else [query, *self._times(view)]
        return parts[0] if len(parts) == 1 else Query.boolean_query([(Occur.Must, part) for part in parts])

    def _times(self, view: View) -> list[Query]:
        """Return queries that find just these times together.

        To compare the times of a partition takes 2 ns an event; the terms of a few hours leave less to compare.
        """
        schema = view.index.schema
        first, end = self
        times = Query.range_query(schema, "us", FieldType.Integer, first, end, include_upper=end is None)
        if first is None or end is None or not view.catalogue.hours:
            return [times]
        hours = range(first // HOUR_US, (end - 1) // HOUR_US + 1)
        if not 0 < len(hours) <= _MOST_HOURS:
            return [times]
        terms = [Query.term_query(schema, "hour", hour, index_option="basic") for hour in hours]
        found = terms[0] if len(terms) == 1 else Query.boolean_query([(Occur.Should, term) for term in terms])
        return [found] if first % HOUR_US == end % HOUR_US == 0 else [found, times]

    def _covers(self, first: int, last: int) -> bool:
        return (self.first is None or self.first <= first) and (self.end is None or last < self.end)


def in_order(
    view: View, query: Query, span: Span, order: Order, after: Position | None, piece: int
) -> Iterator[Hit]:
    """Yield what a query finds within a span, in order, beyond a position.

    tantivy sorts by one column, so a piece that ends among events of one microsecond is cut before them, and all
    of that microsecond are read by their ties: nothing is missed or doubled however many there are.

    :param piece: how many to read at first; later pieces are larger.
    """
    direction = Direction.Desc if order == "newest" else Direction.Asc
    if after is not None:
        if (span.first is None or after.us >= span.first) and (span.end is None or after.us < span.end):
            yield from _ties(view, query, after.us, order, after.tie)
        span = span.beyond(after.us, order)
    windows = Windows(view, order)
    while not span.empty:
        found = _first(view, query, span, direction, windows, piece)
        hits = _hits(view, found)
        if len(hits) == piece:
            last = hits[-1].position.us
            hits = [hit for hit in hits if hit.position.us != last]
        yield from sorted(hits, key=_position, reverse=order == "newest")
        if len(found) < piece:
            return
        yield from _ties(view, query, last, order, None)
        span = span.beyond(last, order)
        piece = min(piece * 4, MOST_AT_ONCE)


def _first(
    view: View, query: Query, span: Span, direction: Direction, windows: Windows, limit: int
) -> list[tuple[Any, Any]]:
    """Return the first hits of a span in order of time, from narrower windows if they hold as many as are wanted."""

    def search(within: Span) -> list[tuple[Any, Any]]:
        found: list[tuple[Any, Any]] = view.searcher.search(
            within.restrict(view, query), limit=limit, count=False, order_by_field="us", order=direction
        ).hits
        return found

    window = windows.first(*span, limit)
    while window is not None:
        found = search(Span(window.first, window.end))
        if len(found) == limit:
            return found
        window = windows.wider(window, *span, len(found), limit)
    return search(span)


def _ties(view: View, query: Query, us: int, order: Order, after: int | None) -> Iterator[Hit]:
    """Yield the events of one microsecond by their ties, beyond one of them."""
    direction = Direction.Desc if order == "newest" else Direction.Asc
    same = Span(us, us + 1).restrict(view, query)
    piece = 1_000
    while True:
        wanted = same
        if after is not None:
            low, high = (None, after) if order == "newest" else (after, None)
            rest = Query.range_query(
                view.index.schema,
                "tie",
                FieldType.Unsigned,
                low,
                high,
                include_lower=low is None,
                include_upper=high is None,
            )
            wanted = Query.boolean_query([(Occur.Must, same), (Occur.Must, rest)])
        found = view.searcher.search(
            wanted, limit=piece, count=False, order_by_field="tie", order=direction
        ).hits
        yield from (Hit(Position(us, tie), address) for tie, address in found)
        if len(found) < piece:
            return
        after = found[-1][0]


def _hits(view: View, found: list[tuple[Any, Any]]) -> list[Hit]:
    ties: list[Any] = view.searcher.fast_field_values("tie", [address for _, address in found])
    return [Hit(Position(us, tie), address) for (us, address), tie in zip(found, ties, strict=True)]


def _position(hit: Hit) -> Position:
    return hit.position
