"""Both alert books told the same: whatever processes do to a rule, they leave the same ledger."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import migrate
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.errors import AlertClosedError, LeaseLostError
from mozdef_core.ports import AlertBook, BatchRecord, Keep, Lease, Outcome, RunState
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US, Clock, event_at, finding
from mozdef_core.testing_contracts.book_findings import silence
from mozdef_core.testing_contracts.ledger_runs import interval

TEMPLATE = Path(tempfile.mkdtemp(prefix="casework-")) / "empty.sqlite"
Step = tuple[str, int, int]
DEEDS = (
    "lease",
    "late lease",
    "release",
    "finish",
    "old finish",
    "silence",
    "over",
    "fail",
    "skip",
    "arrive",
)
STATES = (RunState.RAN, RunState.RAN, RunState.RERUN, RunState.LATE)
steps = st.lists(
    st.tuples(st.sampled_from((*DEEDS, "retry", "prune")), st.integers(0, 20), st.integers(0, 20)),
    max_size=25,
)


class Told:
    """A book, its clock, and the leases that were taken on it."""

    def __init__(self, book: AlertBook, clock: Clock) -> None:
        self.book, self.clock, self.leases = book, clock, list[Lease]()

    def do(self, deed: str, first: int, second: int) -> Any:
        """Do one thing, and return what the book says to it."""
        self.clock.pass_by(7)
        start, end = sorted((10 * first, 10 * second))
        try:
            return self._do(deed, start, end)
        except (LeaseLostError, AlertClosedError) as error:
            return type(error)

    def _do(self, deed: str, start: int, end: int) -> Any:
        if deed in ("lease", "late lease"):
            self.clock.pass_by(60 if deed == "late lease" else 0)
            lease = self.book.lease("rule", START_US, self.clock.us, 30)
            self.leases.extend([lease] if lease else [])
            return lease
        if deed == "skip":
            return self.book.skip_time("rule", at(start), at(end), "off", self.clock.us)
        if deed == "arrive":
            return self.book.record(BatchRecord(arrivals={start: 1, end: 1}))
        if deed == "retry":
            return self.book.retry("rule")
        if deed == "prune":
            return self.book.prune(Keep(timedelta(seconds=1)))
        if not self.leases:
            return None
        lease = self.leases[0] if deed == "old finish" else self.leases[-1]
        if deed == "release":
            return self.book.release(lease)
        if deed == "fail":
            failed = interval(start, end, RunState.FAILED, due_us=self.clock.us + start, failures=3)
            return self.book.set_aside(lease, failed, at(end))
        return self.book.finish(lease, self._outcome(deed, start, end))

    def _outcome(self, deed: str, start: int, end: int) -> Outcome:
        alerts = [finding(event_at(start), event_at(end + 1), group_s=30, staged=start == 50)]
        if deed in ("silence", "over"):
            alerts = [silence(0, start + 1, recovered=end if deed == "over" else None)]
        ran = interval(start, end, STATES[start % 4], events=end, alerts=1, took_s=1.0)
        state = {f"k{start}": end or None, f"k{end}": [start]}
        return Outcome(ran, alerts, at(end), start, state, {f"e{start}": at(start)}, {"x": start})


def at(seconds: int) -> int:
    return START_US + seconds * SECOND


def kept(book: AlertBook) -> Sequence[Any]:
    """Return all that can be asked of a ledger."""
    rows = book.intervals("rule", 0, 1 << 62)
    spans = [book.consumed(key, 0, 1 << 62) for key in ("rule", "staged:rule", "deadman")]
    seen = book.seen("rule", [f"e{10 * number}" for number in range(21)])
    failed = book.failed("rule", START_US + 100 * SECOND)
    return [rows, spans, seen, failed, book.recall("rule"), book.arrivals_since(1)]


@given(steps)
@settings(max_examples=40, deadline=None)
def test_both_books_keep_the_same_ledger_and_never_two_rows_for_one_moment(told: list[Step]) -> None:
    if not TEMPLATE.exists():
        migrate(f"sqlite:///{TEMPLATE}")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(TEMPLATE, Path(folder) / "casework.sqlite")
        clocks = Clock(), Clock()
        sql = SqlBook(f"sqlite:///{folder}/casework.sqlite", clock=clocks[0])
        books = Told(sql, clocks[0]), Told(MemoryBook(clock=clocks[1]), clocks[1])
        for step in [("lease", 0, 0), *told]:
            answers = [book.do(*step) for book in books]
            assert answers[0] == answers[1], step
        assert kept(books[0].book) == kept(books[1].book)
        rows = sql.intervals("rule", 0, 1 << 62)
        for left, right in pairwise(rows):
            assert left.end_us <= right.start_us
        sql.close()
