"""The values that so many events hold at least, without enumerating those that few do.

To name a value costs tantivy 2 us, so an hour with 5,000 addresses is 10 ms when only one of them is sought. Asked for
the most frequent values alone, it says by how much it may have miscounted, and so how often any other value can occur.
When that is too often to rule them out, all have to be counted; when not, those that come into question are counted
once more, alone and exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tantivy import Occur, Query

from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.drivers.tantivy_values import buckets_of

MOST_FREQUENT: Final = 250
"""So many values are asked for first, of each segment and in all."""


class Source(NamedTuple):
    """Events of a partition, and the path below which they have nothing but strings that the index has whole."""

    view: View
    found: Query
    path: str


class _Counted(NamedTuple):
    """What one partition says of its most frequent values.

    :param texts: events by term; each may be too low by ``error``.
    :param rest: the most events that any other term can have.
    """

    texts: Mapping[str, int]
    error: int
    rest: int

    def most(self, term: str) -> int:
        """Return how many events can have a term at most."""
        events = self.texts.get(term)
        return self.rest if events is None else events + self.error


def frequent_terms(sources: Sequence[Source], at_least: int, deadline: Deadline) -> dict[str, int] | None:
    """Return the terms that so many events of all sources together have, or None when all must be counted to tell.

    :raises QueryTimeoutError: it took too long.
    """
    counted: list[_Counted] = []
    rest = 0
    for source in sources:
        deadline.check()
        most = _most_frequent(source)
        rest += most.rest
        if rest >= at_least:
            return None
        counted.append(most)
    terms = {term for most in counted for term in most.texts}
    wanted = [term for term in terms if sum(most.most(term) for most in counted) >= at_least]
    totals = dict.fromkeys(wanted, 0)
    for source, most in zip(sources, counted, strict=True):
        deadline.check()
        exact = most.texts if not most.rest and not most.error else _events_with(source, wanted)
        if exact is None:
            return None
        for term in wanted:
            totals[term] += exact.get(term, 0)
    return {term: events for term, events in totals.items() if events >= at_least}


def _most_frequent(source: Source) -> _Counted:
    wanted = {"field": source.path, "size": MOST_FREQUENT, "segment_size": MOST_FREQUENT}
    answer = source.view.searcher.aggregate(source.found, {"values": {"terms": wanted}})["values"]
    texts = {bucket["key"]: bucket["doc_count"] for bucket in answer["buckets"]}
    error: int = answer["doc_count_error_upper_bound"]
    cut = (
        min(texts.values()) if len(texts) == MOST_FREQUENT else 0
    )  # of all segments, the rest is cut once more
    return _Counted(texts, error, error + cut)


def _events_with(source: Source, terms: Sequence[str]) -> dict[str, int] | None:
    """Return how many events have each of some terms, among others; None when there are too many others."""
    if not terms:
        return {}
    schema = source.view.index.schema
    holding = Query.term_set_query(schema, source.path, terms)
    found = Query.boolean_query([(Occur.Must, source.found), (Occur.Must, holding)])
    buckets = buckets_of(source.view, found, source.path)
    return None if buckets is None else {bucket["key"]: bucket["doc_count"] for bucket in buckets}
