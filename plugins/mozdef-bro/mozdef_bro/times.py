"""Times as Zeek writes them: seconds since 1970 with a fraction, or ISO 8601 where a site has chosen that."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

_NUMBER: Final = re.compile(r"-?\d{1,12}(?:\.\d{1,20})?", re.ASCII)
_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def as_iso(value: Any) -> str | None:
    """Return a time in ISO 8601 and UTC, to the microsecond; None for what is no time.

    Times before 1970 are read too: an unset time of Windows is the year 1601.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = value if isinstance(value, str) else repr(value)
    try:
        if _NUMBER.fullmatch(text):
            us = int(Decimal(text) * 1_000_000)  # a float would lose digits
            return (_EPOCH + timedelta(microseconds=us)).isoformat()
        if _ISO.fullmatch(text):
            moment = datetime.fromisoformat(text.upper())
            return (
                moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            ).isoformat()
    except (OverflowError, ValueError):  # the year 10,000, or a thirteenth month
        return None
    return None


def as_moment(value: Any) -> str | None:
    """Return the time of an event in ISO 8601 and UTC; None for what is none, such as zero."""
    text = as_iso(value)
    return text if text is not None and "1970-01-01T00:00:01" <= text < "9999" else None
