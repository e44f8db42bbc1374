"""The alert book on a relational database: one transaction per batch, per settled task and per owed span."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from mozdef_core.alert import Alert, Consumed
from mozdef_core.casework import (
    dead_letters,
    findings,
    ledger,
    memory,
    outbox,
    owed,
    processes,
    pruning,
    states,
)
from mozdef_core.casework.block_guard import BlockGuard
from mozdef_core.casework.database import Database, next_number, upsert
from mozdef_core.casework.models import ArrivalRow
from mozdef_core.event import now_us
from mozdef_core.ports import (
    AlertBook,
    BatchRecord,
    Interval,
    Keep,
    Lease,
    Outcome,
    OwedSpan,
    Pruned,
    Task,
    TaskResult,
)

_NOTHING: Final = BatchRecord()


class SqlBook(AlertBook):
    """The alert book of one process; threads may share it, and any number of processes one database.

    :param url: where the database is, such as ``sqlite:////var/lib/mozdef/casework.sqlite``; its schema must be up
        to date (:func:`mozdef_core.casework.migration.upgrade`).
    :param repeat: how often at most an alert tells the actions that it was extended.
    :param clock: the time, in microseconds since 1970.
    :param guard: decides what actions may have blocked; without one it is what everybody may.
    :raises ConfigError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        repeat: timedelta = timedelta(hours=1),
        clock: Callable[[], int] = now_us,
        guard: BlockGuard | None = None,
    ) -> None:
        self._guard = guard or BlockGuard()
        self.database = Database(url)
        self._repeat_us = repeat // timedelta(microseconds=1)
        self._clock = clock

    def record(self, batch: BatchRecord) -> Sequence[Alert]:
        """Write all that a batch leaves; see :meth:`AlertBook.record`."""
        now = self._clock()
        if batch == _NOTHING:
            return []
        with self.database.write() as session:
            if batch.arrivals:
                _note_arrivals(session, batch.arrivals)
            owed.add(session, batch.owed, now)
            dead_letters.add(session, batch.dead_letters)
            dead_letters.mark_replayed(session, batch.replayed, now)
            states.replace(session, batch.states)
            return self._store(session, batch.alerts, now)

    def _store(self, session: Session, alerts: Sequence[Alert], now: int) -> list[Alert]:
        return findings.store(session, alerts, now, self._repeat_us) if alerts else []

    def owed_spans(
        self, rules: Collection[str], now_us: int, most: int = 100
    ) -> Sequence[tuple[str, OwedSpan, int]]:
        """Return spans that wait; see :meth:`AlertBook.owed_spans`."""
        with self.database.read() as session:
            return owed.due(session, rules, most, now_us)

    def settle_owed(self, key: str, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Store what was found in an owed span and forget it; see :meth:`AlertBook.settle_owed`."""
        with self.database.write() as session:
            owed.forget(session, key)
            return self._store(session, alerts, self._clock())

    def fail_owed(self, key: str, reason: str, due_us: int) -> None:
        """Put an owed span off; see :meth:`AlertBook.fail_owed`."""
        with self.database.write() as session:
            owed.postpone(session, key, reason, due_us)

    def due_tasks(
        self,
        plugins: Sequence[tuple[str, bool]],
        most: int,
        lease_s: float,
        only: Collection[str] | None = None,
    ) -> Sequence[Task]:
        """Take due outbox entries; see :meth:`AlertBook.due_tasks`. Costs no lock when nothing is due."""
        now = self._clock()
        with self.database.read() as session:
            if not outbox.something_due(session, now, only):
                return []
        with self.database.write() as session:
            return outbox.take(session, plugins, most, int(lease_s * 1_000_000), now, only)

    def settle_tasks(self, results: Sequence[tuple[Task, TaskResult]]) -> None:
        """Write down what became of tasks; see :meth:`AlertBook.settle_tasks`."""
        with self.database.write() as session:
            for task, result in results:
                outbox.settle(session, task, result, self._clock(), self._guard)

    def prune(self, keep: Keep) -> Pruned:
        """Remove a little of what has been kept long enough; see :meth:`AlertBook.prune`."""
        return pruning.step(self.database, keep, self._clock())

    def lease(self, rule: str, start_us: int, now_us: int, lease_s: float) -> Lease | None:
        """Take a rule; see :meth:`Ledger.lease`. Costs no lock while another process has it."""
        with self.database.read() as session:
            if ledger.is_leased(session, rule, now_us):
                return None
        with self.database.write() as session:
            return ledger.lease(session, rule, start_us, now_us, int(lease_s * 1_000_000))

    def release(self, lease: Lease) -> None:
        """Give a rule back; see :meth:`Ledger.release`."""
        with self.database.write() as session:
            ledger.release(session, lease)

    def arrivals_since(self, number: int) -> tuple[int, Sequence[int]]:
        """Return the journal's number and what has changed; see :meth:`Ledger.arrivals_since`."""
        with self.database.read() as session:
            return ledger.arrivals_since(session, number)

    def consumed(self, rule: str, start_us: int, end_us: int) -> Mapping[str, Sequence[Consumed]]:
        """Return what alerts have consumed; see :meth:`Ledger.consumed`."""
        with self.database.read() as session:
            return ledger.consumed(session, rule, start_us, end_us)

    def failed(self, rule: str, now_us: int) -> Sequence[Interval]:
        """Return failed intervals that are due; see :meth:`Ledger.failed`."""
        with self.database.read() as session:
            return ledger.failed(session, rule, now_us)

    def finish(self, lease: Lease, outcome: Outcome) -> Sequence[Alert]:
        """Write what a run leaves; see :meth:`Ledger.finish`."""
        now = self._clock()
        with self.database.write() as session:
            rule = ledger.held(session, lease)
            alerts = self._store(session, outcome.alerts, now)
            memory.remember(session, lease.rule, outcome.state, now)
            memory.note_seen(session, lease.rule, outcome.seen)
            ledger.settle(session, rule, outcome)
            return alerts

    def set_aside(self, lease: Lease, interval: Interval, cursor_us: int | None = None) -> None:
        """Note an interval that did not run; see :meth:`Ledger.set_aside`."""
        with self.database.write() as session:
            ledger.lay_down(session, ledger.held(session, lease), interval, cursor_us)

    def skip_time(self, rule: str, start_us: int, end_us: int, reason: str, now_us: int) -> None:
        """Note that a rule was off; see :meth:`Ledger.skip_time`."""
        with self.database.write() as session:
            ledger.skip_time(session, rule, start_us, end_us, reason, now_us)

    def retry(self, rule: str) -> None:
        """Make failed intervals due; see :meth:`Ledger.retry`."""
        with self.database.write() as session:
            ledger.retry(session, rule, self._clock())

    def intervals(self, rule: str, start_us: int, end_us: int) -> Sequence[Interval]:
        """Return rows of the ledger; see :meth:`Ledger.intervals`."""
        with self.database.read() as session:
            return ledger.intervals(session, rule, start_us, end_us)

    def recall(self, rule: str, keys: Collection[str] | None = None, prefix: str = "") -> Mapping[str, Any]:
        """Return what a rule remembers; see :meth:`Ledger.recall`."""
        with self.database.read() as session:
            return memory.recall(session, rule, keys, prefix)

    def seen(self, rule: str, ids: Collection[str]) -> set[str]:
        """Return events dealt with; see :meth:`Ledger.seen`."""
        with self.database.read() as session:
            return memory.seen(session, rule, ids)

    def listened(self, start_us: int, end_us: int) -> Sequence[int]:
        """Return minutes of listening; see :meth:`Ledger.listened`."""
        with self.database.read() as session:
            return processes.listened(session, start_us, end_us)

    def watermark(self, now_us: int) -> int:
        """Return up to when everything is stored; see :meth:`Ledger.watermark`. Costs no lock while it stays."""
        with self.database.read() as session:
            kept_us, until_us = processes.watermark(session), processes.stored_until(session, now_us)
        if until_us is None or until_us <= kept_us:
            return kept_us
        with self.database.write() as session:
            return processes.raise_watermark(session, until_us)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()


def _note_arrivals(session: Session, arrivals: Mapping[int, int]) -> None:
    """Give the minutes that events arrived for the next number of the journal (DESIGN.md section 5)."""
    number = next_number(session, "journal")
    rows = [{"minute": minute, "number": number} for minute in arrivals]
    upsert(session, ArrivalRow, rows, replace=["number"])
