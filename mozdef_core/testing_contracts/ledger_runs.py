"""What the contract of the ledger is tried with: intervals, and a rule that is taken and run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from mozdef_core.ports import AlertBook, Interval, Keep, Lease, Outcome, RunState
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock

DAY_S: Final = 86_400
TEN_DAYS: Final = Keep(timedelta(days=10), None, None, 1 << 40)
FIRST_MINUTE: Final = START_US // MINUTE
RAN, FAILED, SKIPPED = RunState.RAN, RunState.FAILED, RunState.SKIPPED


def interval(start: float, end: float, state: RunState = RAN, **fields: Any) -> Interval:
    """Return an interval of the rule ``rule``, in seconds from the start."""
    fields = {"rule": "rule", "at_us": START_US, **fields}
    return Interval(
        start_us=START_US + int(start * SECOND), end_us=START_US + int(end * SECOND), state=state, **fields
    )


def seconds(rows: Sequence[Interval]) -> list[tuple[float, float, RunState]]:
    """Return start, end and state of rows, in seconds from the start."""
    return [((row.start_us - START_US) / SECOND, (row.end_us - START_US) / SECOND, row.state) for row in rows]


class RunsRules:
    """Takes and runs the rule named ``rule``."""

    @staticmethod
    def take(book: AlertBook, clock: Clock, rule: str = "rule", lease_s: float = 60) -> Lease:
        """Take a rule that is free; one that is new begins at the start."""
        lease = book.lease(rule, START_US, clock.us, lease_s)
        assert lease is not None
        return lease

    def run(self, book: AlertBook, clock: Clock, *intervals: Interval, **fields: Any) -> None:
        """Run intervals of ``rule`` one after the other, each to its end."""
        for each in intervals:
            lease = self.take(book, clock)
            book.finish(lease, Outcome(each, cursor_us=each.end_us, **fields))
            book.release(lease)

    @staticmethod
    def rows(book: AlertBook, rule: str = "rule") -> Sequence[Interval]:
        """Return all rows of a rule."""
        return book.intervals(rule, 0, 1 << 62)
