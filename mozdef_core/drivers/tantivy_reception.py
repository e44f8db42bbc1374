"""What a query says about the time of reception, by which partitions that it cannot match are left closed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from mozdef_core.event import microseconds
from mozdef_core.query.bounds import TimeBounds, bounds
from mozdef_core.query.model import Bool, Query, Range

_FIELD: Final = "receivedtimestamp"
_DAY: Final = timedelta(days=1)


def may_match(query: Query, day: str) -> bool:
    """Return whether an event received on a day (``YYYY-MM-DD``) can match; only what all matches need is looked at."""
    if isinstance(query, Bool):
        return all(may_match(part, day) for part in query.must)
    if not isinstance(query, Range) or query.field != _FIELD:
        return True
    asked = bounds(query)
    if not isinstance(asked, TimeBounds):
        return True
    first_us, end_us = _span_us(day)
    return (asked.end is None or first_us < asked.end) and (asked.first is None or end_us > asked.first)


@lru_cache(maxsize=1_024)
def _span_us(day: str) -> tuple[int, int]:
    start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return microseconds(start), microseconds(start + _DAY)
