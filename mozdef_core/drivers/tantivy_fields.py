"""What tantivy can find by one field of a partition, and whether that is exact."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from ipaddress import IPv6Address
from math import inf, nextafter
from typing import Any, Final, NamedTuple

from tantivy import FieldType, Occur, Query

from mozdef_core.drivers.tantivy_catalogue import Kind
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_document import (
    ADDRESSES,
    HOISTED,
    HUGE,
    OTHER_ADDRESSES,
    indexed_path,
    indexed_text,
    shown_text,
)
from mozdef_core.drivers.tantivy_expressions import BEYOND_ASCII, Include
from mozdef_core.drivers.tantivy_pages import EVERY_EVENT
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.drivers.tantivy_values import buckets_of, count_values
from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.query.addresses import Span, Spans
from mozdef_core.query.bounds import NumberBounds
from mozdef_core.query.model import is_address_field
from mozdef_core.query.values import spelt_boolean, spelt_number

_FEW_TERMS: Final = 16
_MOST_REMEMBERED: Final = 500
"""So many answers are remembered of a partition, each of at most so many strings."""

_MOST_RANGES: Final = 256
_LEAF: Final = Kind.STRING | Kind.NUMBER | Kind.BOOLEAN
_PARSEABLE_PATH: Final = re.compile(r"e\.[\w.]+")
_PARSEABLE_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,60}", re.ASCII)
_PARSED_OTHERWISE: Final = frozenset({"true", "false", "nan", "inf", "infinity", "and", "not"})


class Compiled(NamedTuple):
    """What to run, and whether each event that it finds matches; it finds all that do."""

    query: Query
    exact: bool


NOTHING: Final = Compiled(Query.empty_query(), True)
EVERYTHING: Final = Compiled(EVERY_EVENT, True)
ANYTHING: Final = Compiled(EVERY_EVENT, False)


def either(parts: Sequence[Compiled]) -> Compiled:
    """Return what any of the parts finds."""
    found = [part for part in parts if part is not NOTHING]
    if len(found) < 2:
        return found[0] if found else NOTHING
    query = Query.boolean_query([(Occur.Should, part.query) for part in found])
    return Compiled(query, all(part.exact for part in found))


class Fields:
    """Makes the queries for single fields.

    :param view: the snapshot that they will be run on; its catalogue decides what is exact.
    :param deadline: of the question, for what takes long to make; None for no limit.
    """

    def __init__(self, view: View, deadline: Deadline | None = None) -> None:
        self._deadline = deadline
        self._view = view
        self._schema = view.index.schema
        self._catalogue = view.catalogue

    def exactly(self, field: str, strings: Iterable[str]) -> Compiled:
        """Return the events with any of these strings under the field."""
        if not self._catalogue.kind(field) & Kind.STRING:
            return NOTHING
        if (path := self.path(field)) is None:
            return ANYTHING
        exact = not self._catalogue.kind(field) & Kind.LONG
        return Compiled(self._any_of(path, [indexed_text(text) for text in strings]), exact)

    def _any_of(self, path: str, values: Sequence[Any]) -> Query:
        """Return the events with any of these values; a term query costs a fifth of a set of one term."""
        if not 0 < len(values) <= _FEW_TERMS:
            return Query.term_set_query(self._schema, path, values)
        found = [Query.term_query(self._schema, path, value, index_option="basic") for value in values]
        return found[0] if len(found) == 1 else Query.boolean_query([(Occur.Should, one) for one in found])

    def scalars(self, field: str, strings: Iterable[str]) -> Compiled:
        """Return the numbers and booleans that equal any of the strings."""
        kind = self._catalogue.kind(field)
        values: list[Any] = []
        for text in strings:
            number, boolean = spelt_number(text), spelt_boolean(text)
            if number is not None and kind & Kind.NUMBER:
                if -HUGE < number < HUGE:
                    values.append(number)
                elif kind & Kind.HUGE:
                    return self.candidates(field)
            if boolean is not None and kind & Kind.BOOLEAN:
                values.append(boolean)
        if not values:
            return NOTHING
        path = self.path(field)
        return ANYTHING if path is None else Compiled(self._any_of(path, values), True)

    def between(self, column: str, first: int | None, end: int | None) -> Compiled:
        """Return the events with a time from ``first`` (inclusive) to ``end`` (exclusive) in a column."""
        if first is not None and end is not None and first >= end:
            return NOTHING
        query = Query.range_query(
            self._schema, column, FieldType.Integer, first, end, include_upper=end is None
        )
        return Compiled(query, True)

    def present(self, field: str) -> Compiled:
        """Return the events that have the field, defaulted or not."""
        if field in HOISTED:
            return ANYTHING if self.odd(field) else EVERYTHING
        kind = self._catalogue.kind(field)
        if not kind & (_LEAF | Kind.OBJECT):
            return NOTHING
        path = self.path(field)
        if path is None:
            return ANYTHING
        inside = bool(kind & Kind.OBJECT)
        return Compiled(Query.exists_query(path, inside), not (inside and kind & Kind.DOTTED))

    def phrase(self, words: list[str], empty: Compiled) -> Compiled:
        """Return the events with these tokens in order in the summary.

        :param empty: what no tokens find.
        """
        if not words:
            return empty
        if len(words) == 1:
            return Compiled(Query.term_query(self._schema, "summary", words[0]), True)
        return Compiled(Query.phrase_query(self._schema, "summary", list(words)), True)

    def numbers(self, field: str, limits: NumberBounds) -> Compiled:
        """Return the events with a number in between under the field."""
        kind = self._catalogue.kind(field)
        if kind & (Kind.NUMERAL | Kind.HUGE):
            return self.candidates(field)
        if not kind & Kind.NUMBER:
            return NOTHING
        path = self.path(field)
        if path is None or not _PARSEABLE_PATH.fullmatch(path):
            return self.candidates(field)
        written = _written(limits)
        if written is None:
            return NOTHING
        return self._parsed(f"{path}:{written}") if written else self.candidates(field)

    def _parsed(self, text: str) -> Compiled:
        return Compiled(self._view.index.parse_query(text), True)

    def addresses(self, field: str, wanted: Spans) -> Compiled:
        """Return the events with an address in any of the ranges under the field."""
        if not wanted or (not self._catalogue.kind(field) & Kind.STRING and field not in HOISTED):
            return NOTHING
        if not is_address_field(field):
            return self.candidates(field, Kind.STRING)
        column = ADDRESSES.get(field, OTHER_ADDRESSES)
        exact = column != OTHER_ADDRESSES and len(wanted) <= _MOST_RANGES
        parts = [
            Compiled(
                Query.range_query(
                    self._schema,
                    column,
                    FieldType.IpAddr,
                    str(IPv6Address(span.first)),
                    str(IPv6Address(span.last)),
                ),
                exact,
            )
            for span in _coarse(wanted)
        ]
        return either(parts)

    def prefixed(self, field: str, start: str) -> Compiled | None:
        """Return the strings that begin with a plain word, as a range of terms, or None when it is no plain word."""
        end = start[:-1] + chr(ord(start[-1]) + 1) if start else ""
        path = self.path(field)
        if path is None or not _PARSEABLE_PATH.fullmatch(path):
            return None
        if not all(
            _PARSEABLE_WORD.fullmatch(word) and word.lower() not in _PARSED_OTHERWISE for word in (start, end)
        ):
            return None
        if not self._catalogue.kind(field) & Kind.STRING:
            return NOTHING
        return self._parsed(f"{path}:[{start} TO {end}}}")

    def strings(self, field: str) -> Compiled:
        """Return the events with a string under the field, whichever."""
        found = self.candidates(field, Kind.STRING)
        if found is NOTHING or found is ANYTHING:
            return found
        return Compiled(found.query, not self._catalogue.kind(field) & (Kind.NUMBER | Kind.BOOLEAN))

    def strings_where(
        self, field: str, matches: Callable[[str], bool], among: Include | None = None
    ) -> Compiled:
        """Return the events with a string under the field that passes, by trying each distinct one.

        :param among: what leaves fewer strings to try, where there is something.
        """
        kind = self._catalogue.kind(field)
        if not kind & Kind.STRING:
            return NOTHING
        path = self.path(field)
        if self._deadline is not None:
            self._deadline.check()
        if path is None or kind & Kind.LONG:
            return self.candidates(field, Kind.STRING)
        include = None if among is None else among.ascii if self._all_ascii(path) else among.unicode
        values = self._distinct(path, include)
        if values is None:
            return self.candidates(field, Kind.STRING)
        terms = [value for value in values if matches(shown_text(value))]
        return Compiled(self._any_of(path, terms), True) if terms else NOTHING

    def strings_among(self, field: str, matches: Callable[[str], bool]) -> Compiled:
        """Return the events with a string under the field that passes, by trying each, however many there are.

        For what is quickly told: a million distinct strings take about two seconds.
        """
        kind = self._catalogue.kind(field)
        if not kind & Kind.STRING:
            return NOTHING
        path = self.path(field)
        if path is None or kind & Kind.LONG:
            return self.candidates(field, Kind.STRING)
        deadline = self._deadline or Deadline(inf)
        try:
            texts = count_values(self._view, EVERY_EVENT, field, path, deadline).texts
        except QueryTimeoutError:
            raise
        except QueryError:  # there are too many
            return self.candidates(field, Kind.STRING)
        terms = [text for text in texts if matches(shown_text(text))]
        return Compiled(self._any_of(path, terms), True) if terms else NOTHING

    def _all_ascii(self, path: str) -> bool:
        """Return whether all strings under a path are ASCII: expressions over those are far smaller."""
        return self._distinct(path, BEYOND_ASCII) == ()

    def _distinct(self, path: str, include: str | None) -> tuple[str, ...] | None:
        """Return the distinct strings under a path that an expression includes; None where there are too many.

        That takes a look at every event of the partition, so the answer is remembered until more events are added,
        if it is short: rules ask the same again and again.
        """
        number, known = self._view.searcher.num_docs, self._catalogue.distinct.get((path, include))
        if known is not None and known[0] == number:
            return known[1]
        buckets = buckets_of(self._view, Query.all_query(), path, include)
        if buckets is None:
            return None
        found = tuple(bucket["key"] for bucket in buckets if isinstance(bucket["key"], str))
        if len(found) <= _MOST_REMEMBERED:
            if len(self._catalogue.distinct) >= _MOST_REMEMBERED:
                self._catalogue.distinct.clear()
            self._catalogue.distinct[path, include] = number, found
        return found

    def candidates(self, field: str, kind: int = _LEAF) -> Compiled:
        """Return the events with a value under the field, to be looked at one by one."""
        if field in HOISTED:
            return ANYTHING
        if not self._catalogue.kind(field) & kind:
            return NOTHING
        path = self.path(field)
        return ANYTHING if path is None else Compiled(Query.exists_query(path), False)

    def odd(self, field: str) -> bool:
        """Return whether a hoisted field's column does not tell all."""
        return bool(self._catalogue.kind(field) & Kind.ODD)

    def path(self, field: str) -> str | None:
        """Return the index's name of a path, or None for one with empty parts, which it cannot address."""
        if field.startswith(".") or field.endswith(".") or ".." in field:
            return None
        return indexed_path(field)


def _coarse(wanted: Spans) -> Spans:
    """Return at most so many ranges as the engine has memory for, which hold all addresses of these."""
    step = -(-len(wanted) // _MOST_RANGES)
    pieces = (wanted[start : start + step] for start in range(0, len(wanted), step))
    return [Span(piece[0].first, piece[-1].last) for piece in pieces]


def _written(limits: NumberBounds) -> str | None:
    """Return a range of numbers below 2**53 as tantivy reads it: empty when it cannot, None when nothing is in it.

    tantivy panics when one bound is a whole 64-bit number and one is not. So bounds beyond all numbers are left
    open, and a whole one beside one with a fraction is replaced by its neighbour.
    """
    low, high = (None if limit is None else _clamped(limit) for limit in (limits.low, limits.high))
    if low == inf or high == -inf or (low is not None and high is not None and low > high):
        return None
    high = None if high == inf else high
    if low is None or low == -inf:
        low = -float(HUGE) if high is None else None
    low_included, high_included = limits.low_included, limits.high_included
    if low is not None and high is not None and low.is_integer() != high.is_integer():
        if low.is_integer():
            low, low_included = nextafter(low, -inf if low_included else inf), not low_included
        else:
            high, high_included = nextafter(high, inf if high_included else -inf), not high_included
        if low.is_integer() or high.is_integer():
            return ""
    start, stop = "[" if low_included else "{", "]" if high_included else "}"
    return f"{start}{_decimal(low)} TO {_decimal(high)}{stop}"


def _clamped(limit: int | float) -> float:
    if limit >= HUGE:
        return inf
    return -inf if limit <= -HUGE else limit + 0.0


def _decimal(limit: float | None) -> str:
    return "*" if limit is None else format(Decimal(repr(limit)), "f")
