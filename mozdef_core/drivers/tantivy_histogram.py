"""Counting events by time in a partition."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from tantivy import Query as Found

from mozdef_core.drivers.tantivy_catalogue import HOUR_US
from mozdef_core.drivers.tantivy_compile import Compiler
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_pages import MOST_AT_ONCE, Span, in_order
from mozdef_core.drivers.tantivy_partition import Partition, View
from mozdef_core.drivers.tantivy_values import MOST_VALUES
from mozdef_core.drivers.tantivy_windows import marks_of
from mozdef_core.query import evaluate, groups
from mozdef_core.query.model import Query
from mozdef_core.query.plain import plain

_EXACT: Final = 2**53
"""tantivy reads the bounds of a range as floating point; beyond this, in the year 2255, it would round them."""
_MOST_RANGES: Final = 10_000


def histogram(
    partitions: Sequence[Partition], query: Query, edges: Sequence[int], deadline: Deadline
) -> list[int]:
    """Return how many matching events there are from each edge to the next.

    :raises QueryError: the query has no meaning, or the edges do not rise.
    :raises QueryTimeoutError: it took too long.
    """
    edges = groups.check_edges(edges)
    wanted = plain(query)
    matches = evaluate.compile(wanted)
    counts = [0] * max(0, len(edges) - 1)
    for partition in partitions if counts else ():
        deadline.check()
        view = partition.view()
        compiled = Compiler(view, deadline).compile(wanted)
        span = Span(edges[0], edges[-1])
        if compiled.exact:
            for first, stop in _pieces(view, edges):
                for place, number in _ranges(view, compiled.query, edges[first : stop + 1], deadline):
                    counts[first + place] += number
            continue
        for hit in in_order(view, compiled.query, span, "newest", None, MOST_AT_ONCE):
            deadline.check()
            if matches(view.stored(hit.address)):
                counts[bisect_right(edges, hit.position.us) - 1] += 1
    return counts


def _pieces(view: View, edges: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the places of the first and last edges of pieces of the times that the partition may hold."""
    limits = view.catalogue.bounds_us()
    first, last = 0, len(edges) - 1
    if limits is not None:
        first = max(first, bisect_right(edges, limits[0]) - 1)
        last = min(last, bisect_right(edges, limits[1]))
    while first < last:
        yield first, min(first + _MOST_RANGES, last)
        first += _MOST_RANGES


def _ranges(view: View, query: Found, edges: Sequence[int], deadline: Deadline) -> Iterator[tuple[int, int]]:
    """Yield the place of each range between two edges, and how many events are in it."""
    deadline.check()
    if len(edges) == 2 or edges[0] <= -_EXACT or edges[-1] >= _EXACT:
        for place, (start, end) in enumerate(pairwise(edges)):
            deadline.check()
            yield place, view.count(Span(start, end).restrict(view, query))
        return
    if _in_hours(view, edges):
        yield from _hourly(view, query, edges)
        return
    query = _restricted(view, query, edges)
    answer = view.searcher.aggregate(query, {"times": _aggregation(edges)})
    places = {float(edge): place for place, edge in enumerate(edges[:-1])}
    for bucket in answer["times"]["buckets"]:
        start = bucket.get("from", bucket["key"])
        if start in places:  # there may be one before the first and one behind the last
            yield places[start], bucket["doc_count"]


def _restricted(view: View, query: Found, edges: Sequence[int]) -> Found:
    """Return a query for hardly more than the times between the outer edges."""
    marks = marks_of(view)
    if marks is None or marks.early_us < edges[0] or marks.late_us >= edges[-1]:
        return Span(edges[0], edges[-1]).restrict(view, query)
    return query  # to leave the few events outside out of the answer costs less than not to find them


def _in_hours(view: View, edges: Sequence[int]) -> bool:
    """Return whether the ranges are whole hours, but for the outer edges."""
    if not view.catalogue.hours or view.catalogue.bounds_us() is None:
        return False
    return all(edge % HOUR_US == 0 for edge in edges[1:-1])


def _hourly(view: View, query: Found, edges: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield what :func:`_ranges` does, for ranges of whole hours: to count those costs a third of counting times."""
    first, stop = -(-edges[0] // HOUR_US) * HOUR_US, edges[-1] // HOUR_US * HOUR_US
    for place, start, end in ((0, edges[0], first), (len(edges) - 2, stop, edges[-1])):
        if start < end and view.searcher.doc_freq("hour", start // HOUR_US):
            yield place, view.count(Span(start, end).restrict(view, query))
    wanted = {"field": "hour", "size": MOST_VALUES, "segment_size": MOST_VALUES}
    answer = view.searcher.aggregate(_restricted(view, query, edges), {"hours": {"terms": wanted}})
    for bucket in answer["hours"]["buckets"]:
        us = int(bucket["key"]) * HOUR_US
        if first <= us < stop:
            yield bisect_right(edges, us) - 1, bucket["doc_count"]


def _aggregation(edges: Sequence[int]) -> dict[str, Any]:
    """Return the aggregation for these times; for equal steps there is one of half the cost.

    The engine divides floating point numbers, which is exact enough: a time of whole microseconds below 2**53 lies
    further from the next multiple of the step than the quotient is rounded.
    """
    step = edges[1] - edges[0]
    if all(end - start == step for start, end in pairwise(edges)):
        return {"histogram": {"field": "us", "interval": step, "offset": edges[0] % step, "min_doc_count": 1}}
    return {
        "range": {"field": "us", "ranges": [{"from": start, "to": end} for start, end in pairwise(edges)]}
    }
