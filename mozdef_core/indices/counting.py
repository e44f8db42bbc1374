"""Counting by groups, numbers, times and names: exact, from the terms of the columns, never from a sample.

Two ways were measured to read the terms of one path (query/dsl/tokens.py) from a column: a terms aggregation with an
expression for their beginning, and a composite aggregation that starts and stops there. indices/store.py has the
figures. The first is asked first; where there are more terms than it returns, and so the answer says that it left
something out, the second reads all of them in pages.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.event import Event
from mozdef_core.indices.reading import CutShort, in_order
from mozdef_core.indices.requests import Clock, Requests, complete, counting, event_of, total
from mozdef_core.ports import Between, FieldInfo
from mozdef_core.query import evaluate, groups
from mozdef_core.query.addresses import write_address
from mozdef_core.query.dsl import compile as dsl
from mozdef_core.query.dsl import expressions
from mozdef_core.query.dsl.clauses import NOTHING, Clause, Compiled, between, both, negated, terms
from mozdef_core.query.dsl.tokens import (
    ADDRESS,
    BOOLEAN,
    FOLDED,
    MARK,
    NUMBER,
    OBJECT,
    SPELT,
    STRING,
    TIME,
    behind,
    column,
    path_term,
    read_number_term,
)
from mozdef_core.query.model import Query
from mozdef_core.query.plain import plain

_MOST_AT_ONCE: Final = 10_000
_EDGES_AT_ONCE: Final = 500
_KINDS: Final[Mapping[str, str]] = {
    STRING: "string",
    NUMBER: "number",
    BOOLEAN: "boolean",
    ADDRESS: "address",
    TIME: "time",
    FOLDED: "text",
}
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class _Counted:
    """What is counted: the events for which the index decides, and those to be looked at.

    :param odd: finds events that are to be looked at although they match.
    """

    def __init__(
        self, query: Query, span: Between, odd: Clause | None = None, among: Clause | None = None
    ) -> None:
        wanted = plain(query)
        self.matches = evaluate.compile(wanted)
        compiled = dsl.compile(wanted)
        limits = [between("us", *span), *([] if among is None else [among])]
        sure = compiled.sure if odd is None else both([compiled.sure, negated(odd)])
        rest = Compiled(sure, compiled.possible).doubtful
        self.sure = both([sure, *limits])
        self.doubtful = both([rest, *limits])


def count(requests: Requests, clock: Clock, query: Query, span: Between) -> int:
    """Return how many events match.

    :raises QueryError: the query has no meaning.
    :raises QueryTimeoutError: too many events would have to be looked at.
    """
    counted = _Counted(query, span)
    number = total(requests.search(counting(clock, counted.sure)), clock)
    return number + sum(1 for _ in _looked_at(requests, clock, counted))


def _looked_at(requests: Requests, clock: Clock, counted: _Counted) -> Iterator[Event]:
    """Yield those of the doubtful events that match."""
    if counted.doubtful == NOTHING:
        return
    try:
        for number, hit in enumerate(in_order(requests, clock, counted.doubtful, "oldest", None, 1_000)):
            if number % 1_000 == 999:
                clock.check()
            if counted.matches(hit.event):
                yield hit.event
    except CutShort:
        raise QueryTimeoutError(
            f"the events that this query may find are too many to look at in {clock.limit_s:g} s; narrow it or its time"
        ) from None


def groups_by(requests: Requests, clock: Clock, field: str, query: Query, span: Between) -> Mapping[str, int]:
    """Return for each group by a field how many events it has (query/groups.py)."""
    groups.check_group_field(field)
    counted = _Counted(query, span, terms("odd", [path_term(field)]), dsl.present(field))
    counts: groups.Counts[str] = groups.Counts(field)
    for term, number in _terms(requests, clock, counted.sure, field, (STRING, NUMBER, BOOLEAN, ADDRESS)):
        counts.add((_group(term),), number)
    for event in _looked_at(requests, clock, counted):
        counts.add(groups.group_values(event, field))
    return counts


def _group(term: str) -> str:
    """Return the group that a term stands for, without its path."""
    kind, text = term[0], term[1:]
    if kind == NUMBER:
        return groups.value_text(read_number_term(text)) or ""
    return write_address(int(text, 16)) if kind == ADDRESS else text


def numbers_in(
    requests: Requests, clock: Clock, field: str, query: Query, span: Between
) -> Mapping[int | float, int]:
    """Return for each number under a field how many events hold it (query/groups.py)."""
    groups.check_group_field(field)
    counted = _Counted(query, span, terms("odd", [path_term(field)]), dsl.present(field))
    counts: groups.Counts[int | float] = groups.Counts(field)
    for term, number in _terms(requests, clock, counted.sure, field, (NUMBER, SPELT)):
        counts.add((read_number_term(term[1:]),), number)
    for event in _looked_at(requests, clock, counted):
        counts.add(groups.numbers_of(event, field))
    return counts


def _terms(
    requests: Requests, clock: Clock, query: Clause, field: str, kinds: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Yield the terms of some kinds under a path, without the path, each with the number of events that have it."""
    path, name = path_term(field), column(field)
    # ".{0,}" and not ".*": OpenSearch 2.19 takes the latter for a list of beginnings, and fails with an
    # IndexOutOfBoundsException where one of them lies behind the last term of a segment
    include = f"{expressions.literal(path)}[{''.join(kinds)}].{{0,}}"
    found = _few(requests, clock, query, name, include)
    if found is not None:
        yield from ((term[len(path) :], number) for term, number in found)
        return
    for kind in kinds:
        for term, number in _all(requests, clock, query, name, path + kind, path + behind(kind)):
            yield term[len(path) :], number


def _few(
    requests: Requests, clock: Clock, query: Clause, name: str, include: str | None = None
) -> list[tuple[str, int]] | None:
    """Return the terms of a field that match an expression, None when they are too many for one answer."""
    wanted: dict[str, Any] = {"field": name, "size": _MOST_AT_ONCE, "order": {"_key": "asc"}}
    if include is not None:
        wanted["include"] = include
    answer = requests.search(
        clock.body(query, size=0, track_total_hits=False, aggs={"terms": {"terms": wanted}})
    )
    complete(answer, clock)
    if "aggregations" not in answer:  # there is no index yet
        return []
    found = answer["aggregations"]["terms"]
    if found["sum_other_doc_count"] or found["doc_count_error_upper_bound"]:
        return None
    return [(bucket["key"], bucket["doc_count"]) for bucket in found["buckets"]]


def _all(
    requests: Requests,
    clock: Clock,
    query: Clause,
    name: str,
    start: str | None = None,
    end: str | None = None,
) -> Iterator[tuple[str, int]]:
    """Yield the terms of a field that lie between two others, however many."""
    after = start
    while True:
        clock.check()
        wanted: dict[str, Any] = {"size": _MOST_AT_ONCE, "sources": [{"term": {"terms": {"field": name}}}]}
        if after is not None:
            wanted["after"] = {"term": after}
        answer = requests.search(
            clock.body(query, size=0, track_total_hits=False, aggs={"terms": {"composite": wanted}})
        )
        complete(answer, clock)
        buckets = answer["aggregations"]["terms"]["buckets"] if "aggregations" in answer else []
        for bucket in buckets:
            after = str(bucket["key"]["term"])
            if end is not None and after >= end:
                return
            yield after, bucket["doc_count"]
        if len(buckets) < _MOST_AT_ONCE:
            return


def histogram(requests: Requests, clock: Clock, query: Query, edges: Sequence[int]) -> Sequence[int]:
    """Return how many events there are from each edge to the next."""
    edges = groups.check_edges(edges)
    if len(edges) < 2:
        return []
    counted = _Counted(query, (edges[0], edges[-1]))
    spans = list(pairwise(edges))
    counts: list[int] = []
    for start in range(0, len(spans), _EDGES_AT_ONCE):
        filters = [between("us", *span) for span in spans[start : start + _EDGES_AT_ONCE]]
        wanted = {"spans": {"filters": {"filters": filters}}}
        answer = requests.search(clock.body(counted.sure, size=0, track_total_hits=False, aggs=wanted))
        complete(answer, clock)
        if "aggregations" not in answer:  # there is no index yet
            return [0] * len(spans)
        counts += [bucket["doc_count"] for bucket in answer["aggregations"]["spans"]["buckets"]]
    for event in _looked_at(requests, clock, counted):
        counts[bisect_right(edges, event.time_us) - 1] += 1
    return counts


def fields(requests: Requests, clock: Clock, span: Between) -> Sequence[FieldInfo]:
    """Return the fields that events have, and of which kinds their values are."""
    query = between("us", *span)
    found: Iterator[tuple[str, int]] | list[tuple[str, int]] | None = _few(requests, clock, query, "paths")
    if found is None:
        found = _all(requests, clock, query, "paths")
    kinds: dict[str, set[str]] = {}
    for term, _ in found:
        if term[-1] == OBJECT:
            continue
        name = _ESCAPED.sub(r"\1", term[:-1])
        if MARK in name:
            name = _whole_name(requests, clock, query, term)
        if name:
            kinds.setdefault(name, set()).add(_KINDS[term[-1]])
        if len(kinds) > groups.MOST_VALUES:
            raise QueryError(groups.too_many("names of fields"))
    return [FieldInfo(name, tuple(sorted(kinds[name]))) for name in sorted(kinds)]


def _whole_name(requests: Requests, clock: Clock, query: Clause, term: str) -> str:
    """Return the name that a term was cut from, or that holds the mark itself, as an event has it."""
    wanted = both([query, terms("paths", [term])])
    hits = requests.search(clock.body(wanted, size=1, track_total_hits=False))["hits"]["hits"]
    names = groups.kinds_of(event_of(hits[0])) if hits else {}
    return next((name for name in names if path_term(name) == term[:-1]), "")
