"""An attempt: one call of one rule over one piece of time, and what it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from mozdef_core.alert import Alert
from mozdef_core.detection.excepting import Excepted, Filter
from mozdef_core.detection.intervals import Kind, Piece, Span
from mozdef_core.detection.meter import Cost
from mozdef_core.detection.scheduled import Scheduled
from mozdef_core.detection.store_window import StoreWindow
from mozdef_core.host import Host
from mozdef_core.ports import EventStore, Interval, Ledger, Outcome, RunState

SUSPENDED: Final = "plugin-suspended"
TIMEOUT: Final = "plugin-timeout"
_UNAVAILABLE: Final = "unavailable"
_MINUTE_US: Final = 60_000_000


class Attempt(NamedTuple):
    """What came of it.

    :param problem: code and text of what went wrong; ``raised`` the exception behind it, if there is one.
    """

    window: StoreWindow
    alerts: Sequence[Alert]
    filter: Filter | None
    cost: Cost
    problem: tuple[str, str] | None = None
    raised: BaseException | None = None

    @property
    def unavailable(self) -> BaseException | None:
        """The error of a store or database that was away, which is no fault of the rule."""
        return self.raised if self.problem is not None and self.problem[0] == _UNAVAILABLE else None


@dataclass(frozen=True, slots=True)
class Attempts:
    """Makes attempts.

    :param excepted: the exceptions; None for none.
    :param degraded: says why what these plugins make cannot be relied on now; nothing when it can.
    """

    host: Host
    store: EventStore
    ledger: Ledger
    clock: Callable[[], int]
    excepted: Excepted | None = None
    degraded: Callable[[Collection[str]], str] | None = None

    def make(self, rule: Scheduled, piece: Piece, late: Sequence[Span] = ()) -> Attempt:
        """Run a rule over a piece; nothing is written.

        :param late: spans before it in which events have arrived that a rule that remembers is to be given.
        """
        keep = self.excepted(rule.plugin.name) if self.excepted is not None else None
        window = StoreWindow(self.store, self.ledger, rule.key, piece.span, late, keep)
        at_us, wall_s, cpu_s = self.clock(), time.monotonic(), time.thread_time()
        outcome = self.host.call(rule.plugin, "alert_match", window=window)
        cost = Cost(at_us, time.monotonic() - wall_s, time.thread_time() - cpu_s)
        alerts = [
            replace(self._muted(rule, alert), rule=rule.plugin.name, staged=rule.staged or alert.staged)
            for alert in outcome.value or ()
        ]
        return Attempt(window, alerts, keep, cost, outcome.problem, outcome.error)

    def _muted(self, rule: Scheduled, alert: Alert) -> Alert:
        """Return what a rule found; nobody is told of a silence that lasts while an exception is in force."""
        if self.excepted is None or not rule.traits.absence:
            return alert
        return replace(alert, notify=False) if self.excepted.mutes(rule.plugin.name, alert.last.us) else alert

    def outcome(self, rule: Scheduled, piece: Piece, attempt: Attempt, journal: int | None) -> Outcome:
        """Return what an attempt that went well leaves in the ledger."""
        window, removed = attempt.window, attempt.filter.removed if attempt.filter is not None else {}
        state, reason = self._state(rule, piece, attempt.cost.at_us)
        interval = Interval(
            rule.key,
            piece.start_us,
            piece.end_us,
            state,
            attempt.cost.at_us,
            took_s=attempt.cost.wall_s,
            events=window.events,
            alerts=len(attempt.alerts),
            ungrouped=window.ungrouped,
            sample=window.ungrouped_sample,
            reason=reason,
        )
        return Outcome(
            interval,
            attempt.alerts,
            cursor_us=piece.end_us if piece.kind is Kind.DUE else None,
            journal=journal,
            state=window.kept.changes,
            seen=window.given,
            excepted=dict(removed),
        )

    def _state(self, rule: Scheduled, piece: Piece, now_us: int) -> tuple[RunState, str]:
        if rule.traits.absence:
            first, end = piece.start_us // _MINUTE_US, -(-piece.end_us // _MINUTE_US)
            if len(self.ledger.listened(piece.start_us, piece.end_us)) < end - first:
                return RunState.BLIND, "MozDef was not listening all the time"
        reason = self.degraded(rule.traits.needs) if self.degraded is not None and rule.traits.needs else ""
        if reason:
            return RunState.DEGRADED, reason
        if piece.kind is not Kind.DUE:
            return RunState.RERUN, ""
        return (RunState.LATE if rule.late_after(piece.start_us) < now_us else RunState.RAN), ""
