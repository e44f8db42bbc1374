"""The plain form of a query: what a store compiles, with every shorthand spelt out.

In it there are only ``All``, ``Bool``, ``Terms``, ``Range``, ``Exists``, ``Wildcard``, ``Regexp``, ``Subnet``,
``In`` (``Listed`` when it has been resolved, query/lists.py), and ``Match`` and ``MatchPhrase`` on text fields or on
:data:`~mozdef_core.query.model.ANY_FIELD`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Final

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar
from mozdef_core.query.addresses import is_network, read_address
from mozdef_core.query.glob import escape
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    All,
    Bool,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    QueryString,
    Subnet,
    Term,
    Terms,
    Wildcard,
    is_address_field,
)

NOTHING: Final = Bool(must_not=(All(),))
"""The query that no event matches."""

_DEEPEST: Final = 100


def plain(query: Query) -> Query:
    """Return the plain form of a query, which means the same.

    :raises QueryError: a search string in it does not parse, or it is nested more than 100 deep.
    """
    return _plain(query, 0)


def _plain(query: Query, depth: int) -> Query:
    if depth > _DEEPEST:
        raise QueryError(f"the query is nested more than {_DEEPEST} deep")
    if isinstance(query, Bool):
        must, should, must_not = (
            tuple(_plain(clause, depth + 1) for clause in clauses)
            for clauses in (query.must, query.should, query.must_not)
        )
        return Bool(must, should, must_not) if must or should or must_not else All()
    if isinstance(query, QueryString):
        from mozdef_core.query import lucene  # luqum is only loaded where it is used

        return _plain(lucene.parse(query.text), depth + 1)
    return _leaf(query)


@singledispatch
def _leaf(query: Query) -> Query:
    return query


@_leaf.register
def _(query: Term) -> Query:
    return _terms(query.field, (query.value,), query.case_insensitive)


@_leaf.register
def _(query: Terms) -> Query:
    return _terms(query.field, query.values, query.case_insensitive)


@_leaf.register
def _(query: Prefix) -> Query:
    return Wildcard(query.field, escape(query.value) + "*", query.case_insensitive)


@_leaf.register(Match)
@_leaf.register(MatchPhrase)
def _(query: Match | MatchPhrase) -> Query:
    if query.field in TEXT_FIELDS or query.field == ANY_FIELD:
        return query
    return _terms(query.field, (query.value,), False)


def _terms(field: str, values: Sequence[Scalar], case_insensitive: bool) -> Query:
    """Return ``Terms``, and on address fields ``Subnet`` for networks and, as they have many spellings, IPv6."""
    if not is_address_field(field):
        return Terms(field, values, case_insensitive) if values else NOTHING
    networks = [value for value in values if isinstance(value, str) and _is_range(value)]
    others = [value for value in values if value not in networks]
    clauses: list[Query] = []
    if networks:
        clauses.append(Subnet(field, networks))
    if others:
        clauses.append(Terms(field, others, case_insensitive))
    return clauses[0] if len(clauses) == 1 else Bool(should=clauses) if clauses else NOTHING


def _is_range(value: str) -> bool:
    return is_network(value) or (":" in value and read_address(value) is not None)
