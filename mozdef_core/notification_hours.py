"""Hours: a time of day on some days of the week in some place, such as those in which somebody is on duty."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES: Final = 24 * 60
_FORM: Final = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hours:
    """A daily span on some days of the week.

    :param start: minute of the day, inclusive; ``end`` exclusive. An end that is not after the start is on the
        next day, and the span then belongs to the day on which it begins.
    :param days: 0 for Monday to 6 for Sunday.
    """

    start: int
    end: int
    days: frozenset[int]
    zone: ZoneInfo

    def contain(self, us: int) -> bool:
        """Return whether a moment (microseconds since 1970) lies within, by the clocks of the place."""
        there = (_EPOCH + timedelta(microseconds=us)).astimezone(self.zone)
        minute, day = there.hour * 60 + there.minute, there.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or (
            (day - 1) % 7 in self.days and minute < self.end
        )


def read_hours(text: str, days: Iterable[str], timezone: str) -> Hours:
    """Return what an operator wrote.

    :param text: such as ``08:00-18:00`` or ``22:00-06:00``; "" for the whole day.
    :param days: such as ``mon`` or ``mon-fri``; none for every day.
    :raises ValueError: with what would be right.
    """
    start, end = read_span(text) if text else (0, _DAY_MINUTES)
    wanted = [day for part in days for day in read_days(part)]
    return Hours(start, end, frozenset(wanted or range(7)), read_zone(timezone))


def read_span(text: str) -> tuple[int, int]:
    """Return the first minute of the day and the one behind the last.

    :raises ValueError: with what would be right.
    """
    form = _FORM.fullmatch(text.strip())
    if form is not None:
        hours, minutes, end_hours, end_minutes = map(int, form.groups())
        start, end = hours * 60 + minutes, end_hours * 60 + end_minutes
        if (
            max(minutes, end_minutes) < 60
            and start < _DAY_MINUTES
            and 0 < end <= _DAY_MINUTES
            and start != end
        ):
            return start, end
        if max(minutes, end_minutes) < 60 and start and end == 0:  # until midnight
            return start, _DAY_MINUTES
    raise ValueError("expected hours such as '08:00-18:00', or '22:00-06:00' over midnight")


def read_days(text: str) -> list[int]:
    """Return the days of the week that a word such as ``sat`` or ``mon-fri`` means, 0 for Monday.

    :raises ValueError: with what would be right.
    """
    first, dash, last = (part.strip().lower() for part in text.partition("-"))
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError(f"expected days such as 'mon' or 'mon-fri', of {', '.join(DAYS)}")
    start = DAYS.index(first)
    length = (DAYS.index(last) - start) % 7 if dash else 0
    return [(start + step) % 7 for step in range(length + 1)]


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone.

    :raises ValueError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a directory of the database
        raise ValueError("expected a time zone such as 'UTC' or 'Europe/Berlin'") from None
