"""The pipeline delivers old events (detections.md D26)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from mozdef_core import (
    Alert,
    Duration,
    Event,
    Field,
    Group,
    Moment,
    Range,
    Severity,
    StateRule,
    Term,
    Window,
    group_values,
    hookimpl,
)

BY: Final = "mozdefhostname"
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = timedelta(hours=24)
_HORIZON: Final = timedelta(days=7)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OldEvents(StateRule["OldEvents.Options"]):
    """Events arrive long after they happened: a clock is wrong, or something on the way is stuck.

    Unlike other rules it goes by when events are received, for their own times are what is wrong with them.
    """

    class Options(StateRule.Options):
        """Options in the table ``[alerts.old_events]``."""

        max_age: Duration = Field(
            timedelta(days=1),
            gt=timedelta(0),
            description="events are old that arrive later than this after their time; they are looked for among those "
            "that their entrance marks as old, so what is less than its max_age is as good as that",
        )
        window: Duration = Field(
            timedelta(hours=6),
            gt=timedelta(0),
            description="old events that arrive within this after others belong to the same alert; "
            "'group_for' takes its place if set",
        )

    query = Term("mozdef.problems.code", "timestamp-old") & ~Term("mozdef.replayed", True)
    samples = 100
    severity: ClassVar[Severity] = Severity.ERROR
    category: ClassVar[str] = "maintenance"
    tags: ClassVar[Sequence[str]] = ("pipeline",)
    attack: ClassVar[Sequence[str]] = ("T1070.006",)

    def __init__(self, options: OldEvents.Options) -> None:
        super().__init__(options)
        self.extended_for = options.window if options.group_for is None else options.group_for

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Raise an alert for each worker through which old events have come since the last run."""
        by_host: dict[str, list[Event]] = {}
        for event in self._arrived(window):
            if self.is_old(event):
                hosts = group_values(event, BY)
                if not hosts:
                    window.note_ungrouped(event)
                for host in hosts:
                    by_host.setdefault(host, []).append(event)
        return [
            self._alert(host, events)
            for host, found in sorted(by_host.items())
            for events in self._together(found)
        ]

    def _arrived(self, window: Window) -> Iterator[Event]:
        """Yield what was received in the window and is marked as old.

        The window ends where everything received is stored, so each event is in one window only. What is older than
        the horizon counts when it is received.
        """
        received = Range("receivedtimestamp", gte=_text(window.start_us), lt=_text(window.end_us))
        return window.search(self.query & received, before=_HORIZON)

    def is_old(self, event: Event) -> bool:
        """Return whether it arrived too long after its time."""
        return event.received_us - event.time_us > self.options.max_age // _MICROSECOND

    def summary(self, group: Group) -> str:
        """How many, from which senders, through which inputs, the oldest."""
        oldest = min(group.events, key=lambda event: event.time_us)
        return (
            f"old events at {group.key} (events: {group.count}) from {group.top('hostname')} "
            f"by {group.top('mozdef.input.name')}; the oldest of {self.value(oldest, 'utctimestamp')}"
        )

    def _together(self, events: Iterable[Event]) -> Iterator[Sequence[Event]]:
        """Yield the events that belong to one alert, in the order in which they were received."""
        gap_us, longest_us = self.extended_for // _MICROSECOND, _LONGEST // _MICROSECOND
        found: list[Event] = []
        for event in sorted(events, key=_received):
            us = event.received_us
            if found and (us - found[-1].received_us > gap_us or us - found[0].received_us > longest_us):
                yield found
                found = []
            found.append(event)
        yield found

    def _alert(self, host: str, events: Sequence[Event]) -> Alert:
        """Return the alert, of which first and last are when events were received."""
        made = self.raised(events, (BY, host), "", {})
        group = Group(BY, host, made.count, events, made.events)
        return dataclasses.replace(
            made,
            summary=self.summary(group),
            first=_received(events[0]),
            last=_received(events[-1]),
            events=tuple(events[: max(1, self.samples)]),
            samples=self.samples,
            group_for=self.extended_for,
        )


def _received(event: Event) -> Moment:
    return Moment(event.received_us, event.id)


def _text(us: int) -> str:
    return (_EPOCH + us * _MICROSECOND).isoformat()
