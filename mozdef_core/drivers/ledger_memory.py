"""The ledger of the alert book in memory: leases, intervals, and what rules remember."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from mozdef_core.alert import Alert, Consumed
from mozdef_core.drivers.findings_memory import MemoryFindings
from mozdef_core.drivers.letters_memory import before
from mozdef_core.errors import LeaseLostError
from mozdef_core.ports import PRUNE_STEP, Interval, Keep, Lease, Ledger, Outcome, Pruned, RunState
from mozdef_core.ports.ledger import lay
from mozdef_core.ports.listening import LIVE_S, listens, parts_of, stored_until_us

MINUTE_US: Final = 60_000_000


@dataclass(slots=True)
class _Rule:
    since_us: int
    cursor_us: int
    journal: int
    touched_us: int
    fence: int = 0
    runs: int = 0
    leased_until_us: int = 0
    rows: list[Interval] = field(default_factory=list)


class MemoryLedger(MemoryFindings, Ledger):
    """What a test may look at: the arrival journal, the parts that were up by minute, and what was excepted."""

    def __init__(self, repeat: timedelta, clock: Callable[[], int]) -> None:
        super().__init__(repeat, clock)
        self.arrivals: dict[int, int] = {}
        self.liveness: dict[int, set[str]] = {}
        self.excepted: dict[str, int] = {}
        self._batches = 0
        self._reports: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
        self._stored_until_us = 0
        self._rules: dict[str, _Rule] = {}
        self._remembered: dict[str, dict[str, str]] = {}
        self._seen: dict[str, dict[str, int]] = {}

    def report(self, role: str, process: str, counters: Mapping[str, Any], at_us: int) -> None:
        """Note what a process counts, and which parts of the way in were up in this minute."""
        with self._lock:
            self._reports[role, process] = (at_us, dict(counters))
            self.liveness.setdefault(at_us // MINUTE_US, set()).update(parts_of(role, counters))

    def lease(self, rule: str, start_us: int, now_us: int, lease_s: float) -> Lease | None:
        """Take a rule; see :meth:`Ledger.lease`."""
        with self._lock:
            kept = self._rules.setdefault(rule, _Rule(start_us, start_us, self._batches, now_us))
            if kept.leased_until_us > now_us:
                return None
            kept.fence += 1
            kept.leased_until_us = now_us + int(lease_s * 1_000_000)
            kept.touched_us = now_us
            return Lease(rule, kept.fence, kept.since_us, kept.cursor_us, kept.journal, kept.runs)

    def release(self, lease: Lease) -> None:
        """Give a rule back; see :meth:`Ledger.release`."""
        with self._lock:
            kept = self._rules.get(lease.rule)
            if kept is not None and kept.fence == lease.fence:
                kept.leased_until_us = 0

    def _held(self, lease: Lease) -> _Rule:
        kept = self._rules.get(lease.rule)
        if kept is None or kept.fence != lease.fence:
            raise LeaseLostError(f"{lease.rule}: another process runs this rule now")
        return kept

    def arrivals_since(self, number: int) -> tuple[int, Sequence[int]]:
        """Return the journal's number and what has changed; see :meth:`Ledger.arrivals_since`."""
        with self._lock:
            changed = (minute for minute, arrived in self.arrivals.items() if arrived > number)
            return self._batches, sorted(changed)

    def consumed(self, rule: str, start_us: int, end_us: int) -> Mapping[str, Sequence[Consumed]]:
        """Return what alerts have consumed; see :meth:`Ledger.consumed`."""
        found: dict[str, list[Consumed]] = {}
        with self._lock:
            touching = map(self.alerts.__getitem__, self._spans.of_rule(rule, start_us, end_us - 1))
            for alert in sorted(touching, key=lambda alert: (alert.first, alert.last)):
                span = Consumed(alert.id, alert.first, alert.last, self._closed_us.get(alert.id))
                found.setdefault(alert.group[1] if alert.group else "", []).append(span)
        return found

    def failed(self, rule: str, now_us: int) -> Sequence[Interval]:
        """Return failed intervals that are due; see :meth:`Ledger.failed`."""
        with self._lock:
            rows = self._rules[rule].rows if rule in self._rules else []
            return [row for row in rows if row.state is RunState.FAILED and _is_due(row, now_us)]

    def finish(self, lease: Lease, outcome: Outcome) -> Sequence[Alert]:
        """Keep what a run leaves; see :meth:`Ledger.finish`."""
        with self._lock:
            kept = self._held(lease)
            alerts = self._store(outcome.alerts)
            remembered = self._remembered.setdefault(lease.rule, {})
            for key, value in outcome.state.items():
                if value is None:
                    remembered.pop(key, None)
                else:
                    remembered[key] = json.dumps(value)
            seen = self._seen.setdefault(lease.rule, {})
            seen.update((event_id, us // MINUTE_US) for event_id, us in outcome.seen.items())
            for name, number in outcome.excepted.items():
                self.excepted[name] = self.excepted.get(name, 0) + number
            self._lay(kept, outcome.interval, outcome.cursor_us)
            kept.journal = max(kept.journal, outcome.journal or 0)
            kept.runs += 1
            return alerts

    def set_aside(self, lease: Lease, interval: Interval, cursor_us: int | None = None) -> None:
        """Note an interval that did not run; see :meth:`Ledger.set_aside`."""
        with self._lock:
            self._lay(self._held(lease), interval, cursor_us)

    @staticmethod
    def _lay(kept: _Rule, interval: Interval, cursor_us: int | None) -> None:
        def touches(row: Interval) -> bool:
            return row.start_us <= interval.end_us and row.end_us >= interval.start_us

        others = [row for row in kept.rows if not touches(row)]
        laid = lay(interval, filter(touches, kept.rows))
        kept.rows = sorted([*others, *laid], key=lambda row: row.start_us)
        kept.cursor_us = max(kept.cursor_us, cursor_us or 0)

    def skip_time(self, rule: str, start_us: int, end_us: int, reason: str, now_us: int) -> None:
        """Note that a rule was off; see :meth:`Ledger.skip_time`."""
        with self._lock:
            kept = self._rules.setdefault(rule, _Rule(end_us, start_us, self._batches, now_us))
            kept.touched_us = now_us
            if kept.cursor_us < start_us:
                why = "it had not been run when the rule was switched off"
                missed = (rule, kept.cursor_us, start_us, RunState.FAILED, now_us)
                self._lay(kept, Interval(*missed, due_us=now_us, reason=why), start_us)
            if (begin_us := max(start_us, kept.cursor_us)) < end_us:
                skipped = Interval(rule, begin_us, end_us, RunState.SKIPPED, now_us, reason=reason)
                self._lay(kept, skipped, end_us)

    def retry(self, rule: str) -> None:
        """Make failed intervals due; see :meth:`Ledger.retry`."""
        with self._lock:
            now, kept = self._clock(), self._rules.get(rule)
            if kept is not None:
                kept.rows = [
                    replace(row, due_us=now) if row.state is RunState.FAILED else row for row in kept.rows
                ]

    def intervals(self, rule: str, start_us: int, end_us: int) -> Sequence[Interval]:
        """Return rows of the ledger; see :meth:`Ledger.intervals`."""
        with self._lock:
            rows = self._rules[rule].rows if rule in self._rules else []
            return [row for row in rows if row.start_us < end_us and row.end_us > start_us]

    def recall(self, rule: str, keys: Collection[str] | None = None, prefix: str = "") -> Mapping[str, Any]:
        """Return what a rule remembers; see :meth:`Ledger.recall`."""
        with self._lock:
            return {
                key: json.loads(text)
                for key, text in self._remembered.get(rule, {}).items()
                if key.startswith(prefix) and (keys is None or key in keys)
            }

    def seen(self, rule: str, ids: Collection[str]) -> set[str]:
        """Return events dealt with; see :meth:`Ledger.seen`."""
        with self._lock:
            return self._seen.get(rule, {}).keys() & set(ids)

    def listened(self, start_us: int, end_us: int) -> Sequence[int]:
        """Return minutes of listening; see :meth:`Ledger.listened`."""
        with self._lock:
            minutes = range(start_us // MINUTE_US, -(-end_us // MINUTE_US))
            return [minute for minute in minutes if listens(self.liveness.get(minute, ()))]

    def watermark(self, now_us: int) -> int:
        """Return up to when everything is stored; see :meth:`Ledger.watermark`."""
        with self._lock:
            live = [
                counters
                for (role, _), (at_us, counters) in self._reports.items()
                if role == "worker" and at_us > now_us - LIVE_S * 1_000_000
            ]
            until_us = stored_until_us(live)
            if until_us is not None:
                self._stored_until_us = max(self._stored_until_us, min(until_us, now_us))
            return self._stored_until_us

    def _prune_ledger(self, keep: Keep, now_us: int) -> Pruned:
        """Remove old rows and events, and all that is kept of a rule that nobody has run for as long as the journal."""
        old_us, seen_us = before(now_us, keep.journal), before(now_us, keep.seen)
        intervals = seen = remembered = rules = 0
        for name, kept in list(self._rules.items()):
            gone = [row for row in kept.rows if row.end_us < old_us][: PRUNE_STEP - intervals]
            kept.rows = [row for row in kept.rows if row not in gone]
            intervals += len(gone)
            dealt = self._seen.get(name, {})
            for event_id in sorted(dealt, key=lambda each: dealt[each])[: PRUNE_STEP - seen]:
                if dealt[event_id] < seen_us // MINUTE_US:
                    del dealt[event_id]
                    seen += 1
            if kept.touched_us < old_us:
                own = self._remembered.get(name, {})
                for key in sorted(own)[: PRUNE_STEP - remembered]:
                    del own[key]
                    remembered += 1
                if not own and not kept.rows and not dealt and rules < PRUNE_STEP:
                    del self._rules[name]
                    rules += 1
        return Pruned(intervals=intervals, seen=seen, remembered=remembered, rules=rules)


def _is_due(row: Interval, now_us: int) -> bool:
    return row.due_us is not None and row.due_us <= now_us
