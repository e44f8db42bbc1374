"""The ledger: which process may run a rule, and over which intervals it has run (detections.md A3.9).

What a rule writes is written under its row, which is locked first: by that two processes that believe to hold the
same rule are put in order, and the one with the older fence writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from mozdef_core.alert import Consumed, Moment
from mozdef_core.casework.database import next_number, read_number, upsert
from mozdef_core.casework.ledger_models import IntervalRow, RuleRow
from mozdef_core.casework.models import ArrivalRow, SpanRow
from mozdef_core.errors import LeaseLostError
from mozdef_core.ports import Interval, Lease, Outcome, RunState
from mozdef_core.ports.ledger import lay

_EXCEPTED: Final = "excepted:"
_MISSED: Final = "it had not been run when the rule was switched off"


def is_leased(session: Session, rule: str, now_us: int) -> bool:
    """Return whether a process has the rule; a look that holds no lock."""
    held = select(RuleRow.rule).where(RuleRow.rule == rule, RuleRow.leased_until_us > now_us)
    return session.execute(held).first() is not None


def lease(session: Session, rule: str, start_us: int, now_us: int, lease_us: int) -> Lease | None:
    """Take a rule; see :meth:`mozdef_core.ports.Ledger.lease`."""
    row = _row(session, rule, start_us, start_us, now_us)
    if row.leased_until_us > now_us:
        return None
    row.fence += 1
    row.leased_until_us = now_us + lease_us
    row.touched_us = now_us
    session.flush()
    return Lease(rule, row.fence, row.since_us, row.cursor_us, row.journal, row.runs)


def _row(session: Session, rule: str, since_us: int, cursor_us: int, now_us: int) -> RuleRow:
    """Return the row of a rule under its lock, made if there is none.

    A new one begins with the journal as it is: what has arrived until now is in the store when the rule looks first.
    """
    row = session.get(RuleRow, rule, with_for_update=True)
    if row is not None:
        return row
    fresh = {"rule": rule, "fence": 0, "leased_until_us": 0, "since_us": since_us, "cursor_us": cursor_us}
    fresh |= {"journal": read_number(session, "journal"), "runs": 0, "touched_us": now_us}
    upsert(session, RuleRow, [fresh])
    return session.get_one(RuleRow, rule, with_for_update=True)


def release(session: Session, lease: Lease) -> None:
    """Give a rule back, unless it was lost already."""
    mine = (RuleRow.rule == lease.rule, RuleRow.fence == lease.fence)
    session.execute(update(RuleRow).where(*mine).values(leased_until_us=0))


def held(session: Session, lease: Lease) -> RuleRow:
    """Return the row of a rule under its lock.

    :raises LeaseLostError: another process has taken the rule.
    """
    row = session.get(RuleRow, lease.rule, with_for_update=True)
    if row is None or row.fence != lease.fence:
        raise LeaseLostError(f"{lease.rule}: another process runs this rule now")
    return row


def settle(session: Session, row: RuleRow, outcome: Outcome) -> None:
    """Write the interval that was run, and where the rule goes on."""
    lay_down(session, row, outcome.interval, outcome.cursor_us)
    row.journal = max(row.journal, outcome.journal or 0)
    row.runs += 1
    for name in sorted(outcome.excepted):
        if outcome.excepted[name]:
            next_number(session, _EXCEPTED + name, outcome.excepted[name])
    session.flush()


def excepted(session: Session, name: str) -> int:
    """Return how many events an exception has removed from rules until now."""
    return read_number(session, _EXCEPTED + name)


def lay_down(session: Session, row: RuleRow, interval: Interval, cursor_us: int | None) -> None:
    """Put an interval in the place of what it covers; join it with its neighbours; the cursor never goes back."""
    mine = IntervalRow.rule == row.rule
    touches = IntervalRow.start_us <= interval.end_us, IntervalRow.end_us >= interval.start_us
    before = _read(session, mine, *touches)
    after = lay(interval, before)
    gone = [each.start_us for each in before if each not in after]
    new = [_columns(each) for each in after if each not in before]
    session.execute(
        delete(IntervalRow)
        .where(mine, IntervalRow.start_us.in_(gone))
        .execution_options(synchronize_session=False)
    )
    upsert(session, IntervalRow, new)
    row.cursor_us = max(row.cursor_us, cursor_us or 0)


def _read(session: Session, *conditions: ColumnElement[bool]) -> list[Interval]:
    """Return rows in order. Not as objects of the session, which would not notice that they are replaced."""
    query = select(IntervalRow.__table__).where(*conditions).order_by(IntervalRow.start_us)
    return [Interval(**{**row, "state": RunState(row["state"])}) for row in session.execute(query).mappings()]


def _columns(interval: Interval) -> dict[str, object]:
    names = (column.name for column in IntervalRow.__table__.columns)
    return {name: getattr(interval, name) for name in names} | {"state": interval.state.value}


def skip_time(session: Session, rule: str, start_us: int, end_us: int, reason: str, now_us: int) -> None:
    """Note that a rule was off; see :meth:`mozdef_core.ports.Ledger.skip_time`."""
    row = _row(session, rule, end_us, start_us, now_us)
    row.touched_us = now_us
    if row.cursor_us < start_us:
        missed = Interval(
            rule, row.cursor_us, start_us, RunState.FAILED, now_us, due_us=now_us, reason=_MISSED
        )
        lay_down(session, row, missed, start_us)
    begin_us = max(start_us, row.cursor_us)
    if begin_us < end_us:
        skipped = Interval(rule, begin_us, end_us, RunState.SKIPPED, now_us, reason=reason)
        lay_down(session, row, skipped, end_us)
    session.flush()


def retry(session: Session, rule: str, now_us: int) -> None:
    """Make every failed interval of a rule due."""
    failures = (IntervalRow.rule == rule, IntervalRow.state == RunState.FAILED.value)
    session.execute(update(IntervalRow).where(*failures).values(due_us=now_us))


def failed(session: Session, rule: str, now_us: int) -> list[Interval]:
    """Return the failed intervals of a rule that are due, oldest first."""
    failures = (IntervalRow.rule == rule, IntervalRow.state == RunState.FAILED.value)
    return _read(session, *failures, IntervalRow.due_us <= now_us)


def intervals(session: Session, rule: str, start_us: int, end_us: int) -> list[Interval]:
    """Return the rows of a rule that touch a span, oldest first."""
    return _read(
        session, IntervalRow.rule == rule, IntervalRow.start_us < end_us, IntervalRow.end_us > start_us
    )


def arrivals_since(session: Session, number: int) -> tuple[int, list[int]]:
    """Return the journal's number, and the minutes with a higher one than given.

    The number is read first: what arrives in between has a higher one, and is found again the next time.
    """
    present = read_number(session, "journal")
    changed = session.scalars(select(ArrivalRow.minute).where(ArrivalRow.number > number)).all()
    return present, sorted(changed)


def consumed(session: Session, rule: str, start_us: int, end_us: int) -> Mapping[str, Sequence[Consumed]]:
    """Return by group value what alerts of a rule have consumed that touches a span, in order of first event."""
    spans = session.scalars(
        select(SpanRow).where(SpanRow.rule == rule, SpanRow.last_us >= start_us, SpanRow.first_us < end_us)
    ).all()
    found: dict[str, list[Consumed]] = {}
    for row in sorted(spans, key=lambda row: (row.first_us, row.first_id, row.last_us, row.last_id)):
        first, last = Moment(row.first_us, row.first_id), Moment(row.last_us, row.last_id)
        found.setdefault(row.group_value, []).append(Consumed(row.alert_id, first, last, row.closed_us))
    return found
