"""What the processes say about themselves: counters and a heartbeat, written every two seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mozdef_core.casework.database import upsert
from mozdef_core.casework.models import LivenessRow, ProcessRow

FORGOTTEN_S: Final = 3_600
"""A process that has been silent for so long is no longer shown."""


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
    session.execute(delete(ProcessRow).where(ProcessRow.heartbeat_us < at_us - FORGOTTEN_S * 1_000_000))


def reports(session: Session) -> Sequence[Report]:
    """Return what every process last said, the most recent first."""
    rows = session.scalars(select(ProcessRow).order_by(ProcessRow.heartbeat_us.desc()))
    return [Report(row.role, row.process, row.heartbeat_us, row.counters) for row in rows]
