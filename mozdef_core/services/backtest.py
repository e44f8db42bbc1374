"""Backtest: a rule over a span of history, as its schedule would have run it; it changes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mozdef_core.alert import Alert, Occasion
from mozdef_core.detection import Budget, Excepted, Runner, Scheduled
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import EventStore
from mozdef_core.query.groups import group_values

STEP_US: Final = 3_600_000_000
"""History is gone through an hour at a time; between steps progress is told."""

_MICROSECOND: Final = timedelta(microseconds=1)
_PATIENCE_S: Final = 3_600.0
_AT_ONCE: Final = timedelta(0)

Listened = Callable[[int, int], Sequence[int]]
"""Returns the minutes of a span, microseconds since 1970, in which MozDef was listening."""


@dataclass(frozen=True, slots=True)
class Backtested:
    """What a rule would have done.

    :param alerts: it would have raised, oldest first, each with all that would have extended it.
    :param events: how many events it looked at; ``wall_s`` and ``cpu_s``, in what time.
    :param problems: why it did not get through some of the history.
    :param inactive: why it can find nothing as it is configured.
    """

    rule: str
    since_us: int
    until_us: int
    alerts: Sequence[Alert]
    events: int
    wall_s: float
    cpu_s: float
    problems: Sequence[str] = ()
    inactive: str | None = None

    @property
    def groups(self) -> Mapping[str, int]:
        """For whom: how many alerts each group value would have had, most first."""
        return dict(Counter(alert.group[1] for alert in self.alerts if alert.group).most_common())

    @property
    def hosts(self) -> Mapping[str, int]:
        """On which hosts: in the samples of how many alerts each occurs, most first."""
        found: Counter[str] = Counter()
        for alert in self.alerts:
            found.update({host for event in alert.events for host in group_values(event, "hostname")})
        return dict(found.most_common())

    def to_dict(self, samples: int = 5) -> dict[str, Any]:
        """Return it as a JSON document, with the first alerts whole."""
        return {
            "rule": self.rule,
            "alerts": len(self.alerts),
            "groups": self.groups,
            "hosts": self.hosts,
            "events": self.events,
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "problems": list(self.problems),
            "inactive": self.inactive,
            "samples": [alert.to_dict() for alert in self.alerts[:samples]],
        }


class _Past(MemoryBook):
    """A book of its own, which knows from the real one when MozDef was listening."""

    def __init__(self, clock: Callable[[], int], listened: Listened) -> None:
        super().__init__(clock=clock)
        self._listened = listened

    def listened(self, start_us: int, end_us: int) -> Sequence[int]:
        """Return minutes of listening, as they really were."""
        return self._listened(start_us, end_us)

    def _note(self, alert_id: str, occasion: Occasion, due_us: int) -> None:
        """Note nothing: nobody is told of what would have been."""

    def watermark(self, now_us: int) -> int:
        """Return the present of the backtest: everything that was received before has long been stored."""
        return now_us


def backtest(
    rule: Plugin,
    store: EventStore,
    since_us: int,
    until_us: int,
    *,
    listened: Listened,
    excepted: Excepted | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Backtested:
    """Run a rule over history, with a state of its own that is warmed by the time before.

    :param since_us: first moment of detection time, microseconds since 1970; ``until_us`` the end.
    :param listened: of the real book, for rules about absence.
    :param progress: told after each step which share of the whole is done.
    """
    now_us = since_us - _warm_up_us(rule)
    book = _Past(lambda: now_us, listened)
    host = Host([rule], Health(Limits.patient(_PATIENCE_S)))
    budget = Budget(_PATIENCE_S, timedelta(days=36_500))
    runner = Runner(host, store, book, budget, excepted=excepted, clock=lambda: now_us)
    scheduled = Scheduled.of(rule, lambda us: us + STEP_US)
    start_us, wall_s, cpu_s = now_us, time.monotonic(), time.process_time()
    runner.run(scheduled)
    while now_us < until_us:
        now_us = min(now_us + STEP_US, until_us)
        while runner.run(scheduled) == _AT_ONCE:
            pass
        progress((now_us - start_us) / (until_us - start_us))
    rows = book.intervals(scheduled.key, start_us, until_us)
    return Backtested(
        rule.name,
        since_us,
        until_us,
        [
            alert
            for alert in sorted(book.alerts.values(), key=lambda alert: alert.first)
            if alert.last.us >= since_us
        ],
        sum(row.events for row in rows),
        time.monotonic() - wall_s,
        time.process_time() - cpu_s,
        list(dict.fromkeys(row.reason for row in rows if row.state == "failed")),
        getattr(rule.instance, "inactive", None),
    )


def _warm_up_us(rule: Plugin) -> int:
    """Return how much history before the span a rule must have seen: its look-back, or what it says itself."""
    look_back: timedelta = getattr(rule.instance, "look_back", timedelta(0))
    warm_up: timedelta = getattr(rule.instance, "warm_up", look_back)
    return warm_up // _MICROSECOND
