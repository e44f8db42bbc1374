"""The nodes of a query, with Elasticsearch's names and the meaning of detections.md A1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from mozdef_core.event import Scalar

TEXT_FIELDS: Final = frozenset({"summary"})
"""The fields that are analysed into tokens; strings under any other name are compared whole."""


class Query:
    """A condition on one event. Combine with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: Query) -> Query:
        return Bool(must=(self, other))

    def __or__(self, other: Query) -> Query:
        return Bool(should=(self, other))

    def __invert__(self) -> Query:
        return Bool(must_not=(self,))


@dataclass(frozen=True, slots=True)
class All(Query):
    """Every event."""


@dataclass(frozen=True, slots=True)
class Term(Query):
    """``eq``: any value under the field equals this one; numbers equal digit strings, booleans their names."""

    field: str
    value: Scalar
    case_insensitive: bool = False


@dataclass(frozen=True, slots=True)
class Terms(Query):
    """``in``: any value under the field equals any of these."""

    field: str
    values: Sequence[Scalar]
    case_insensitive: bool = False


@dataclass(frozen=True, slots=True)
class Range(Query):
    """``range``: any value lies between the bounds, by number, date or address as the field demands.

    A bound of None is open. Dates are ISO 8601 text.
    """

    field: str
    gte: Scalar = None
    lte: Scalar = None
    gt: Scalar = None
    lt: Scalar = None


@dataclass(frozen=True, slots=True)
class Exists(Query):
    """``exists``: present, not null, not an empty list, and not among ``mozdef.defaulted``."""

    field: str


@dataclass(frozen=True, slots=True)
class Prefix(Query):
    """Any value begins with this text."""

    field: str
    value: str
    case_insensitive: bool = False


@dataclass(frozen=True, slots=True)
class Wildcard(Query):
    """``glob``: any whole value matches, with ``*`` and ``?``; on text fields any one token."""

    field: str
    value: str
    case_insensitive: bool = False


@dataclass(frozen=True, slots=True)
class Regexp(Query):
    """``re``: any whole value matches the expression, which is run by RE2 in linear time."""

    field: str
    value: str
    case_insensitive: bool = False


@dataclass(frozen=True, slots=True)
class Match(Query):
    """``word``: each token of this text is one of the field; on whole-compared fields ``Term``."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class MatchPhrase(Query):
    """``phrase``: the tokens of this text stand next to each other and in order in the field."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Subnet(Query):
    """``cidr``: any value is an IPv4 or IPv6 address inside one of the networks."""

    field: str
    networks: Sequence[str]


@dataclass(frozen=True, slots=True)
class QueryString(Query):
    """A search string in Lucene's syntax (detections.md A2); it is parsed where it is used."""

    text: str


@dataclass(frozen=True, slots=True)
class Bool(Query):
    """All of ``must`` hold, none of ``must_not``, and at least one of ``should`` if there are any."""

    must: Sequence[Query] = ()
    should: Sequence[Query] = ()
    must_not: Sequence[Query] = ()


Order: TypeAlias = Literal["newest", "oldest"]


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for in a store.

    :param query: the condition.
    :param between: first (inclusive) and last (exclusive) event time, microseconds since 1970; None is open.
    :param order: by event time, ties by a hash of the id that every store computes alike.
    :param size: at most so many events in one page.
    :param after: the cursor of the page before, or None for the first page.
    """

    query: Query = field(default_factory=All)
    between: tuple[int | None, int | None] = (None, None)
    order: Order = "newest"
    size: int = 50
    after: str | None = None
