"""How the indices are named: one per day of reception and retention class."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from mozdef_core.event import Event

DAY_US: Final = 86_400_000_000
_PLAIN: Final = re.compile(r"[a-z][a-z0-9-]{0,59}")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ENCODED: Final = "0x"
_LONGEST: Final = 80


class Name(NamedTuple):
    """The day (``YYYY-MM-DD``) and the retention class whose events an index holds."""

    day: str
    retention_class: str


class Names:
    """The names of the indices of one MozDef.

    :param prefix: lower-case letters, digits and ``-``; without ``_``, so that no pattern covers another's indices.
    """

    def __init__(self, prefix: str) -> None:
        self._start = f"{prefix}_events_"
        self.pattern = f"{self._start}*"
        self.template = f"{prefix}_events"

    def index(self, name: Name) -> str:
        """Return the index of a day and a class."""
        return f"{self._start}{name.day}_{_encode(name.retention_class)}"

    def days(self, days: Iterable[str]) -> list[str]:
        """Return the patterns of the indices of some days."""
        return [f"{self._start}{day}_*" for day in sorted(set(days))]

    def read(self, index: str) -> Name | None:
        """Return the day and the class of an index, or None when it is not one of these."""
        if not index.startswith(self._start):
            return None
        day, _, text = index[len(self._start) :].partition("_")
        retention_class = _decode(text)
        if not _DAY.fullmatch(day) or retention_class is None:
            return None
        return Name(day, retention_class)


@lru_cache(maxsize=1024)
def _encode(retention_class: str) -> str:
    if _PLAIN.fullmatch(retention_class):
        return retention_class
    raw = retention_class.encode()
    if len(raw) > _LONGEST:
        raise ValueError(f"mozdef.retention: expected at most {_LONGEST} bytes, got {len(raw)}")
    return _ENCODED + raw.hex()


def _decode(text: str) -> str | None:
    if _PLAIN.fullmatch(text):
        return text
    if not text.startswith(_ENCODED):
        return None
    try:
        return bytes.fromhex(text[len(_ENCODED) :]).decode()
    except ValueError:
        return None


def name_of(event: Event) -> Name:
    """Return the day and the class of an event.

    :raises ValueError: it has no readable time of reception, or a class that no index can be named for.
    """
    book = event.body.get("mozdef")
    retention_class = book.get("retention") if isinstance(book, dict) else None
    try:
        day = day_of(event.received_us)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(
            f"receivedtimestamp: expected an ISO 8601 time with offset, got {event.body.get('receivedtimestamp')!r}"
        ) from None
    name = Name(day, retention_class if isinstance(retention_class, str) and retention_class else "default")
    _encode(name.retention_class)
    return name


def day_of(us: int) -> str:
    """Return the UTC day of a time in microseconds since 1970."""
    return _day(us // DAY_US)


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    return f"{datetime.fromtimestamp(number * 86_400, UTC):%Y-%m-%d}"


def day_of_id(event_id: str) -> str | None:
    """Return the day of reception that an id tells, or None when it is not as the core makes them."""
    milliseconds = 0
    for character in event_id[:10].ljust(10, "0"):
        place = _ALPHABET.find(character)
        if place < 0:
            return None
        milliseconds = milliseconds * 32 + place
    try:
        return day_of(milliseconds * 1_000)
    except (ValueError, OverflowError, OSError):
        return None
