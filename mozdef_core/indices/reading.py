"""Reading events in order, page by page, from one view of the indices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Event
from mozdef_core.indices.requests import Clock, Gone, Requests, event_of, pit
from mozdef_core.query.dsl.clauses import Clause, both, either
from mozdef_core.query.model import Order
from mozdef_core.query.order import Position

MOST_AT_ONCE: Final = 5_000
_MOST_GONE: Final = 5
"""A point in time that is gone so many times in a row is not opened again."""
_ID_SORT: Final = [{"id": "asc"}]


class Hit(NamedTuple):
    """An event and where it stands."""

    position: Position
    event: Event


class CutShort(Exception):  # noqa: N818  # what was found stays good
    """The engine gave up; ``hits`` are some of the page that it was asked for, in order, with gaps."""

    def __init__(self, hits: Sequence[Hit]) -> None:
        super().__init__()
        self.hits = hits


def in_order(
    requests: Requests, clock: Clock, query: Clause, order: Order, after: Position | None, piece: int
) -> Iterator[Hit]:
    """Yield what a query finds beyond a position, in order.

    The first piece is read from the indices as they are, and most answers need no more; what comes behind it is read
    from a point in time that all further pieces share. As an event's position never changes, neither that nor a
    point in time that has expired, and is opened anew, makes a gap or a double.

    :param piece: how many to read at first; later pieces are larger.
    :raises CutShort: the time was up in the middle.
    """
    direction = "desc" if order == "newest" else "asc"
    body = clock.body(
        query,
        sort=[{"us": direction}, {"tie": direction}],
        size=min(piece, MOST_AT_ONCE),
        track_total_hits=False,
    )
    if after is not None:
        body["query"] = both([query, _beyond(after, order)])
    answer = requests.search(body)
    hits = _hits(answer)
    if answer["timed_out"]:
        raise CutShort(hits)
    yield from hits
    if len(hits) < body["size"]:
        return

    def following(hit: Any, size: int) -> dict[str, Any]:
        return {**body, **clock.body(query), "size": size, "search_after": hit["sort"][:2]}

    last = answer["hits"]["hits"][-1]
    for found in _pieces(requests, following, last, min(piece * 4, MOST_AT_ONCE)):
        hits = _hits(found)
        if found["timed_out"]:
            raise CutShort(hits)
        yield from hits


def _beyond(after: Position, order: Order) -> Clause:
    """Return what finds the events behind a position; a range, so that shards that hold none are left out."""
    operator = "lt" if order == "newest" else "gt"
    same = both([{"term": {"us": {"value": after.us}}}, {"range": {"tie": {operator: after.tie}}}])
    return either([{"range": {"us": {operator: after.us}}}, same])


def _hits(answer: Any) -> list[Hit]:
    return [Hit(Position(*hit["sort"][:2]), event_of(hit)) for hit in answer["hits"]["hits"]]


def _pieces(
    requests: Requests, following: Callable[[Any, int], dict[str, Any]], last: Any, size: int
) -> Iterator[Any]:
    """Yield the answers behind a hit, from one point in time, until one is not full."""
    snapshot = requests.open_snapshot()
    gone = 0
    try:
        while snapshot is not None:
            try:
                answer = requests.search({**following(last, size), **pit(snapshot)})
            except Gone:
                gone = _again(gone)
                snapshot = requests.open_snapshot()
                continue
            gone = 0
            yield answer
            hits = answer["hits"]["hits"]
            if len(hits) < size or answer["timed_out"]:
                return
            last = hits[-1]
    finally:
        if snapshot is not None:
            requests.close_snapshot(snapshot)


def _again(gone: int) -> int:
    """Count one more time that a point in time was gone as soon as it was opened.

    :raises StoreUnavailableError: that is no accident any more.
    """
    if gone + 1 == _MOST_GONE:
        raise StoreUnavailableError(
            f"the events cannot be read in pages: {_MOST_GONE} points in time in a row were gone when they were asked"
        )
    return gone + 1


def by_id(requests: Requests, query: Clause) -> Iterator[Event]:
    """Return an iterator over what a query finds now, in the order of the ids."""
    snapshot = requests.open_snapshot()
    return iter(()) if snapshot is None else _by_id(requests, query, snapshot)


def _by_id(requests: Requests, query: Clause, snapshot: str) -> Iterator[Event]:
    size, after, gone = 1_000, None, 0
    try:
        while True:
            body = {
                "query": query,
                "sort": _ID_SORT,
                "size": size,
                "track_total_hits": False,
                **pit(snapshot),
            }
            if after is not None:
                body["search_after"] = after
            try:
                hits = requests.search(body)["hits"]["hits"]
            except Gone:  # the caller took long; what has been dropped or stored meanwhile shows
                gone = _again(gone)
                snapshot = requests.open_snapshot() or ""
                if not snapshot:
                    return
                continue
            gone = 0
            yield from map(event_of, hits)
            if len(hits) < size:
                return
            after = hits[-1]["sort"][:1]
            size = MOST_AT_ONCE
    finally:
        if snapshot:
            requests.close_snapshot(snapshot)
