"""Every form of time that is read (event-format.md section 5.4). A text must fit a form completely; no guessing."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple

from mozdef_core.event import microseconds

_DAY_US: Final = 86_400_000_000
_MOST_US: Final = microseconds(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_MONTH: Final = r"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{0,9}))?"
_ZONE: Final = r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?|[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*)"
_WEEKDAY: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"

_ISO: Final = re.compile(
    r"(?P<year>\d{4})(?P<dash>-?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)[Tt ]"
    r"(?P<hour>\d\d)(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d{0,9}))?)?"
    rf"(?:\s*(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)|\s+{_ZONE})?",
    re.ASCII,
)
_PLAIN: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
"""The usual form of ISO 8601, which the standard library reads several times faster."""
_FORMS: Final = (
    re.compile(
        rf"(?:{_WEEKDAY}\s+)?{_MONTH}\s+(?P<day>\d\d?)\s+{_CLOCK}(?:\s+{_ZONE})?", re.IGNORECASE | re.ASCII
    ),
    re.compile(
        rf"(?:{_WEEKDAY}\s+)?{_MONTH}\s+(?P<day>\d\d?)\s+{_CLOCK}\s+(?P<year>\d{{4}})(?:\s+{_ZONE})?",
        re.IGNORECASE | re.ASCII,
    ),
    re.compile(
        rf"(?:{_WEEKDAY}\s+)?{_MONTH}\s+(?P<day>\d\d?)\s+{_CLOCK}\s+{_ZONE}\s+(?P<year>\d{{4}})",
        re.IGNORECASE | re.ASCII,
    ),
    re.compile(
        rf"(?P<year>\d{{4}})\s+{_MONTH}\s+(?P<day>\d\d?)\s+{_CLOCK}(?:\s+{_ZONE})?", re.IGNORECASE | re.ASCII
    ),
    re.compile(
        rf"{_MONTH}\s+(?P<day>\d\d?)\s+(?P<year>\d{{4}})\s+{_CLOCK}(?:\s+{_ZONE})?", re.IGNORECASE | re.ASCII
    ),
    re.compile(
        rf"(?:{_WEEKDAY},\s+)?(?P<day>\d\d?)\s+{_MONTH}\s+(?P<year>\d{{4}})\s+"
        rf"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?\s+{_ZONE}(?:\s+\(.*\))?",
        re.IGNORECASE | re.ASCII,
    ),
    re.compile(
        rf"[A-Za-z]+day,\s+(?P<day>\d\d)-{_MONTH}-(?P<short>\d\d)\s+{_CLOCK}\s+{_ZONE}",
        re.IGNORECASE | re.ASCII,
    ),
    re.compile(rf"(?P<day>\d\d)/{_MONTH}/(?P<year>\d{{4}}):{_CLOCK}\s+{_ZONE}", re.IGNORECASE | re.ASCII),
)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class Instant(NamedTuple):
    """A moment, and the offset that the sender gave with it.

    :param us: microseconds since 1970, UTC.
    :param offset_min: minutes east, None when no offset or zone was given.
    """

    us: int
    offset_min: int | None = None


class TimeReader:
    """Reads times as one entrance's senders write them.

    :param timezone: of times without one: UTC or an IANA name.
    :param formats: further forms, in the notation of ``strptime``.
    """

    def __init__(self, timezone: str = "UTC", formats: Sequence[str] = ()) -> None:
        self._zone: tzinfo = UTC if timezone == "UTC" else zoneinfo.ZoneInfo(timezone)
        self._formats = tuple(formats)

    def read(self, value: Any, received_us: int) -> Instant | None:
        """Return the moment that a value names, None where it names none.

        :param received_us: decides the year of a time without one.
        """
        if isinstance(value, bool) or value is None:
            return None
        if isinstance(value, int):
            return _epoch(value)
        if isinstance(value, float):
            return _epoch_text(repr(value))  # as written: no digit is lost or rounded
        if not isinstance(value, str):
            return None
        text = value.strip()
        if _PLAIN.fullmatch(text):
            try:
                return _instant(datetime.fromisoformat(text), True)
            except (ValueError, OverflowError):  # second 60, hour 24, or no such time
                pass
        match = _ISO.fullmatch(text)
        if match is not None:
            return self._moment(match.groupdict(), received_us)
        if _NUMBER.fullmatch(text):
            return _epoch_text(text)
        for form in _FORMS:
            match = form.fullmatch(text)
            if match is not None:
                return self._moment(match.groupdict(), received_us)
        return self._local_form(text)

    def _moment(self, parts: dict[str, str | None], received_us: int) -> Instant | None:
        zone_text = parts.get("offset") or parts.get("zone")
        zone = self._zone if zone_text is None else read_zone(zone_text)
        if zone is None:
            return None
        month = parts["month"] or ""
        fields = _Fields(
            month=_MONTHS.get(month.lower()) or int(month),
            day=int(parts["day"] or 0),
            hour=int(parts["hour"] or 0),
            minute=int(parts["minute"] or 0),
            second=int(parts["second"] or 0),
            micro=int(((parts.get("fraction") or "") + "000000")[:6]),
        )
        moment: datetime | None
        try:
            if parts.get("year"):
                moment = fields.at(int(parts["year"] or 0), zone)
            elif parts.get("short"):
                moment = fields.at(_full_year(int(parts["short"] or 0), received_us), zone)
            else:
                moment = _latest(lambda year: fields.at(year, zone), received_us)
            return None if moment is None else _instant(moment, zone_text is not None)
        except (ValueError, OverflowError):
            return None

    def _local_form(self, text: str) -> Instant | None:
        for form in self._formats:
            try:
                moment = datetime.strptime(text, form)  # noqa: DTZ007  # the zone comes next
            except ValueError:
                continue
            given = moment.tzinfo is not None
            try:
                return _instant(moment if given else moment.replace(tzinfo=self._zone), given)
            except (ValueError, OverflowError):
                return None
        return None


class _Fields(NamedTuple):
    month: int
    day: int
    hour: int
    minute: int
    second: int
    micro: int

    def at(self, year: int, zone: tzinfo) -> datetime:
        """Return the moment in a year; second 60 is the end of its minute, 24:00 the next midnight."""
        month, day, hour, minute, second, micro = self
        if second == 60:  # a leap second
            second, micro = 59, 999_999
        if hour == 24 and (minute, second, micro) == (0, 0, 0):
            return datetime(year, month, day, tzinfo=zone) + timedelta(days=1)
        return datetime(year, month, day, hour, minute, second, micro, tzinfo=zone)


def _instant(moment: datetime, given: bool) -> Instant | None:  # private, and named where called
    offset = moment.utcoffset()
    us = microseconds(moment)
    if not -62_135_596_800_000_000 <= us <= _MOST_US:
        return None
    return Instant(us, int(offset.total_seconds() // 60) if given and offset is not None else None)


def _latest(at: Callable[[int], datetime], received_us: int) -> datetime | None:
    """Return the latest year's date that exists and is at most a day after the received time."""
    limit_us = received_us + _DAY_US
    year = datetime.fromtimestamp(received_us // 1_000_000, UTC).year + 1
    for candidate in range(year, year - 10, -1):  # 29 February comes at least every eighth year
        try:
            moment = at(candidate)
        except ValueError:
            continue
        if microseconds(moment) <= limit_us:
            return moment
    return None


def _full_year(short: int, received_us: int) -> int:
    """Return the year that two digits mean: none more than 50 years ahead (RFC 9110 section 5.6.7)."""
    now = datetime.fromtimestamp(received_us // 1_000_000, UTC).year
    year = now // 100 * 100 + short
    return year - 100 if year > now + 50 else year


@lru_cache(maxsize=1_024)
def read_zone(text: str) -> tzinfo | None:
    """Return the zone of an offset, of UTC, GMT or Z, or of an IANA name; None for anything else."""
    if text.upper() in ("Z", "UTC", "GMT", "UT"):
        return UTC
    if text[0] in "+-":
        digits = text[1:].replace(":", "")
        hours, minutes = int(digits[:2]), int(digits[2:] or 0)
        if hours > 23 or minutes > 59:
            return None
        span = timedelta(hours=hours, minutes=minutes)
        return timezone(-span if text[0] == "-" else span)
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _epoch_text(text: str) -> Instant | None:
    if re.fullmatch(r"[+-]?\d{1,20}", text):
        return _epoch(int(text))
    number = float(text)
    whole, _, fraction = text.partition(".")
    if fraction.isdigit() and whole.lstrip("+").isdigit() and int(whole) < 10**11:
        return _bounded(int(whole) * 1_000_000 + int((fraction + "000000")[:6]))  # no digit lost to a float
    return _epoch(number)


def _epoch(number: float) -> Instant | None:
    """Return the moment of an epoch number, whose size tells its unit."""
    if not 0 < number < 10**20:
        return None
    if number < 10**11:
        return _bounded(round(number * 1_000_000) if isinstance(number, float) else number * 1_000_000)
    if number < 10**14:
        return _bounded(int(number * 1_000))
    if number < 10**17:
        return _bounded(int(number))
    return _bounded(int(number) // 1_000)


def _bounded(us: int) -> Instant | None:
    return Instant(us) if 0 < us <= _MOST_US else None
