"""What the processes say about themselves every two seconds: counters, a heartbeat, and which parts are up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from mozdef_core.casework.database import read_number, removed, upsert
from mozdef_core.casework.models import CounterRow, LivenessRow, ProcessRow
from mozdef_core.ports.listening import LIVE_S, listens, parts_of, stored_until_us

FORGOTTEN_S: Final = 3_600
"""A report of a process that has been silent for so long is removed: nobody can act on it any more."""

_MINUTE_US: Final = 60_000_000
_WATERMARK: Final = "watermark"


class Report(NamedTuple):
    """What one process last said; ``heartbeat_us`` in microseconds since 1970."""

    role: str
    process: str
    heartbeat_us: int
    counters: Mapping[str, Any]


def report(session: Session, role: str, process: str, counters: Mapping[str, Any], at_us: int) -> None:
    """Write what a process counts, and which parts of the way in it vouches for in this minute."""
    row = {"role": role, "process": process, "heartbeat_us": at_us, "counters": dict(counters)}
    upsert(session, ProcessRow, [row], replace=["heartbeat_us", "counters"])
    minute = at_us // _MINUTE_US
    upsert(session, LivenessRow, [{"minute": minute, "part": part} for part in parts_of(role, counters)])


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


def listened(session: Session, start_us: int, end_us: int) -> list[int]:
    """Return the minutes of a span in which MozDef was listening; see :meth:`mozdef_core.ports.Ledger.listened`."""
    query = (
        select(LivenessRow.minute, LivenessRow.part)
        .where(LivenessRow.minute >= start_us // _MINUTE_US, LivenessRow.minute < -(-end_us // _MINUTE_US))
        .order_by(LivenessRow.minute)
    )
    rows = groupby(session.execute(query), key=lambda row: row.minute)
    return [minute for minute, parts in rows if listens({row.part for row in parts})]


def watermark(session: Session) -> int:
    """Return up to when everything received was stored when somebody looked last; zero if nobody has."""
    return read_number(session, _WATERMARK)


def stored_until(session: Session, now_us: int) -> int | None:
    """Return up to when the live workers say that everything received is stored; None if that cannot be told."""
    live = (ProcessRow.role == "worker", ProcessRow.heartbeat_us > now_us - LIVE_S * 1_000_000)
    until_us = stored_until_us(session.scalars(select(ProcessRow.counters).where(*live)))
    return None if until_us is None else min(until_us, now_us)


def raise_watermark(session: Session, until_us: int) -> int:
    """Raise the watermark, unless another process has raised it further, and return it."""
    upsert(session, CounterRow, [{"name": _WATERMARK, "value": 0}])
    row = session.get_one(CounterRow, _WATERMARK, with_for_update=True)
    row.value = max(row.value, until_us)
    return row.value


def _forgotten_us(now_us: int) -> int:
    return now_us - FORGOTTEN_S * 1_000_000
