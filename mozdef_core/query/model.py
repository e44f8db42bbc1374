"""The nodes of a query, with Elasticsearch's names and the meaning of detections.md A1.

Every node checks itself when it is made, so a query that exists can be run. The rules that hold for all stores:

- A field is a dotted path; a literal dotted key and nested objects are the same path, and each value of a list
  counts by itself.
- A number equals the strings that spell it (``443`` is ``"443"`` and ``"443.0"``), a boolean its name.
- *Ignoring case* is Unicode's simple case folding: one character for one, so that lengths stay.
- ``Prefix``, ``Wildcard`` and ``Regexp`` look at strings only.
- The field ``*`` (:data:`ANY_FIELD`) is allowed in ``Match``, ``MatchPhrase``, ``Prefix``, ``Wildcard`` and
  ``Regexp``: the condition holds for any text field, or for any other string at any depth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar

TEXT_FIELDS: Final = frozenset({"summary"})
"""The fields that are analysed into tokens; strings under any other name are compared whole."""

LIST_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
"""What the name of a list looks like."""

ANY_FIELD: Final = "*"
"""In place of a field's name: every text field by its tokens, every other string whole."""


def is_address_field(name: str) -> bool:
    """Return whether values under this name are addresses, so that CIDR notation means a network."""
    return name.endswith("ipaddress")


class Query:
    """A condition on one event. Combine with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: Query) -> Query:
        return Bool(must=(*_parts(self, "must"), *_parts(other, "must")))

    def __or__(self, other: Query) -> Query:
        return Bool(should=(*_parts(self, "should"), *_parts(other, "should")))

    def __invert__(self) -> Query:
        return Bool(must_not=(self,))


@dataclass(frozen=True, slots=True)
class All(Query):
    """Every event."""


@dataclass(frozen=True, slots=True)
class Term(Query):
    """``eq``: any value under the field equals this one.

    The whole value, also on text fields. On a field whose name ends in ``ipaddress`` CIDR notation means
    :class:`Subnet`, and an IPv6 address any of its spellings.
    """

    field: str
    value: Scalar
    case_insensitive: bool = False

    def __post_init__(self) -> None:
        _check_field(self.field)
        _check_scalar(self.field, self.value)


@dataclass(frozen=True, slots=True)
class Terms(Query):
    """``in``: any value under the field equals any of these; no values match nothing."""

    field: str
    values: Sequence[Scalar]
    case_insensitive: bool = False

    def __post_init__(self) -> None:
        _check_field(self.field)
        object.__setattr__(self, "values", _tuple(f"the values of {self.field}", self.values))
        for value in self.values:
            _check_scalar(self.field, value)


@dataclass(frozen=True, slots=True)
class Range(Query):
    """``range``: any value lies between the bounds, by number, date or address as field and bounds demand.

    A bound of None is open; at most one lower and one upper bound. Dates are ISO 8601 text, without an offset
    UTC; a date that stops at the day (or minute) means all of that day: ``lte`` its end, ``gte`` its start.
    Numeric bounds (also as text) compare with numbers and with strings that spell one. Between addresses only
    addresses of the same family lie. All other bounds compare strings by code points.
    """

    field: str
    gte: Scalar = None
    lte: Scalar = None
    gt: Scalar = None
    lt: Scalar = None

    def __post_init__(self) -> None:
        _check_field(self.field)
        given = [bound for bound in (self.gte, self.lte, self.gt, self.lt) if bound is not None]
        if not given:
            raise QueryError(f"range on {self.field}: expected at least one bound; for any value use Exists")
        if (self.gte is not None and self.gt is not None) or (self.lte is not None and self.lt is not None):
            raise QueryError(f"range on {self.field}: expected at most one lower and one upper bound")
        for bound in given:
            _check_scalar(self.field, bound)
            if isinstance(bound, bool):
                raise QueryError(f"range on {self.field}: expected a number, date or address, got {bound!r}")


@dataclass(frozen=True, slots=True)
class Exists(Query):
    """``exists``: present, not null, not an empty list, and not among ``mozdef.defaulted``."""

    field: str

    def __post_init__(self) -> None:
        _check_field(self.field)


@dataclass(frozen=True, slots=True)
class Prefix(Query):
    """Any string begins with this text; on text fields any one token, ignoring case."""

    field: str
    value: str
    case_insensitive: bool = False

    def __post_init__(self) -> None:
        _check_field(self.field, wide=True)
        _check_text(self.field, self.value)


@dataclass(frozen=True, slots=True)
class Wildcard(Query):
    r"""``glob``: any whole string matches; on text fields any one token, ignoring case.

    ``*`` is any number of characters, ``?`` exactly one, and ``\`` takes the next character literally.
    """

    field: str
    value: str
    case_insensitive: bool = False

    def __post_init__(self) -> None:
        _check_field(self.field, wide=True)
        _check_text(self.field, self.value)


@dataclass(frozen=True, slots=True)
class Regexp(Query):
    """``re``: any whole string matches the expression, in RE2's syntax and linear time.

    The whole value, also on text fields. ``.`` matches line breaks too.
    """

    field: str
    value: str
    case_insensitive: bool = False

    def __post_init__(self) -> None:
        _check_field(self.field, wide=True)
        _check_text(self.field, self.value)


@dataclass(frozen=True, slots=True)
class Match(Query):
    """``word``: each token of this text is one of the field's; on whole-compared fields :class:`Term`.

    A text without any token (only punctuation) matches no text field.
    """

    field: str
    value: str

    def __post_init__(self) -> None:
        _check_field(self.field, wide=True)
        _check_text(self.field, self.value)


@dataclass(frozen=True, slots=True)
class MatchPhrase(Query):
    """``phrase``: the tokens of this text stand next to each other and in order; else as :class:`Match`."""

    field: str
    value: str

    def __post_init__(self) -> None:
        _check_field(self.field, wide=True)
        _check_text(self.field, self.value)


@dataclass(frozen=True, slots=True)
class Subnet(Query):
    """``cidr``: any value is an IPv4 or IPv6 address inside one of the networks, whatever the field's name.

    Host bits may be set. An IPv4 address written as IPv6 (``::ffff:192.0.2.1``) is an IPv4 address, so is a
    network written that way, and any other IPv6 network holds no IPv4 addresses.
    """

    field: str
    networks: Sequence[str]

    def __post_init__(self) -> None:
        _check_field(self.field)
        object.__setattr__(self, "networks", _tuple(f"the networks of {self.field}", self.networks))
        for network in self.networks:
            _check_text(self.field, network)


@dataclass(frozen=True, slots=True)
class In(Query):
    """``field:@list``: any value under the field is in a list that people keep (investigate.md 8a).

    In lists of addresses and networks stands every address that lies in one, in other lists each value as with
    :class:`Terms`. What the list holds is looked up when the query is run (:func:`mozdef_core.query.lists.resolve`).
    """

    field: str
    list: str

    def __post_init__(self) -> None:
        _check_field(self.field)
        _check_text("the name of a list", self.list)
        if LIST_NAME.fullmatch(self.list) is None:
            raise QueryError(
                f"{self.field}: expected the name of a list, small letters, digits and _.-, got {self.list!r}"
            )
        if self.field in TEXT_FIELDS:
            raise QueryError(f"{self.field} is text and in no list as a whole; name a field such as hostname")


@dataclass(frozen=True, slots=True)
class QueryString(Query):
    """A search string in Lucene's syntax (detections.md A2); it is parsed where it is used."""

    text: str

    def __post_init__(self) -> None:
        _check_text("the search string", self.text)


@dataclass(frozen=True, slots=True)
class Bool(Query):
    """All of ``must`` hold, none of ``must_not``, and at least one of ``should`` if there are any."""

    must: Sequence[Query] = ()
    should: Sequence[Query] = ()
    must_not: Sequence[Query] = ()

    def __post_init__(self) -> None:
        for name in ("must", "should", "must_not"):
            clauses = _tuple(name, getattr(self, name))
            for clause in clauses:
                if not isinstance(clause, Query):
                    raise QueryError(f"{name}: expected queries, got {clause!r}")
            object.__setattr__(self, name, clauses)


Order: TypeAlias = Literal["newest", "oldest"]


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for in a store.

    :param query: the condition.
    :param between: first (inclusive) and last (exclusive) event time, microseconds since 1970; None is open.
    :param order: by event time, ties by a hash of the id that every store computes alike (query/order.py).
    :param size: at most so many events in one page, at least 1.
    :param after: the cursor of the page before, or None for the first page.
    """

    query: Query = field(default_factory=All)
    between: tuple[int | None, int | None] = (None, None)
    order: Order = "newest"
    size: int = 50
    after: str | None = None

    @classmethod
    def from_kibana(
        cls, export: str | bytes, title: str | None = None, *, now_us: int | None = None
    ) -> Search:
        """Return one search out of a file that Kibana exported; query/kibana returns all, with their warnings.

        :param export: the file's content; lines of JSON, or the JSON document of versions before 7.
        :param title: of the saved search or dashboard, ``dashboard / panel`` for a panel; None for the only one.
        :param now_us: what ``now`` means in times, microseconds since 1970; None is the present.
        :raises QueryError: there is no such search or several, or it cannot be expressed exactly.
        """
        from mozdef_core.query import kibana  # it lies above: it makes searches of this module's parts

        return kibana.read(export, now_us=now_us).one(title).search

    def __post_init__(self) -> None:
        if self.size < 1:
            raise QueryError(f"size: expected at least 1, got {self.size}")
        if self.order not in ("newest", "oldest"):
            raise QueryError(f"order: expected 'newest' or 'oldest', got {self.order!r}")


def _parts(query: Query, side: Literal["must", "should"]) -> Sequence[Query]:
    """Return the clauses of a Bool that has only this side, so that long chains stay flat."""
    if not isinstance(query, Query):
        raise QueryError(f"expected a query, got {query!r}")
    if isinstance(query, Bool) and not query.must_not:
        if side == "must" and query.must and not query.should:
            return query.must
        if side == "should" and query.should and not query.must:
            return query.should
    return (query,)


def _tuple(name: str, values: Iterable[object]) -> tuple[object, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise QueryError(f"{name}: expected a list, got {values!r}")
    return tuple(values)


def _check_field(name: str, *, wide: bool = False) -> None:
    if not isinstance(name, str) or not name:
        raise QueryError(f"expected the name of a field, got {name!r}")
    if name == ANY_FIELD and not wide:
        raise QueryError("this condition needs the name of a field, got '*'")
    _check_text("the name of a field", name)


def _check_text(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise QueryError(f"{name}: expected text, got {value!r}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise QueryError(f"{name}: {value!r} is not valid Unicode text")


def _check_scalar(name: str, value: Scalar) -> None:
    if value is None:
        raise QueryError(f"{name}: null is never found; to find events without the field negate Exists")
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise QueryError(f"{name}: expected a finite number, got {value!r}")
    elif not isinstance(value, int):
        raise QueryError(f"{name}: expected text, a number or a boolean, got {value!r}")
