"""What the processes say about themselves: counters and a heartbeat, written every two seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from mozdef_core.casework.database import removed, upsert
from mozdef_core.casework.models import LivenessRow, ProcessRow

FORGOTTEN_S: Final = 3_600
"""A report of a process that has been silent for so long is removed: nobody can act on it any more."""


class Report(NamedTuple):
    """What one process last said; ``heartbeat_us`` in microseconds since 1970."""

    role: str
    process: str
    heartbeat_us: int
    counters: Mapping[str, Any]


def report(session: Session, role: str, process: str, counters: Mapping[str, Any], at_us: int) -> None:
    """Write what a process counts, and that its part of the way in was up in this minute."""
    row = {"role": role, "process": process, "heartbeat_us": at_us, "counters": dict(counters)}
    upsert(session, ProcessRow, [row], replace=["heartbeat_us", "counters"])
    upsert(session, LivenessRow, [{"minute": at_us // 60_000_000, "part": role}])


def reports(session: Session) -> Sequence[Report]:
    """Return what every process last said, the most recent first."""
    rows = session.scalars(select(ProcessRow).order_by(ProcessRow.heartbeat_us.desc()))
    return [Report(row.role, row.process, row.heartbeat_us, row.counters) for row in rows]


def silent(session: Session, now_us: int, most: int) -> Sequence[tuple[str, str]]:
    """Return role and process of those that have been silent for so long that they may be forgotten."""
    query = select(ProcessRow.role, ProcessRow.process).where(ProcessRow.heartbeat_us < _forgotten_us(now_us))
    return [(row.role, row.process) for row in session.execute(query.limit(most))]


def remove(session: Session, chosen: Sequence[tuple[str, str]], now_us: int) -> int:
    """Remove reports, except of a process that has spoken since; return how many went."""
    if not chosen:
        return 0
    named = tuple_(ProcessRow.role, ProcessRow.process).in_(chosen)
    return removed(session, delete(ProcessRow).where(named, ProcessRow.heartbeat_us < _forgotten_us(now_us)))


def _forgotten_us(now_us: int) -> int:
    return now_us - FORGOTTEN_S * 1_000_000
