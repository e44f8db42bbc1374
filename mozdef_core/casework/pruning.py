"""Pruning: what the casework database need not know any more, removed a little at a time.

What goes when is decided by :class:`mozdef_core.ports.Keep`, with the reasons. What never goes: alerts with their
samples, comments and history, the audit trail, tokens, and the newest state documents. The outbox keeps itself
small: an entry goes in the transaction that settles the last of its tasks, and what happened stands in the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from mozdef_core.casework import dead_letters, forgetting, processes
from mozdef_core.casework.database import Database, removed
from mozdef_core.casework.models import ArrivalRow, LivenessRow, SpanRow
from mozdef_core.ports import PRUNE_STEP, Keep, Pruned

_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE_US: Final = 60_000_000


class _Due(NamedTuple):
    """What may go in one step: the last minute of each kind that has minutes, and ids."""

    arrivals: int | None
    liveness: int | None
    spans: Sequence[str]
    processes: Sequence[tuple[str, str]]
    letters: dead_letters.Due
    ledger: forgetting.Due


def step(database: Database, keep: Keep, now_us: int, most: int = PRUNE_STEP) -> Pruned:
    """Remove at most ``most`` rows of each table in one transaction; nothing is locked where nothing is due.

    The lock comes with the first statement that writes, and each part is silent where it has nothing to remove.

    :raises BookUnavailableError: nothing was removed.
    """
    with database.read() as session:
        due = _find(session, keep, now_us, most)
    with database.write() as session:
        letters, lost = dead_letters.remove(session, due.letters)
        gone = Pruned(
            arrivals=_remove_minutes(session, ArrivalRow.minute, due.arrivals),
            liveness=_remove_minutes(session, LivenessRow.minute, due.liveness),
            spans=_remove_spans(session, due.spans),
            processes=processes.remove(session, due.processes, now_us),
            letters=letters,
            lost=lost,
        )
        return gone.plus(forgetting.remove(session, due.ledger, keep, now_us))


def _find(session: Session, keep: Keep, now_us: int, most: int) -> _Due:
    return _Due(
        _last_minute(session, ArrivalRow.minute, keep.journal, now_us, most),
        _last_minute(session, LivenessRow.minute, keep.journal, now_us, most),
        _closed_spans(session, keep.spans, now_us, most),
        processes.silent(session, now_us, most),
        dead_letters.due(session, keep, now_us, most),
        forgetting.due(session, keep, now_us, most),
    )


def _last_minute(
    session: Session, minute: InstrumentedAttribute[int], kept: timedelta | None, now_us: int, most: int
) -> int | None:
    """Return the last minute that may go in this step, None when there is none."""
    if kept is None:
        return None
    before = (now_us - kept // _MICROSECOND) // _MINUTE_US
    return max(
        session.scalars(select(minute).where(minute < before).order_by(minute).limit(most)), default=None
    )


def _remove_minutes(session: Session, minute: InstrumentedAttribute[int], last: int | None) -> int:
    return 0 if last is None else removed(session, delete(minute.class_).where(minute <= last))


def _closed_spans(session: Session, kept: timedelta | None, now_us: int, most: int) -> Sequence[str]:
    if kept is None:
        return []
    closed = SpanRow.closed_us < now_us - kept // _MICROSECOND
    return session.scalars(
        select(SpanRow.alert_id).where(closed).order_by(SpanRow.closed_us).limit(most)
    ).all()


def _remove_spans(session: Session, alert_ids: Sequence[str]) -> int:
    """Remove the spans of alerts, except of one that has been opened again since they were looked for."""
    chosen = delete(SpanRow).where(SpanRow.alert_id.in_(alert_ids), SpanRow.closed_us.is_not(None))
    return removed(session, chosen) if alert_ids else 0
