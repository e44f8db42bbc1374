"""Crontabs: the times that five fields name, worked out by Celery's own crontab objects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from celery.schedules import crontab

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def due_after(text: str, moment_us: int) -> int:
    """Return the first time that a crontab names after a moment, both in microseconds since 1970; fields are in UTC.

    :raises ValueError: the crontab cannot be read, or names no time.
    """
    schedule = _read(text)
    moment = _EPOCH + timedelta(microseconds=moment_us)
    try:
        last, delta, _ = schedule.remaining_delta(moment)
        due: datetime = last + delta
    except RuntimeError:  # Celery has looked at some thousand days
        raise ValueError(f"{text!r} names no time that ever comes") from None
    return (due - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4_096)
def _read(text: str) -> crontab:
    from celery.schedules import ParseException, crontab  # a quarter of a second: only for who needs it

    words = text.split()
    if len(words) != 5:
        raise ValueError(f"expected five crontab fields, got {text!r}")
    try:
        minute, hour, day, month, weekday = words
        return crontab(minute, hour, weekday, day, month, app=_app())
    except (ParseException, ValueError) as error:
        raise ValueError(f"cannot read the crontab {text!r}: {error}") from error


@lru_cache(maxsize=1)
def _app() -> Any:
    """Return the application that crontabs ask for their time zone; it does nothing else and is nobody's current."""
    from celery import Celery

    app = Celery("mozdef", set_as_current=False)
    app.config_from_object({"enable_utc": True, "timezone": "UTC"})
    return app
