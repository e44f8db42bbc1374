"""What the ledger need not know any more: old rows, events seen long ago, and all of a rule that is gone.

What a rule remembers is its own to forget, for as long as somebody runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, exists, select, tuple_
from sqlalchemy.orm import Session

from mozdef_core.casework.database import removed
from mozdef_core.casework.ledger_models import IntervalRow, RememberedRow, RuleRow, SeenRow
from mozdef_core.ports import Keep, Pruned

_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE_US: Final = 60_000_000


class Due(NamedTuple):
    """Keys of rows that may go, with what must still be true of them when they go."""

    intervals: Sequence[tuple[str, int]]
    seen: Sequence[tuple[str, str]]
    remembered: Sequence[tuple[str, str]]
    rules: Sequence[str]


def due(session: Session, keep: Keep, now_us: int, most: int) -> Due:
    """Return what may go in one step, at most so many rows of each table."""

    def keys(query: Select[str, str] | Select[str, int]) -> list[tuple[str, str | int]]:
        return [(row[0], row[1]) for row in session.execute(query.limit(most))]

    old_seen = SeenRow.minute < (now_us - keep.seen // _MICROSECOND) // _MINUTE_US
    seen = keys(select(SeenRow.rule, SeenRow.event_id).where(old_seen).order_by(SeenRow.minute))
    before_us = _before(keep, now_us)
    old_rows = select(IntervalRow.rule, IntervalRow.start_us).where(IntervalRow.end_us < before_us)
    gone = select(RuleRow.rule).where(RuleRow.touched_us < before_us).order_by(RuleRow.touched_us)
    forgotten = session.scalars(gone.limit(most)).all()
    remembered = select(RememberedRow.rule, RememberedRow.digest).where(RememberedRow.rule.in_(forgotten))
    return Due(
        keys(old_rows.order_by(IntervalRow.end_us)),  # type: ignore[arg-type]
        seen,  # type: ignore[arg-type]
        keys(remembered) if forgotten else [],  # type: ignore[arg-type]
        session.scalars(gone.where(*_empty()).limit(most)).all() if forgotten else [],
    )


def _before(keep: Keep, now_us: int) -> int:
    """Return the time before which rows of the ledger may go; none does where events are kept for ever."""
    return 0 if keep.journal is None else now_us - keep.journal // _MICROSECOND


def _empty() -> list[ColumnElement[bool]]:
    """Return the conditions under which nothing hangs on a rule."""
    return [~exists().where(table.rule == RuleRow.rule) for table in (RememberedRow, IntervalRow, SeenRow)]


def remove(session: Session, chosen: Due, keep: Keep, now_us: int) -> Pruned:
    """Remove what was chosen, except what has been touched since."""
    before_us = _before(keep, now_us)
    gone = select(RuleRow.rule).where(RuleRow.touched_us < before_us)
    intervals = seen = remembered = rules = 0
    if chosen.intervals:
        mine = tuple_(IntervalRow.rule, IntervalRow.start_us).in_(chosen.intervals)
        intervals = removed(session, delete(IntervalRow).where(mine, IntervalRow.end_us < before_us))
    if chosen.seen:
        mine = tuple_(SeenRow.rule, SeenRow.event_id).in_(chosen.seen)
        seen = removed(session, delete(SeenRow).where(mine))
    if chosen.remembered:
        mine = tuple_(RememberedRow.rule, RememberedRow.digest).in_(chosen.remembered)
        remembered = removed(session, delete(RememberedRow).where(mine, RememberedRow.rule.in_(gone)))
    if chosen.rules:
        untouched = (RuleRow.rule.in_(chosen.rules), RuleRow.touched_us < before_us)
        rules = removed(session, delete(RuleRow).where(*untouched, *_empty()))
    return Pruned(intervals=intervals, seen=seen, remembered=remembered, rules=rules)
