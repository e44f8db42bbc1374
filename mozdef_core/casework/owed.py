"""Owed spans: ranges of events that a stream rule could not look at and that are run over the store later."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mozdef_core.casework.models import OwedRow
from mozdef_core.ports import OwedSpan

MERGE_S: Final = 60
"""A span joins the newest one of its rule for so long, or a suspended rule would owe twenty spans a second."""


def add(session: Session, spans: Sequence[OwedSpan], now_us: int) -> None:
    """Note spans. One that joins another makes a range that may hold events the rule has seen; they are consumed."""
    for span in spans:
        newest = session.scalar(
            select(OwedRow)
            .where(OwedRow.rule == span.rule, OwedRow.failures == 0)
            .order_by(OwedRow.id.desc())
            .limit(1)
            .with_for_update()
        )
        if newest is None or span.first < newest.first or newest.due_us < now_us - MERGE_S * 1_000_000:
            values = {"rule": span.rule, "first": span.first, "last": span.last, "reason": span.reason}
            session.add(OwedRow(**values, due_us=now_us, version=1, failures=0))
            session.flush()
        elif span.last > newest.last:
            newest.last = span.last
            newest.version += 1
            session.flush()


def due(session: Session, rules: Collection[str], most: int, now_us: int) -> list[tuple[str, OwedSpan, int]]:
    """Return due spans of these rules, oldest first: a key that holds until the span grows, the span, its failures."""
    query = (
        select(OwedRow)
        .where(OwedRow.rule.in_(rules), OwedRow.due_us <= now_us)
        .order_by(OwedRow.id)
        .limit(most)
    )
    return [
        (f"{row.id}.{row.version}", OwedSpan(row.rule, row.first, row.last, row.reason), row.failures)
        for row in session.scalars(query)
    ]


def forget(session: Session, key: str) -> None:
    """Drop a span that was run; one that has grown since its key was given out stays."""
    number, version = key.split(".")
    session.execute(delete(OwedRow).where(OwedRow.id == int(number), OwedRow.version == int(version)))


def postpone(session: Session, key: str, reason: str, due_us: int) -> None:
    """Note that running a span failed; it is not due before ``due_us`` and grows no more."""
    row = session.get(OwedRow, int(key.split(".")[0]), with_for_update=True)
    if row is not None:
        row.failures += 1
        row.reason = reason
        row.due_us = due_us
