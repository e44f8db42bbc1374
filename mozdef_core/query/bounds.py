"""What a ``Range`` compares: numbers, times, addresses or plain strings, decided by its field and its bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar, microseconds
from mozdef_core.query.addresses import Span, Spans, family, holds, read_address
from mozdef_core.query.model import Range, is_address_field
from mozdef_core.query.values import read_number

TIME_FIELDS: Final = frozenset({"timestamp", "utctimestamp", "receivedtimestamp"})
"""The fields whose values are always times."""

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?)?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_YEAR: Final = re.compile(r"\d{4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NumberBounds:
    """Numbers between two others; None is open."""

    low: int | float | None
    high: int | float | None
    low_included: bool
    high_included: bool

    def contains(self, value: Scalar) -> bool:
        """Return whether a value is a number, or spells one, in between."""
        if isinstance(value, str):
            number = read_number(value)
            if number is None:
                return False
        elif isinstance(value, bool) or value is None:
            return False
        else:
            number = value
        return _between(number, self)


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """Times in microseconds since 1970, from ``first`` (inclusive) to ``end`` (exclusive); None is open."""

    first: int | None
    end: int | None

    def contains(self, value: Scalar) -> bool:
        """Return whether a value is the text of a time in between."""
        span = read_time(value) if isinstance(value, str) else None
        if span is None:
            return False
        us = span[0]
        return (self.first is None or us >= self.first) and (self.end is None or us < self.end)


@dataclass(frozen=True, slots=True)
class AddressBounds:
    """Addresses in disjoint, rising ranges of 128-bit numbers (query/addresses.py)."""

    spans: Spans

    def contains(self, value: Scalar) -> bool:
        """Return whether a value is the text of an address in between."""
        number = read_address(value) if isinstance(value, str) else None
        return number is not None and holds(self.spans, number)


@dataclass(frozen=True, slots=True)
class TextBounds:
    """Strings between two others by code points (the order of their UTF-8 bytes); None is open."""

    low: str | None
    high: str | None
    low_included: bool
    high_included: bool

    def contains(self, value: Scalar) -> bool:
        """Return whether a value is a string in between."""
        return isinstance(value, str) and _between(value, self)


Bounds: TypeAlias = NumberBounds | TimeBounds | AddressBounds | TextBounds


def bounds(query: Range) -> Bounds:
    """Return what a range compares with what.

    :raises QueryError: the bounds are of different kinds, or not of the kind that the field demands.
    """
    if query.field in TIME_FIELDS:
        return _times(query, _field_time)
    if is_address_field(query.field):
        return _addresses(query)
    given = [bound for bound in (query.gte, query.gt, query.lte, query.lt) if bound is not None]
    if all(_number(bound) is not None for bound in given):
        return _numbers(query)
    if any(not isinstance(bound, str) for bound in given):
        raise QueryError(f"range on {query.field}: one bound is a number and one is not: {given!r}")
    texts = [str(bound) for bound in given]
    if all(read_address(text) is not None for text in texts):
        return _addresses(query)
    if all(read_time(text) is not None for text in texts):
        return _times(query, read_time)
    low, high = query.gte if query.gt is None else query.gt, query.lte if query.lt is None else query.lt
    return TextBounds(
        None if low is None else str(low),
        None if high is None else str(high),
        query.gt is None,
        query.lt is None,
    )


def read_time(text: str) -> tuple[int, int] | None:
    """Return the first microsecond of an ISO 8601 time and the first one after it, or None when it is none.

    ``2024-11-24`` spans a day, ``2024-11`` a month, ``2024-11-24T10:30`` a minute; with seconds it is a moment
    and spans one microsecond. Without an offset it is UTC.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    zone = "+00:00" if offset in (None, "Z") else offset
    try:
        moment = datetime.fromisoformat(
            f"{year}-{month}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone}"
        )
        first = microseconds(moment) + int(((fraction or "") + "000000")[:6])
        if day is None:
            return first, first + _month_us(moment)
    except (ValueError, OverflowError):
        return None
    if second is not None:
        return first, first + 1
    return first, first + (86_400 if hour is None else 3_600 if minute is None else 60) * 1_000_000


def _field_time(text: str) -> tuple[int, int] | None:
    """Read a time on a field that holds nothing else, where four digits are a year."""
    if _YEAR.fullmatch(text) and text != "0000":
        first = microseconds(datetime(int(text), 1, 1, tzinfo=UTC))
        days = 366 if int(text) % 4 == 0 and (int(text) % 100 or int(text) % 400 == 0) else 365
        return first, first + days * 86_400 * 1_000_000
    return read_time(text)


def _month_us(first: datetime) -> int:
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (following - first) // timedelta(microseconds=1)


def _between(value: int | float | str, limits: NumberBounds | TextBounds) -> bool:
    low, high = limits.low, limits.high
    if low is not None and not (value >= low if limits.low_included else value > low):  # type: ignore[operator]
        return False
    return high is None or (value <= high if limits.high_included else value < high)  # type: ignore[operator]


def _number(bound: Scalar) -> int | float | None:
    return read_number(bound) if isinstance(bound, str) else bound


def _numbers(query: Range) -> NumberBounds:
    low, high = query.gte if query.gt is None else query.gt, query.lte if query.lt is None else query.lt
    return NumberBounds(_number(low), _number(high), query.gt is None, query.lt is None)


def _times(query: Range, read: Callable[[str], tuple[int, int] | None]) -> TimeBounds:
    def time(bound: Scalar, edge: Literal[0, 1]) -> int | None:
        if bound is None:
            return None
        span = read(bound) if isinstance(bound, str) else None
        if span is None:
            raise QueryError(f"range on {query.field}: expected an ISO 8601 time, got {bound!r}")
        return span[edge]

    first = time(query.gte, 0) if query.gt is None else time(query.gt, 1)
    end = time(query.lte, 1) if query.lt is None else time(query.lt, 0)
    return TimeBounds(first, end)


def _addresses(query: Range) -> AddressBounds:
    def address(bound: Scalar) -> int | None:
        if bound is None:
            return None
        number = read_address(bound) if isinstance(bound, str) else None
        if number is None:
            raise QueryError(f"range on {query.field}: expected an IPv4 or IPv6 address, got {bound!r}")
        return number

    low = address(query.gte if query.gt is None else query.gt)
    high = address(query.lte if query.lt is None else query.lt)
    known = [number for number in (low, high) if number is not None]
    spans = family(known[0])
    if family(known[-1]) != spans:
        raise QueryError(f"range on {query.field}: one bound is an IPv4 address and one an IPv6 address")
    first = 0 if low is None else low + (query.gt is not None)
    last = 2**128 - 1 if high is None else high - (query.lt is not None)
    cut = (Span(max(span.first, first), min(span.last, last)) for span in spans)
    return AddressBounds(tuple(span for span in cut if span.first <= span.last))
