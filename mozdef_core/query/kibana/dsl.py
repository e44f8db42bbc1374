"""Elasticsearch's query DSL, as far as Kibana stores it in filters, read into the query model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mozdef_core.errors import QueryError
from mozdef_core.query.kibana.clauses import LEAVES, any_of, mapping, relevant
from mozdef_core.query.kibana.names import Names
from mozdef_core.query.model import Bool, Query

_DEEPEST: Final = 50


def read(clause: object, names: Names, depth: int = 0) -> Query:
    """Return what a clause finds.

    :raises QueryError: it has no equal here, such as a script or a geographic shape; with the kind of clause.
    """
    if depth > _DEEPEST:
        raise QueryError(f"it is nested more than {_DEEPEST} deep")
    if not isinstance(clause, Mapping) or len(clause) != 1:
        shown = sorted(map(str, clause)) if isinstance(clause, Mapping) else clause
        raise QueryError(f"expected one clause such as {{'match_phrase': …}}, got {shown!r}")
    ((kind, body),) = clause.items()
    if kind in _COMPOUND:
        return _COMPOUND[kind](mapping(kind, body), names, depth + 1)
    if kind not in LEAVES:
        raise QueryError(f"a clause of kind {kind!r} cannot be answered here")
    return LEAVES[kind](mapping(kind, body), names)


def _bool(body: Mapping[str, Any], names: Names, depth: int) -> Query:
    known = ("must", "filter", "should", "must_not", "minimum_should_match", "adjust_pure_negative")
    more = relevant("bool", body, known)
    must, filters, should, must_not = (
        [read(clause, names, depth) for clause in _list(more.get(key, []))]
        for key in ("must", "filter", "should", "must_not")
    )
    must += filters
    least = str(more.get("minimum_should_match", 0 if must else 1))
    if not should or least == "0":
        return Bool(must=must, must_not=must_not)
    if least == "1":
        return Bool(must=must, should=should, must_not=must_not)
    if least == str(len(should)):
        return Bool(must=must + should, must_not=must_not)
    raise QueryError(f"bool: expected a minimum_should_match of 0, 1 or all {len(should)}, got {least!r}")


def _constant_score(body: Mapping[str, Any], names: Names, depth: int) -> Query:
    return read(body.get("filter"), names, depth)


def _dis_max(body: Mapping[str, Any], names: Names, depth: int) -> Query:
    return any_of([read(clause, names, depth) for clause in _list(body.get("queries", []))])


def _nested(body: Mapping[str, Any], names: Names, depth: int) -> Query:
    query = read(body.get("query"), names, depth)
    if not _single(query):
        raise QueryError(
            f"nested: several conditions on one element of {body.get('path')!r} cannot be answered here, as elements"
            " of lists are not kept apart; expected one condition, or alternatives"
        )
    return query


def _single(query: Query) -> bool:
    if not isinstance(query, Bool):
        return True
    return (
        not query.must_not
        and len(query.must) + bool(query.should) == 1
        and all(map(_single, (*query.must, *query.should)))
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


_COMPOUND: Final[Mapping[str, Callable[[Mapping[str, Any], Names, int], Query]]] = {
    "bool": _bool,
    "constant_score": _constant_score,
    "dis_max": _dis_max,
    "nested": _nested,
}
