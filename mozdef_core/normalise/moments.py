"""The moments of an event: when it happened, and what is odd about that (event-format.md 5.4)."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from mozdef_core.event import isoformat
from mozdef_core.normalise import aliases
from mozdef_core.normalise.draft import Draft, first_scalar
from mozdef_core.normalise.keys import same
from mozdef_core.normalise.times import Instant, TimeReader

_MICROSECOND: Final = timedelta(microseconds=1)

_received_text = lru_cache(maxsize=256)(isoformat)  # all items of a request share their time


@lru_cache(maxsize=256)
def _reader(timezone: str, formats: tuple[str, ...]) -> TimeReader:
    return TimeReader(timezone, formats)


def read_moment(draft: Draft, value: Any) -> Instant | None:
    """Read a time as the entrance's senders write it; of an array its first scalar."""
    if isinstance(value, list):
        value = first_scalar(value)
    settings = draft.settings
    return _reader(settings.timezone, tuple(settings.date_formats)).read(value, draft.item.received_us)


def take_time(draft: Draft) -> None:
    """Find the time under its names; what loses and differs stays in details, unreadable ones too."""
    top = draft.top
    found: Instant | None = None
    winner: Any = None
    unreadable: list[tuple[str, Any, bool]] = []
    for name in aliases.TIMESTAMP:
        if name not in top:
            continue
        value = top.pop(name)
        scalar = draft.scalar(name, value)
        if scalar is None:
            continue
        if found is None:
            found, winner = read_moment(draft, scalar), scalar
            if found is None:
                unreadable.append((name, scalar, isinstance(value, list)))
        elif not isinstance(value, list) and not _says_the_same(draft, name, scalar, winner, found):
            draft.put(name, scalar)
    if found is not None:
        draft.body["timestamp"] = found.us
        if found.offset_min:
            draft.offset_min = found.offset_min
    elif unreadable:
        draft.problems.note("timestamp-unreadable", unreadable[0][0])
        draft.keep("original_timestamp", unreadable.pop(0)[1])
    for name, scalar, kept in unreadable:
        if not kept:
            draft.put(name, scalar)


def _says_the_same(draft: Draft, name: str, scalar: Any, winner: Any, found: Instant) -> bool:
    if name != "utctimestamp":
        return same(scalar, winner)
    instant = read_moment(draft, scalar)
    return instant is not None and instant.us == found.us


def finish_times(draft: Draft) -> None:
    """Write the times in their stored form; the received time stands in for one that is missing."""
    body, received_us, settings = draft.body, draft.received_us, draft.settings
    received = _received_text(received_us)
    us = body.get("timestamp")
    if us is None:
        text = received
        draft.defaulted.append("timestamp")
        if not draft.recognised and "original_timestamp" not in draft.details:
            draft.problems.note("timestamp-missing", "timestamp")
    else:
        text = isoformat(us)
        if us > received_us + settings.max_future // _MICROSECOND:
            draft.problems.note("timestamp-future", "timestamp")
            draft.added_tags.append("clock-skew")
        elif us < received_us - settings.max_age // _MICROSECOND:
            draft.problems.note("timestamp-old", "timestamp")
    body["timestamp"] = body["utctimestamp"] = text
    body["receivedtimestamp"] = received
