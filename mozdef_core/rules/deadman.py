"""The dead-man rule: a detection of what is not there (detections.md C2)."""

from __future__ import annotations

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from pydantic import field_validator

from mozdef_core.alert import Alert, Moment, Severity
from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.event import isoformat
from mozdef_core.markers import hookimpl
from mozdef_core.options import Duration, Field
from mozdef_core.query.model import Query
from mozdef_core.query.plain import plain
from mozdef_core.rules.rule import Rule, ScheduledOptions
from mozdef_core.silence import Listening, Silence, Watch, judge
from mozdef_core.window import Window

log = logging.getLogger(__name__)

_NONE: Final = timedelta(0)
_MICROSECOND: Final = timedelta(microseconds=1)
_PREFIX: Final = "awaited:"
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Awaited(NamedTuple):
    """What must be seen again and again.

    :param key: tells its alerts from those of others; it is the group's value.
    :param query: what an event must match.
    :param window: for how long at most nothing may match; None for the rule's.
    :param description: what it is, for people; empty for the key.
    :param severity: of its alerts; None for the rule's.
    :param tags: of its alerts besides those of the rule.
    """

    key: str
    query: Query
    window: timedelta | None = None
    description: str = ""
    severity: Severity | None = None
    tags: Sequence[str] = ()


class DeadmanOptions(ScheduledOptions):
    """What every dead-man rule accepts."""

    window: Duration | None = Field(
        None,
        gt=_NONE,
        description="how long nothing may match, in time in which MozDef was listening; unset: the rule's own",
    )
    settle: Duration = Field(
        timedelta(minutes=5),
        ge=_NONE,
        description="how long after a gap in listening silence does not count, since what was held back comes in",
    )

    @field_validator("suppress_by", "group_for")
    @classmethod
    def _of_silence(cls, value: object) -> object:
        if value:
            raise ValueError("an alert of this rule lasts as long as its silence; expected it to be unset")
        return value


DeadmanOptionsType = TypeVar("DeadmanOptionsType", bound=DeadmanOptions)


class DeadmanRule(Rule[DeadmanOptionsType]):
    """Something that must be seen again and again was not, for longer than its window: one alert for each silence.

    Override :meth:`awaited` and :meth:`summary`. Events are judged by when they were received, and only time counts in
    which MozDef was listening. The alert is extended while the silence lasts, and recovered when a match returns.

    :cvar by: what the alert calls the thing that is waited for, such as ``hostname``.
    :ivar window: for how long at most nothing may match.
    """

    class Options(DeadmanOptions):
        """Options of a dead-man rule: subclass it, and name there what the rule has of its own."""

    absence: ClassVar[bool] = True
    category: ClassVar[str] = "deadman"
    tags: ClassVar[Sequence[str]] = ("deadman",)
    severity: ClassVar[Severity] = Severity.ERROR
    by: ClassVar[str] = "search"
    window: timedelta = timedelta(minutes=20)

    def __init__(self, options: DeadmanOptionsType) -> None:
        super().__init__(options)
        if options.window is not None:
            self.window = options.window
        self._problems: list[str] = []
        self._awaited = list(self._usable()) if self.inactive is None else []
        self._told: set[str] = set()
        self._before: dict[str, tuple[int, int | None]] = {}

    @property
    def warm_up(self) -> timedelta:
        """How much history a backtest must have seen to know of each silence when it began."""
        return (
            max((each.window or self.window for each in self._awaited), default=_NONE) + self.options.settle
        )

    @property
    def problems(self) -> Sequence[str]:
        """Which of the things cannot be waited for, and why; they do not stop the others."""
        return tuple(self._problems)

    def refuse(self, problem: str) -> None:
        """Note why something cannot be waited for; to be called in :meth:`awaited`, which leaves it out."""
        log.warning("%s: %s", type(self).__name__, problem)
        self._problems.append(problem)

    def _usable(self) -> Iterator[Awaited]:
        keys: set[str] = set()
        for each in self.awaited():
            if each.key in keys:
                self.refuse(f"{each.key!r} is there twice; expected each once")
                continue
            keys.add(each.key)
            try:
                plain(each.query)
            except QueryError as error:
                self.refuse(f"{each.key!r}: {error}")
            else:
                yield each

    @property
    def looks_for(self) -> Sequence[Query]:
        """What must be seen again and again; nothing for a rule that is inactive."""
        return [each.query for each in self._awaited]

    @abstractmethod
    def awaited(self) -> Iterable[Awaited]:
        """Return what must be seen again and again; called once, when the rule is made, unless it is inactive."""

    @abstractmethod
    def summary(self, awaited: Awaited, window: timedelta, last_us: int | None) -> str:
        """Return one line for people.

        :param last_us: when a match was received last, microseconds since 1970; None for never.
        """

    @staticmethod
    def span(window: timedelta) -> str:
        """Return a span of time as people say it, ``20 minutes``."""
        seconds = window.total_seconds()
        unit_s, unit = next((each for each in _UNITS if seconds % each[0] == 0), (1, "second"))
        return f"{seconds / unit_s:g} {unit}{'' if seconds == unit_s else 's'}"

    @staticmethod
    def seen(last_us: int | None) -> str:
        """Return when a match was received last, as a summary says it."""
        return "never" if last_us is None else isoformat(last_us)

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Raise, extend and recover the alerts of silences; one thing that cannot be looked for spares the others."""
        if self.inactive is not None:
            return None
        listening = Listening(window.listened, self.options.settle // _MICROSECOND)
        known = window.memory.items(_PREFIX)
        for key in known.keys() - {_key(each) for each in self._awaited}:
            window.memory.set(key, None)
        return [
            alert
            for each in self._awaited
            for alert in self._judged(window, listening, each, known.get(_key(each)))
        ]

    def _judged(
        self, window: Window, listening: Listening, awaited: Awaited, remembered: Mapping[str, Any] | None
    ) -> Iterable[Alert]:
        limit = awaited.window or self.window
        try:
            silences, watch = self._silences(window, listening, awaited, limit, remembered)
            alerts = [self._alert(window, awaited, limit, silence) for silence in silences]
        except QueryTimeoutError:
            raise
        except QueryError as error:
            if awaited.key not in self._told:
                self._told.add(awaited.key)
                log.warning("%s: %r cannot be looked for: %s", type(self).__name__, awaited.key, error)
            return ()
        self._told.discard(awaited.key)
        if watch is not None:
            window.memory.set(_key(awaited), asdict(watch))
        return alerts

    def _silences(
        self,
        window: Window,
        listening: Listening,
        awaited: Awaited,
        limit: timedelta,
        remembered: Mapping[str, Any] | None,
    ) -> tuple[Sequence[Silence], Watch | None]:
        """Return the silences to tell of, and what is to be remembered, if that changes."""
        matches, limit_us = _Received(window, awaited.query), limit // _MICROSECOND
        end_us, from_us = window.end_us, window.start_us
        watch = Watch(**remembered) if remembered is not None else Watch.since(from_us, met=False)
        if end_us > watch.until_us or remembered is None:
            return judge(watch, end_us, limit_us, matches, listening, from_us=from_us)
        # An interval that had failed, while others behind it were run: what ended in it was not told of.
        last_us = matches.last(None, from_us)
        if last_us is None:
            return (), None
        found, _ = judge(
            Watch.since(last_us, met=True), end_us, limit_us, matches, listening, from_us=from_us
        )
        return [silence for silence in found if silence.ended_us is not None], None

    def _alert(self, window: Window, awaited: Awaited, limit: timedelta, silence: Silence) -> Alert:
        start_us = silence.start_us
        last_us = start_us if silence.met else self._last_before(window, awaited, start_us)
        details = {"window_s": limit.total_seconds(), "silent_since": isoformat(start_us)}
        if last_us is not None:
            details["last_match"] = isoformat(last_us)
        first, last = (Moment(us, str(us)) for us in (start_us, silence.until_us))
        return replace(
            self.alert(self.summary(awaited, limit, last_us), first, last, awaited.severity),
            tags=tuple(dict.fromkeys((*self.tags, *awaited.tags, *self.options.tags_add))),
            group=(self.by, awaited.key),
            details=details,
            recovered_us=silence.ended_us,
        )

    def _last_before(self, window: Window, awaited: Awaited, start_us: int) -> int | None:
        """Return when a match was received last before the wait began; looked for once for each silence."""
        known = self._before.get(awaited.key)
        if known is None or known[0] != start_us:
            last_us = _Received(window, awaited.query).last(None, start_us)
            known = self._before[awaited.key] = (start_us, last_us)
        return known[1]


@dataclass(frozen=True, slots=True)
class _Received:
    """When events of a window were received that match a query."""

    window: Window
    query: Query

    def last(self, since_us: int | None, before_us: int) -> int | None:
        event = self.window.last(self.query, since_us=since_us, before_us=before_us)
        return None if event is None else event.received_us

    def first(self, since_us: int, before_us: int) -> int | None:
        event = self.window.first(self.query, since_us=since_us, before_us=before_us)
        return None if event is None else event.received_us


def _key(awaited: Awaited) -> str:
    """Return under which key it is remembered: another one when something else is waited for."""
    text = "\x1f".join((awaited.key, repr(awaited.query), repr(awaited.window)))
    return _PREFIX + hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
