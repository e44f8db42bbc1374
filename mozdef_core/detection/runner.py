"""The runner: runs rules on a schedule over spans of the store, so that each finds what one single pass would.

Everything that a run leaves is written in one transaction, so a process may die at any point: what was not written is
done again, and what was written is not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from mozdef_core.detection import intervals
from mozdef_core.detection.attempt import SUSPENDED, TIMEOUT, Attempt, Attempts
from mozdef_core.detection.excepting import Excepted
from mozdef_core.detection.intervals import PIECE_US, Kind, Piece, Plan, Span, Standing
from mozdef_core.detection.meter import HOUR_US, Meter
from mozdef_core.detection.scheduled import Budget, Scheduled
from mozdef_core.errors import AlertClosedError, LeaseLostError, QueryTimeoutError
from mozdef_core.event import now_us
from mozdef_core.host import Host
from mozdef_core.ports import EventStore, Interval, Lease, Ledger, RunState

log = logging.getLogger(__name__)

FAILURES: Final = 3
"""After so many failures in a row an interval is set aside, and a rule that is too slow is put in quarantine."""

ATTEMPTS: Final = 3
"""So often a run is made at once whose finding was to extend an alert that somebody closed meanwhile."""

SLICE_S: Final = 20.0
"""A rule that has much to catch up with lets others run after so long."""

AT_ONCE: Final = timedelta(0)
RETRY: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class Runner:
    """Runs rules; one that fails, is slow or is suspended affects only itself. Its methods may be called in threads.

    :param excepted: the exceptions; without it there are none.
    :param degraded: says why what these plugins make cannot be relied on now; nothing when it can.
    """

    def __init__(
        self,
        host: Host,
        store: EventStore,
        ledger: Ledger,
        budget: Budget | None = None,
        *,
        excepted: Excepted | None = None,
        degraded: Callable[[Collection[str]], str] | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._host = host
        self._store = store
        self._ledger = ledger
        self._budget = budget or Budget()
        self._attempts = Attempts(host, store, ledger, clock, excepted, degraded)
        self._clock = clock
        self._meters: dict[str, Meter] = {}

    def renewed(self, host: Host) -> Runner:
        """Return one that runs the rules of another host, and knows of all rules how they do."""
        other = copy(self)
        other._host, other._attempts = host, replace(self._attempts, host=host)
        return other

    def drop(self, key: str) -> None:
        """Know nothing more of a rule that is gone, by its key in the ledger."""
        self._meters.pop(key, None)

    def add(self, rule: Scheduled) -> None:
        """Take a rule, or take it again once it or a plugin has changed: what had failed is due at once.

        One that is suspended already, since a call of it hung and was ended from outside, is in quarantine.
        """
        meter = self._meters[rule.key] = Meter()
        if self._host.suspended(rule.plugin):
            meter.rest("a call of it hung and was ended from outside", self._clock() + HOUR_US)
        self._ledger.retry(rule.key)

    def snapshot(self) -> Mapping[str, Any]:
        """Return how each rule does, by its key in the ledger."""
        return {key: meter.snapshot(self._clock()) for key, meter in sorted(self._meters.items())}

    def run(self, rule: Scheduled) -> timedelta | None:
        """Run a rule over what it has to be run over now, for some seconds at most.

        :returns: after what time to call again, if that is before its next time; zero is at once.
        :raises StoreUnavailableError, BookUnavailableError: nothing is lost; call again at the next time.
        """
        now, meter = self._clock(), self._meters.setdefault(rule.key, Meter())
        if now < meter.resting_until_us or self._host.suspended(rule.plugin):
            return None
        lease = self._ledger.lease(rule.key, now, now, SLICE_S + 2 * self._budget.time_limit_s)
        if lease is None:
            return None
        try:
            again = self._slice(rule, lease, meter)
            return HOUR if again is None and rule.calendar else again  # for what was set aside
        except LeaseLostError as error:
            log.warning("%s; nothing of this run was kept", error)
            return None
        finally:
            self._ledger.release(lease)

    def _slice(self, rule: Scheduled, lease: Lease, meter: Meter) -> timedelta | None:
        """Work off the plan, until it is done or it is somebody else's turn."""
        began_s = time.monotonic()
        journal, plan = self._plan(rule, lease, meter)
        self._note(rule, lease, plan)
        wanted = [piece for piece in plan.pieces if piece.kind is not Kind.FAILED]
        last = next((piece for piece in wanted if piece.kind is Kind.DUE), wanted[-1] if wanted else None)
        for number, piece in enumerate(plan.pieces):
            if number and time.monotonic() - began_s > SLICE_S:
                return AT_ONCE
            if not self._piece(rule, lease, meter, piece, plan.late, journal if piece is last else None):
                return RETRY
            if meter.resting_until_us > self._clock():
                return None
        return AT_ONCE if plan.later else None

    def _plan(self, rule: Scheduled, lease: Lease, meter: Meter) -> tuple[int, Plan]:
        """Return the journal's number, noted before the store was looked at, and what is to be done."""
        journal, changed = self._ledger.arrivals_since(lease.journal)
        self._store.refresh()
        now, traits = self._clock(), rule.traits
        end_us = min(now, self._ledger.watermark(now)) if traits.absence or traits.remembers else now
        if rule.calendar and rule.due_after(lease.cursor_us) > now and not meter.failures:
            end_us, changed = lease.cursor_us, ()  # called for what had failed, or too early
        standing = Standing(
            lease.since_us,
            lease.cursor_us,
            max(end_us, lease.cursor_us),
            () if traits.absence else changed,
            traits.look_back_us,
            self._ledger.failed(rule.key, now),
            self._aside(rule, lease, changed),
        )
        piece_us = PIECE_US >> 2 * min(meter.timeouts, FAILURES)
        catch_up_us = self._budget.catch_up_max // _MICROSECOND
        self._moved(rule, meter, lease.cursor_us)
        return journal, intervals.plan(standing, catch_up_us, remembers=traits.remembers, piece_us=piece_us)

    def _aside(self, rule: Scheduled, lease: Lease, changed: Sequence[int]) -> Sequence[Span]:
        """Return the failed intervals behind the first minute that has changed."""
        first_us = min(changed, default=0) * 60_000_000
        if rule.traits.remembers or not changed or first_us >= lease.cursor_us:
            return ()
        rows = self._ledger.intervals(rule.key, first_us, lease.cursor_us)
        return [Span(row.start_us, row.end_us) for row in rows if row.state is RunState.FAILED]

    def _note(self, rule: Scheduled, lease: Lease, plan: Plan) -> None:
        """Write down what is not run now."""
        now = self._clock()
        if plan.skipped is not None:
            why = f"older than the {self._budget.catch_up_max} that are caught up with"
            skipped = Interval(rule.key, *plan.skipped, RunState.SKIPPED, now, reason=why)
            self._ledger.set_aside(lease, skipped, plan.skipped.end_us)
        for span in plan.later:
            why = "events arrived late; it waits until what is due has been run"
            self._ledger.set_aside(
                lease, Interval(rule.key, *span, RunState.FAILED, now, due_us=now, reason=why)
            )

    def _piece(
        self,
        rule: Scheduled,
        lease: Lease,
        meter: Meter,
        piece: Piece,
        late: Sequence[Span],
        journal: int | None,
    ) -> bool:
        """Run a piece and write what it leaves; return whether the next one may be run."""
        for _ in range(ATTEMPTS):
            attempt = self._attempts.make(rule, piece, late if journal is not None else ())
            if attempt.unavailable is not None:
                raise attempt.unavailable
            if attempt.problem is not None:
                return self._failed(rule, lease, meter, piece, attempt)
            meter.ran(attempt.cost)
            outcome = self._attempts.outcome(rule, piece, attempt, journal)
            try:
                alerts = self._ledger.finish(lease, outcome)
            except AlertClosedError as error:
                log.info("rule %s is run again: %s", rule.key, error)
                continue
            meter.succeeded(piece.kind)
            meter.timeouts = max(0, meter.timeouts - 1)
            meter.events += attempt.window.events
            meter.alerts += len(alerts)
            self._moved(rule, meter, outcome.cursor_us or 0)
            self._check_time(rule, meter, attempt.cost.wall_s)
            return True
        return False

    def _failed(self, rule: Scheduled, lease: Lease, meter: Meter, piece: Piece, attempt: Attempt) -> bool:
        """Count a failure, and set the piece aside once there are too many; return whether the next may be run."""
        assert attempt.problem is not None
        code, text = attempt.problem
        if code == SUSPENDED:
            return False
        now = self._clock()
        meter.ran(attempt.cost)
        number = meter.failed(piece.kind, text)
        if code == TIMEOUT or isinstance(attempt.raised, QueryTimeoutError):
            meter.timeouts += 1
        if piece.kind is not Kind.FAILED and number < FAILURES:
            return False
        failures = piece.failures + 1 if piece.kind is Kind.FAILED else number
        row = Interval(
            rule.key,
            piece.start_us,
            piece.end_us,
            RunState.FAILED,
            now,
            took_s=attempt.cost.wall_s,
            failures=failures,
            due_us=now + HOUR_US,
            reason=text,
        )
        self._ledger.set_aside(lease, row, piece.end_us if piece.kind is Kind.DUE else None)
        log.warning(
            "rule %s failed %d times on an interval, which is set aside: %s", rule.key, failures, text
        )
        meter.set_aside += 1
        meter.failures.pop(piece.kind, None)
        return False

    @staticmethod
    def _moved(rule: Scheduled, meter: Meter, cursor_us: int) -> None:
        if cursor_us > meter.cursor_us:
            meter.cursor_us, meter.late_after_us = cursor_us, rule.late_after(cursor_us)

    def _check_time(self, rule: Scheduled, meter: Meter, took_s: float) -> None:
        """Put a rule in quarantine that is too slow again and again, and let it out once it is not."""
        limit_s = self._budget.time_limit_s
        meter.slow = meter.slow + 1 if took_s > limit_s else 0
        if meter.slow < FAILURES:
            if meter.quarantine and not meter.slow:
                meter.resume()
                log.warning("rule %s is out of quarantine", rule.key)
            return
        reason = f"{meter.slow} runs in a row took more than {limit_s:g} s, the last {took_s:.0f} s"
        meter.rest(reason, self._clock() + HOUR_US)
        log.warning("rule %s is in quarantine for an hour: %s", rule.key, reason)
