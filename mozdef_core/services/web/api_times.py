"""The time that a request to the API is about: ``from`` (inclusive) and ``to`` (exclusive)."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat, now_us
from mozdef_core.options import span
from mozdef_core.ports import Between
from mozdef_core.query import datemath
from mozdef_core.services.web.api_errors import ApiError

DEFAULT_FROM: Final = "24h"
LEAST_US: Final = -62_135_596_800_000_000
MOST_US: Final = 253_402_300_799_999_999
_SPAN: Final = re.compile(r"\d+(?:\.\d+)?[a-z]+")

From = Annotated[
    str,
    Field(
        max_length=64,
        description="first event time: ISO 8601 (without an offset UTC), a span before now such as 24h, or date "
        "arithmetic such as now-24h or now/d",
    ),
]
To = Annotated[
    str | None,
    Field(
        max_length=64, description="the event time before which it ends, written as from; without it, open"
    ),
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A time in an answer: ISO 8601 in UTC with microseconds."""


def read_between(first: str, end: str | None) -> Between:
    """Return the time between two texts.

    :raises ApiError: one of them is no time, or the first is not before the other.
    """
    now = now_us()
    first_us = _read("from", first, now)
    end_us = None if end is None else _read("to", end, now)
    if end_us is not None and first_us >= end_us:
        reason = f"from: {first!r} ({isoformat(first_us)}) is not before to: {end!r} ({isoformat(end_us)})"
        raise ApiError(400, "invalid-time", reason, field="from")
    return first_us, end_us


def _read(name: str, text: str, now: int) -> int:
    """Return a moment; of a rounded unit such as ``now/d`` the beginning for ``from`` and the end for ``to``."""
    try:
        if _SPAN.fullmatch(text):
            moment = now - int(span(text).total_seconds() * 1_000_000)
        else:
            found = datemath.resolve(text, now)
            moment = found.end if name == "to" and found.rounded else found.first
    except (QueryError, ValueError, OverflowError) as error:
        hint = "; in a query string + is written %2B" if " " in text else ""
        raise ApiError(400, "invalid-time", f"{name}: {error}{hint}", field=name) from None
    if not LEAST_US <= moment <= MOST_US:
        reason = f"{name}: {text!r} lies outside of the years 1 to 9999"
        raise ApiError(400, "invalid-time", reason, field=name)
    return moment
