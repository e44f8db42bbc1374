"""The edges of a histogram: fixed lengths of time, and the units of a calendar in any time zone."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat, microseconds

MOST_BUCKETS: Final = 10_000
"""A histogram has at most so many intervals."""

_UNITS: Final = ("minute", "hour", "day", "week", "month", "quarter", "year")
_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
_LENGTHS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS: Final = (
    microseconds(datetime(1, 1, 2, tzinfo=UTC)),
    microseconds(datetime(9999, 12, 30, tzinfo=UTC)),
)


class Interval(NamedTuple):
    """A fixed length in microseconds, or a unit of the calendar."""

    length_us: int | None
    unit: str | None


def read_interval(text: str) -> Interval:
    """Return what an interval such as ``15m`` or ``week`` means.

    :raises QueryError: it means nothing.
    """
    if isinstance(text, str):
        if text in _UNITS:
            return Interval(None, text)
        found = _LENGTH.fullmatch(text)
        if found is not None:
            return Interval(int(found[1]) * _LENGTHS_S[found[2]] * _SECOND_US, None)
    units = ", ".join(_UNITS)
    raise QueryError(f"interval: expected a length such as 30s, 15m, 6h, 7d or one of {units}; got {text!r}")


def read_zone(name: str) -> tzinfo:
    """Return a time zone.

    :raises QueryError: there is none of that name.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise QueryError(f"time zone: expected a name such as UTC or Europe/Madrid, got {name!r}") from error


def edges(interval: str, time_zone: str, first_us: int, end_us: int) -> list[int]:
    """Return the edges of the intervals that cover a span of time, in microseconds since 1970.

    The first edge is at or before ``first_us``, the last at or after ``end_us``. A fixed length is counted from the
    midnight that began 1970, by the zone's clock as it stands at ``first_us``; a unit of the calendar begins where the
    zone's clock says so, however long that makes it.

    :raises QueryError: there would be more than 10,000 intervals, or the times are beyond the years 1 to 9999.
    """
    meant, zone = read_interval(interval), read_zone(time_zone)
    if end_us <= first_us:
        return []
    if first_us < _YEARS[0] or end_us > _YEARS[1]:
        raise QueryError(
            f"interval: {first_us} to {end_us} (microseconds since 1970) lies beyond the years 1 to 9999"
        )
    try:
        if meant.length_us is not None:
            return _fixed(meant.length_us, zone, first_us, end_us)
        return _calendar(str(meant.unit), zone, first_us, end_us)
    except _TooManyError:
        raise QueryError(
            f"interval: {interval} from {isoformat(first_us)} to {isoformat(end_us)} makes more than "
            f"{MOST_BUCKETS:,} intervals; take a longer interval or a shorter time"
        ) from None
    except (OverflowError, ValueError) as error:  # the end of the interval has no date
        raise QueryError(f"interval: {interval} at {isoformat(end_us)} lies beyond the year 9999") from error


class _TooManyError(Exception):
    """There would be too many intervals."""


def _fixed(length_us: int, zone: tzinfo, first_us: int, end_us: int) -> list[int]:
    shift_us = _offset_us(first_us, zone)
    start = (first_us + shift_us) // length_us * length_us - shift_us
    if -((start - end_us) // length_us) > MOST_BUCKETS:
        raise _TooManyError
    return [*range(start, end_us, length_us), start - (start - end_us) // length_us * length_us]


def _calendar(unit: str, zone: tzinfo, first_us: int, end_us: int) -> list[int]:
    found: list[int] = []
    for edge in _steps(unit, zone, first_us):
        if found and edge <= found[-1]:  # a day that the zone skipped
            continue
        if edge <= first_us:
            found = [edge]
            continue
        found.append(edge)
        if edge >= end_us:
            return found
        if len(found) > MOST_BUCKETS:
            raise _TooManyError
    raise OverflowError("beyond the last year")


def _steps(unit: str, zone: tzinfo, first_us: int) -> Iterator[int]:
    """Yield edges, beginning at or before a moment."""
    day = (_EPOCH + timedelta(microseconds=first_us + _offset_us(first_us, zone))).date()
    if unit in ("minute", "hour"):
        edge, step = _midnight(day, zone), (60 if unit == "minute" else 3600) * _SECOND_US
        while True:
            yield edge
            wall = edge + _offset_us(edge, zone)
            edge += step - wall % step
    if unit in _MONTHS:
        months = _MONTHS[unit]
        number = (day.year * 12 + day.month - 1) // months * months
        while True:
            yield _midnight(date(number // 12, number % 12 + 1, 1), zone)
            number += months
    days = 7 if unit == "week" else 1
    if unit == "week":
        day -= timedelta(days=day.weekday())
    while True:
        yield _midnight(day, zone)
        day += timedelta(days=days)


def _midnight(day: date, zone: tzinfo) -> int:
    """Return the first moment of a day; where the clock skips midnight, the moment it does."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    wall = microseconds(midnight)
    first, second = (wall - _wall_offset_us(midnight.replace(fold=fold), zone) for fold in (0, 1))
    if second >= first:  # there is one such moment, or the first of two
        return first
    # The clock is put forward between the two readings: find where, to the second.
    before = _offset_us(second, zone)
    seconds = range(second // _SECOND_US, first // _SECOND_US + 1)
    index = bisect_right(seconds, False, key=lambda moment: _offset_us(moment * _SECOND_US, zone) != before)
    return seconds[index] * _SECOND_US


def _wall_offset_us(wall: datetime, zone: tzinfo) -> int:
    """Return how far the clock that shows this time is ahead of UTC; the time's own zone is not looked at."""
    return (zone.utcoffset(wall.replace(tzinfo=zone)) or timedelta()) // timedelta(microseconds=1)


def _offset_us(us: int, zone: tzinfo) -> int:
    """Return how far the zone's clock is ahead of UTC at a moment."""
    return _wall_offset_us((_EPOCH + timedelta(microseconds=us)).astimezone(zone), zone)
