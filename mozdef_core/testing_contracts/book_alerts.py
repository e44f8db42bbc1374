"""What the contract of the alert book is tried with: a clock that stands still, events, and findings made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mozdef_core.alert import Alert, Moment
from mozdef_core.event import Event, first_id_at, isoformat

START_US: Final = 1_760_000_000_000_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND


@dataclass(slots=True)
class Clock:
    """A clock that a test sets; microseconds since 1970."""

    us: int = START_US

    def __call__(self) -> int:
        """Return the time."""
        return self.us

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.us += int(seconds * SECOND)


def event_at(seconds: float, *, received: float | None = None, name: str = "", **details: Any) -> Event:
    """Return an event that happened so many seconds after the start, received then or at another time.

    :param name: replaces the end of the id, to make several events of one moment.
    """
    time_us = START_US + int(seconds * SECOND)
    received_us = time_us if received is None else START_US + int(received * SECOND)
    number = f"{time_us % 10**10:010d}{name}"
    event_id = first_id_at(received_us)[:10] + number.rjust(16, "0")[-16:]
    body = {
        "utctimestamp": isoformat(time_us),
        "receivedtimestamp": isoformat(received_us),
        "summary": "seen",
        "details": details,
    }
    return Event(event_id, body)


def finding(
    *events: Event, rule: str = "rule", user: str | None = None, group_s: float = 0, **fields: Any
) -> Alert:
    """Return what a rule found in some events, oldest first.

    :param user: the value of the group, or None for a rule without one.
    :param group_s: how many seconds further matches extend the alert.
    """
    ordered: Sequence[Event] = sorted(events, key=Moment.of)
    fields.setdefault("count", len(ordered))
    return Alert(
        rule=rule,
        summary=fields.pop("summary", "something was seen"),
        first=Moment.of(ordered[0]),
        last=Moment.of(ordered[-1]),
        events=tuple(ordered),
        group=("details.username", user) if user is not None else None,
        group_for=timedelta(seconds=group_s),
        **fields,
    )
