"""Date arithmetic as Elasticsearch and Kibana write it: ``now-15m``, ``now/d``, ``2026-03-29||+1M/d``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from mozdef_core.errors import QueryError
from mozdef_core.event import microseconds
from mozdef_core.query.bounds import read_time

_ANCHOR: Final = re.compile(r"now(?=[+\-/]|$)|(.+?)\|\|", re.DOTALL)
_STEP: Final = re.compile(r"([+-])(\d{1,9})([yMwdhHms])|/([yMwdhHms])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "H": 3_600, "d": 86_400, "w": 604_800}
_MS: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORM: Final = "'now' or a time and '||', then steps such as '-15m', '+1M' or '/d' (y, M, w, d, h, m, s)"


class Span(NamedTuple):
    """Microseconds since 1970 that one expression covers: a rounded unit, or one moment.

    :param first: the first one.
    :param end: the first one after it.
    :param rounded: whether it is a unit such as a day, rather than a moment.
    """

    first: int
    end: int
    rounded: bool


def is_date_math(text: str) -> bool:
    """Return whether a text begins like date arithmetic, so that nothing else may be meant."""
    return _ANCHOR.match(text) is not None


def resolve(text: str, now_us: int, *, week_begins_on_sunday: bool = False) -> Span:
    """Return the time that an expression, or a time in ISO 8601, means; times have whole milliseconds.

    :param now_us: the present, microseconds since 1970. Units are rounded in UTC.
    :param week_begins_on_sunday: as in Kibana's choice of a time range; in queries it is Monday.
    :raises QueryError: it is neither.
    """
    found = _ANCHOR.match(text)
    if found is None:
        absolute = read_time(text)
        if absolute is None:
            raise QueryError(f"{text!r} is not a time; expected ISO 8601, or {_FORM}")
        return Span(absolute[0], max(absolute[1], absolute[0] // _MS * _MS + _MS), rounded=False)
    if found[1] is None:
        start = now_us
    else:
        absolute = read_time(found[1])
        if absolute is None:
            raise QueryError(f"{found[1]!r} in {text!r} is not a time; expected ISO 8601")
        start = absolute[0]
    try:
        return _walk(text, found.end(), start // _MS * _MS, week_begins_on_sunday)
    except (ValueError, OverflowError):
        raise QueryError(f"{text!r} lies outside of the years 1 to 9999") from None


def _walk(text: str, at: int, start: int, sunday: bool) -> Span:
    moment = _EPOCH + timedelta(microseconds=start)
    unit: str | None = None
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or unit is not None:
            raise QueryError(f"unexpected {text[at:]!r} in {text!r}; expected {_FORM}, rounding at the end")
        if step[4]:
            unit = step[4]
            moment = _floor(moment, unit, sunday)
        else:
            moment = _add(moment, int(step[2]) * (-1 if step[1] == "-" else 1), step[3])
        at = step.end()
    first = microseconds(moment)
    if unit is None:
        return Span(first, first + _MS, rounded=False)
    return Span(first, microseconds(_add(moment, 1, unit)), rounded=True)


def _add(moment: datetime, count: int, unit: str) -> datetime:
    if unit not in "yM":
        return moment + timedelta(seconds=count * _SECONDS[unit])
    months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "y" else 1)
    first = moment.replace(year=months // 12, month=months % 12 + 1, day=1)
    last_day = ((first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
    return first.replace(day=min(moment.day, last_day))


def _floor(moment: datetime, unit: str, sunday: bool) -> datetime:
    if unit == "s":
        return moment.replace(microsecond=0)
    if unit == "m":
        return moment.replace(second=0, microsecond=0)
    if unit in "hH":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "w":
        return day - timedelta(days=(day.weekday() + 1) % 7 if sunday else day.weekday())
    return day if unit == "d" else day.replace(day=1) if unit == "M" else day.replace(month=1, day=1)
