"""The walk: which events of each group are a finding, when they are looked at in order (detections.md A3.3 to A3.8)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from mozdef_core.alert import Consumed, Moment, weight
from mozdef_core.event import Event
from mozdef_core.query.groups import group_values

GROUP_MAX: Final = timedelta(hours=24)
"""No alert is extended beyond so long after its first event."""

_MICROSECOND: Final = timedelta(microseconds=1)
_SWEEP: Final = 1_024
"""So many events more than there were groups left pass by before idle groups are looked for again."""


@dataclass(slots=True)
class Finding:
    """Events of one group that are, or go on with, an alert; it grows while the walk goes on.

    :param value: the group's.
    :param events: all that it consumes, in order of (detection time, id).
    :param count: how many occurrences they stand for.
    :param extends: id of the earlier alert that these only add to; empty for a finding of its own.
    """

    value: str
    events: list[Event]
    count: int
    extends: str = ""


class Trigger(ABC):
    """Decides when the unconsumed events of one group, none older than the window, are a finding.

    Each call costs the same however many events the group holds, so that a walk is linear.

    :cvar together: whether events of one moment are added before it is asked, for they count as in any order.
    """

    __slots__ = ()
    together: ClassVar[bool] = False

    @abstractmethod
    def add(self, event: Event, us: int, count: int) -> None:
        """Take in the group's next event: its detection time and how many occurrences it stands for."""

    @abstractmethod
    def drop(self, event: Event, count: int) -> None:
        """Forget the oldest event, which the window has left behind."""

    @abstractmethod
    def met(self, us: int) -> bool:
        """Return whether the events added make a finding that ends at this moment, that of the last."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all events: they are consumed."""


class Threshold(Trigger):
    """So many occurrences, and of some fields so many distinct values.

    :param least: occurrences, at least.
    :param having: by dotted path, how many distinct values at least.
    """

    __slots__ = ("_count", "_having", "_least", "_seen")

    def __init__(self, least: int, having: Mapping[str, int]) -> None:
        self._least = least
        self._having = having
        self._count = 0
        self._seen: dict[str, dict[str, int]] = {path: {} for path in having}

    def add(self, event: Event, us: int, count: int) -> None:
        """Count the event and its values."""
        self._count += count
        for path, seen in self._seen.items():
            for value in group_values(event, path):
                seen[value] = seen.get(value, 0) + 1

    def drop(self, event: Event, count: int) -> None:
        """Take the event and its values off again."""
        self._count -= count
        for path, seen in self._seen.items():
            for value in group_values(event, path):
                seen[value] -= 1
                if not seen[value]:
                    del seen[value]

    def met(self, us: int) -> bool:
        """Return whether there are enough of all."""
        if self._count < self._least:
            return False
        return not self._having or all(len(self._seen[path]) >= least for path, least in self._having.items())

    def reset(self) -> None:
        """Begin at nothing."""
        self._count = 0
        for seen in self._seen.values():
            seen.clear()


class _Chain:
    """What further events of a group extend: an alert from before, or a finding of this walk."""

    __slots__ = ("alert_id", "finding", "first_us", "last")

    def __init__(self, first_us: int, last: Moment, alert_id: str, finding: Finding | None) -> None:
        self.first_us = first_us
        self.last = last
        self.alert_id = alert_id
        self.finding = finding


class _Track:
    """One group on the walk."""

    __slots__ = (
        "_asked_us",
        "_chain",
        "_events",
        "_inside",
        "_next",
        "_passed",
        "_spans",
        "_trigger",
        "_value",
        "_walk",
    )

    def __init__(self, walk: _Walk, value: str, spans: Sequence[Consumed], trigger: Trigger) -> None:
        self._walk = walk
        self._value = value
        self._trigger = trigger
        self._events: deque[tuple[int, Event, int]] = deque()
        self._spans = sorted(spans, key=lambda span: span.first) if len(spans) > 1 else spans
        self._next = 0
        self._inside: list[Consumed] = []
        self._passed: list[Consumed] = []
        self._chain: _Chain | None = None
        self._asked_us: int | None = None

    def take(self, event: Event, us: int) -> None:
        """Look at the group's next event."""
        if self._asked_us is not None and self._asked_us != us:
            self.settle()
        if (self._inside or self._next < len(self._spans)) and self._is_consumed(event, Moment(us, event.id)):
            return
        walk, chain, count = self._walk, self._chain, weight(event)
        if (
            chain is not None
            and us - chain.last.us <= walk.group_for_us
            and us - chain.first_us <= walk.group_max_us
        ):
            if chain.finding is None:
                chain.finding = Finding(self._value, [], 0, chain.alert_id)
            chain.finding.events.append(event)
            chain.finding.count += count
            chain.last = Moment(us, event.id)
            return
        events, trigger = self._events, self._trigger
        while events and us - events[0][0] > walk.window_us:
            _, old, occurrences = events.popleft()
            trigger.drop(old, occurrences)
        events.append((us, event, count))
        trigger.add(event, us, count)
        if trigger.together:
            self._asked_us = us
        elif trigger.met(us):
            self._find()

    def settle(self) -> None:
        """Ask the trigger after the last of several events of one moment."""
        asked_us, self._asked_us = self._asked_us, None
        if asked_us is not None and self._trigger.met(asked_us):
            self._find()

    def finish(self) -> None:
        """Give out what was found last."""
        self.settle()
        self._go_on(None)

    def is_idle(self, us: int) -> bool:
        """Return whether nothing of the group matters to an event of this moment or later."""
        if self._events and us - self._events[-1][0] <= self._walk.window_us:
            return False
        return self._chain is None or us - self._chain.last.us > self._walk.group_for_us

    def _find(self) -> None:
        first = self._events[0][1]
        passed = [span for span in self._passed if span.first > Moment.of(first)]
        several = len(passed) > 1
        parts = self._parted(passed) if several else [Finding(self._value, *_together(self._events))]
        self._go_on(None)
        self._walk.done.extend(parts[:-1])
        last = parts[-1]
        first_us = passed[-1].first.us if several else first.detection_us
        self._chain = _Chain(first_us, Moment.of(last.events[-1]), last.extends, last)
        self._events.clear()
        self._passed.clear()
        self._trigger.reset()

    def _parted(self, passed: Sequence[Consumed]) -> list[Finding]:
        """Return what is found around several alerts as more of these: of the one before, at first of the one after.

        One finding would reach over the spans of all, and what those consumed would be consumed twice.
        """
        parts: dict[int, list[tuple[int, Event, int]]] = {}
        for entry in self._events:
            before = sum(span.last < Moment.of(entry[1]) for span in passed)
            parts.setdefault(before, []).append(entry)
        return [
            Finding(self._value, *_together(part), passed[max(0, before - 1)].alert_id)
            for before, part in parts.items()
        ]

    def _go_on(self, chain: _Chain | None) -> None:
        if self._chain is not None and self._chain.finding is not None:
            self._walk.done.append(self._chain.finding)
        self._chain = chain

    def _is_consumed(self, event: Event, moment: Moment) -> bool:
        """Return whether an earlier alert consumed the event; a span left behind is what later events extend."""
        spans, inside = self._spans, self._inside
        while self._next < len(spans) and spans[self._next].first <= moment:
            inside.append(spans[self._next])
            self._next += 1
        passed = [span for span in inside if span.last < moment]
        if passed:
            self._inside = inside = [span for span in inside if span.last >= moment]
            for span in passed:
                if span.closed_us is None and (self._chain is None or self._chain.last <= span.last):
                    self._go_on(_Chain(span.first.us, span.last, span.alert_id, None))
                    if self._events:
                        self._passed.append(span)
        return any(span.closed_us is None or event.received_us <= span.closed_us for span in inside)


def _together(entries: Iterable[tuple[int, Event, int]]) -> tuple[list[Event], int]:
    """Return the events of some entries, and how many occurrences they stand for."""
    events, counts = [], 0
    for _, event, count in entries:
        events.append(event)
        counts += count
    return events, counts


class _Walk:
    """All groups, and what they share."""

    __slots__ = (
        *("_consumed", "_kept", "_make_trigger", "_since_sweep", "_tracks"),
        *("done", "group_for_us", "group_max_us", "window_us"),
    )

    def __init__(
        self,
        make_trigger: Callable[[], Trigger],
        consumed: Mapping[str, Sequence[Consumed]],
        window: timedelta,
        group_for: timedelta,
        group_max: timedelta,
    ) -> None:
        self._make_trigger = make_trigger
        self._consumed = consumed
        self._tracks: dict[str, _Track] = {}
        self._since_sweep = self._kept = 0
        self.done: list[Finding] = []
        self.window_us = window // _MICROSECOND
        self.group_for_us = group_for // _MICROSECOND or -1  # zero switches it off, even for one moment
        self.group_max_us = group_max // _MICROSECOND

    def take(self, event: Event, us: int, value: str) -> None:
        """Look at the next event of a group."""
        track = self._tracks.get(value)
        if track is None:
            track = _Track(self, value, self._consumed.get(value, ()), self._make_trigger())
            self._tracks[value] = track
        track.take(event, us)

    def sweep(self, us: int) -> None:
        """Forget groups of which nothing matters any more, so that a long walk holds only a window's events."""
        self._since_sweep += 1
        if self._since_sweep <= self._kept + _SWEEP:
            return
        for value in [value for value, track in self._tracks.items() if track.is_idle(us)]:
            self._tracks.pop(value).finish()
        self._since_sweep, self._kept = 0, len(self._tracks)

    def finish(self) -> None:
        """Give out what was found last in each group."""
        for track in self._tracks.values():
            track.finish()


def walk(
    events: Iterable[Event],
    groups_of: Callable[[Event], Iterable[str]],
    make_trigger: Callable[[], Trigger],
    *,
    window: timedelta,
    consumed: Mapping[str, Sequence[Consumed]],
    group_for: timedelta = timedelta(0),
    group_max: timedelta = GROUP_MAX,
) -> Iterator[Finding]:
    """Yield the findings in events that come in order of (detection time, id).

    For each group of each event: an event inside the span of an earlier alert is passed over, unless that alert was
    closed before the event was received. One that comes within ``group_for`` of the last event of an alert or finding
    that is not closed, and within ``group_max`` of its first, extends that. Any other joins the unconsumed events not
    older than ``window``, inclusive; as soon as the trigger is met they are a finding, and consumed. Where open
    alerts lie between them, since some arrived late, they are more of these, and no alert of their own.

    The events must begin ``window`` before what is looked at for the first time, and ``consumed`` must hold what
    touches the time from ``window`` and ``group_for`` before it on. Then whenever and however often a walk is made
    changes nothing of what is found in events that arrive in order.

    A finding comes when the walk has left it behind. The cost is linear in the events and their groups; in memory are
    those of the last ``window`` and of the findings not yet yielded.

    :param groups_of: the distinct groups of an event.
    :param make_trigger: makes the trigger of a group.
    :param consumed: by group, the spans of earlier alerts.
    """
    walking = _Walk(make_trigger, consumed, window, group_for, group_max)
    for event in events:
        us = event.detection_us
        for value in groups_of(event):
            walking.take(event, us, value)
        walking.sweep(us)
        if walking.done:
            yield from walking.done
            walking.done.clear()
    walking.finish()
    yield from walking.done
