"""The new-value rule: somebody does for the first time in a while what others may do every day."""

from __future__ import annotations

import hashlib
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice, product
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from mozdef_core.alert import Alert, Moment
from mozdef_core.event import LATE_HORIZON_S, Event
from mozdef_core.markers import hookimpl
from mozdef_core.options import Duration, Field
from mozdef_core.query.groups import check_group_field, group_values, in_group
from mozdef_core.query.model import All, Bool, Exists, Query
from mozdef_core.rules.grouped import joined
from mozdef_core.rules.state import StateOptions, StateRule
from mozdef_core.window import RuleMemory, Window

WARM_UP_S: Final = 10.0
"""So long a run looks at history at most; the next one goes on."""

_NONE: Final = timedelta(0)
_MICROSECOND: Final = timedelta(microseconds=1)
_HISTORY: Final = "history"
_SEEN: Final = "seen:"
_AT_ONCE: Final = 500
_BUCKETS: Final = 256
_MINUTE_US: Final = 60_000_000
_HORIZON_US: Final = (LATE_HORIZON_S + 86_400) * 1_000_000


class Stretch(NamedTuple):
    """A time in which a value was seen again and again, with no pause longer than the span: first and last sight."""

    first_us: int
    last_us: int


class Pair(NamedTuple):
    """An entity and one of its values."""

    entity: tuple[str, ...]
    value: tuple[str, ...]

    @property
    def key(self) -> str:
        """Under which key it is remembered; 256 beginnings are equally frequent."""
        text = "\x1e".join(("\x1f".join(self.entity), "\x1f".join(self.value)))
        return _SEEN + hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


class NewValueOptions(StateOptions):
    """What every new-value rule accepts."""

    span: Duration | None = Field(
        None,
        gt=_NONE,
        description="how long a value must not have been seen to be new; unset: the rule's own",
    )


NewValueOptionsType = TypeVar("NewValueOptionsType", bound=NewValueOptions)


class NewValueRule(StateRule[NewValueOptionsType]):
    """A value of something that it did not have for a long time: a country of a user, a program of a host.

    Declare ``query``, or override :meth:`condition`, and ``by``, ``value_of`` and ``span``. At first it learns from
    history, ten seconds in each run; until that covers the span, its alerts are staged, so that nobody is told.

    :cvar by: the field of the entity, or several; ``value_of`` that of its value.
    :ivar span: a value is new that the entity was not seen with for so long.
    """

    class Options(NewValueOptions):
        """Options of a new-value rule: subclass it, and name there what the rule has of its own."""

    query: ClassVar[Query]
    by: ClassVar[str | Sequence[str]]
    value_of: ClassVar[str | Sequence[str]]
    span: timedelta = timedelta(days=30)

    def __init__(self, options: NewValueOptionsType) -> None:
        super().__init__(options)
        if options.span is not None:
            self.span = options.span
        self._span_us = self.span // _MICROSECOND
        self._by, self._value_of = _fields(self.by), _fields(self.value_of)
        for field in (*self._by, *self._value_of):
            check_group_field(field)
        self._condition = self.condition() if self.inactive is None else None

    def condition(self) -> Query:
        """Return the query that an event must match; called once, when the rule is made, unless it is inactive."""
        return self.query

    @property
    def looks_for(self) -> Sequence[Query]:
        """The condition, for an entity and a value; nothing for a rule that is inactive."""
        if self._condition is None:
            return ()
        return (Bool(must=(self._condition, *map(Exists, (*self._by, *self._value_of)))),)

    @property
    def warm_up(self) -> timedelta:
        """The span: a backtest sees that much before it counts."""
        return self.span

    @abstractmethod
    def summary(self, event: Event, entity: str, value: str) -> str:
        """Return one line for people."""

    def details(self, event: Event, entity: str, value: str) -> Mapping[str, Any]:
        """Return the alert's details: the source address and the user name, as far as they are known."""
        pairs = ((name, event.get(f"details.{name}")) for name in ("sourceipaddress", "username"))
        return {name: found for name, found in pairs if found is not None}

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Raise an alert for each value that is new in the fresh events."""
        if self._condition is None:
            return None
        staged = not self._learnt(window, self._condition)
        found: list[Alert] = []
        fresh = window.fresh(self._condition)
        while events := list(islice(fresh, _AT_ONCE)):
            known = _Known(window.memory, [pair for event in events for pair in self._pairs(event)])
            for event in events:
                pairs = self._pairs(event)
                if not pairs:
                    window.note_ungrouped(event)
                for pair in pairs:
                    found.extend(self._judged(window, known, event, pair, staged=staged))
            known.keep()
        self._forget(window)
        return found

    def _pairs(self, event: Event) -> Sequence[Pair]:
        parts = [sorted(group_values(event, field)) for field in (*self._by, *self._value_of)]
        width = len(self._by)
        return [Pair(each[:width], each[width:]) for each in product(*parts)]

    def _judged(
        self, window: Window, known: _Known, event: Event, pair: Pair, *, staged: bool
    ) -> Iterator[Alert]:
        """Note that a pair was seen, and yield an alert if that is new.

        An event may come late. One before a stretch that begins within the span after it would have been the new one
        itself: it is added to the alert. One long before it is judged by what the store holds.
        """
        us, before = event.detection_us, known.get(pair)
        after = known.see(pair, us, self._span_us)
        if before is None or us > before.last_us:
            if before is None or after.first_us == us:
                yield self._alert(event, pair, staged=staged)
        elif us < before.first_us and not self._met_before(window, event, pair):
            if before.first_us - us > self._span_us:
                yield self._alert(event, pair, staged=staged)
            elif alert_id := self._open_alert(window, pair, us):
                yield self._alert(event, pair, extends=alert_id)

    def _alert(self, event: Event, pair: Pair, *, staged: bool = False, extends: str = "") -> Alert:
        entity, value = joined(pair.entity), joined(pair.value)
        group = (",".join((*self._by, *self._value_of)), joined((*pair.entity, *pair.value)))
        summary, details = self.summary(event, entity, value), self.details(event, entity, value)
        return self.raised([event], group, summary, details, staged=staged, extends=extends)

    def _met_before(self, window: Window, event: Event, pair: Pair) -> bool:
        """Return whether the store holds an earlier event of the pair within the span."""
        assert self._condition is not None
        query = self._condition
        for field, value in zip((*self._by, *self._value_of), (*pair.entity, *pair.value), strict=True):
            query &= in_group(field, value)
        before = self._before(window, event.detection_us - self._span_us)
        first = next(window.search(query, before=before), None)
        return first is not None and Moment.of(first) < Moment.of(event)

    def _open_alert(self, window: Window, pair: Pair, us: int) -> str:
        """Return the id of the open alert of a pair that begins within the span after a moment, if there is one."""
        spans = window.consumed(self._before(window, us)).get(joined((*pair.entity, *pair.value)), ())
        fit = (span for span in spans if span.closed_us is None and us < span.first.us <= us + self._span_us)
        return next((span.alert_id for span in fit), "")

    @staticmethod
    def _before(window: Window, us: int) -> timedelta:
        return max(window.start_us - us, 0) * _MICROSECOND

    def _learnt(self, window: Window, query: Query) -> bool:
        """Look further at history, and return whether all that matters of it is known and it covers the span."""
        history = window.memory.get(_HISTORY)
        if history is None:
            oldest = window.first(All(), since_us=0)
            end_us = window.start_us
            begin_us = end_us if oldest is None else min(oldest.received_us, end_us)
            history = {"since": begin_us, "next": end_us - self._span_us, "end": end_us}
        elif history.get("span", self._span_us) < self._span_us:  # the option has grown
            history = {**history, "next": history["end"] - self._span_us}
        if history["next"] < history["end"]:
            history = {**history, "next": self._look_at(window, query, history["next"], history["end"])}
        window.memory.set(_HISTORY, {**history, "span": self._span_us})
        return bool(history["next"] >= history["end"] and history["since"] + self._span_us <= window.end_us)

    def _look_at(self, window: Window, query: Query, next_us: int, end_us: int) -> int:
        """Note what was seen from a moment on, for some seconds, and return from when on it is not known yet."""
        until_s = time.monotonic() + WARM_UP_S
        past = window.search(query, before=self._before(window, next_us))
        while events := list(islice(past, _AT_ONCE)):
            known = _Known(window.memory, [pair for event in events for pair in self._pairs(event)])
            for event in events:
                if event.detection_us >= end_us:
                    known.keep()
                    return end_us
                for pair in self._pairs(event):
                    known.see(pair, event.detection_us, self._span_us)
            known.keep()
            if time.monotonic() > until_s and events[-1].detection_us > next_us:
                return events[-1].detection_us
        return end_us

    def _forget(self, window: Window) -> None:
        """Forget what was not seen for so long that it is new again, a small part in each run."""
        prefix = f"{_SEEN}{window.end_us // _MINUTE_US % _BUCKETS:02x}"
        old_us = window.end_us - self._span_us - _HORIZON_US
        for key, stretch in window.memory.items(prefix).items():
            if stretch[1] < old_us:
                window.memory.set(key, None)


class _Known:
    """What is remembered of some pairs, read and written together.

    :param pairs: those that will be asked for.
    """

    def __init__(self, memory: RuleMemory, pairs: Sequence[Pair]) -> None:
        self._memory = memory
        kept = memory.get_many({pair.key for pair in pairs})
        self._stretches = {key: Stretch(*value) for key, value in kept.items()}
        self._changed: set[str] = set()

    def get(self, pair: Pair) -> Stretch | None:
        return self._stretches.get(pair.key)

    def see(self, pair: Pair, us: int, span_us: int) -> Stretch:
        """Note a sight, and return the stretch of the pair as it is then: the latest one."""
        known = self._stretches.get(pair.key)
        if known is None or us > known.last_us + span_us:
            stretch = Stretch(us, us)
        elif us < known.first_us - span_us:
            stretch = known
        else:
            stretch = Stretch(min(us, known.first_us), max(us, known.last_us))
        if stretch != known:
            self._stretches[pair.key] = stretch
            self._changed.add(pair.key)
        return stretch

    def keep(self) -> None:
        for key in self._changed:
            self._memory.set(key, list(self._stretches[key]))


def _fields(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
