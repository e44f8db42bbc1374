"""Reading alerts: the list with its filters, and one alert with its comments and history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Select, or_, select, tuple_
from sqlalchemy.orm import Session

from mozdef_core.alert import Alert, Status
from mozdef_core.casework import audit, records
from mozdef_core.casework.models import AlertRow, CommentRow, TagRow
from mozdef_core.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts; None and empty mean any.

    :param waiting: only what waits for somebody: new ones, and acknowledged ones extended since.
    :param text: stands in the summary, in upper or lower case.
    :param since_us: created at this time or later, microseconds since 1970; ``until_us`` is exclusive.
    :param staged: those of rules that are being tried out, instead of those that somebody is to see.
    :param after: cursor of the page before.
    """

    status: Sequence[Status] = ()
    waiting: bool = False
    severity: Sequence[str] = ()
    rule: str | None = None
    category: str | None = None
    tag: str | None = None
    assignee: str | None = None
    text: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    staged: bool = False
    size: int = 50
    after: str | None = None


class Line(NamedTuple):
    """An alert in a list, without its events; ``news`` is how many events came since it was acknowledged."""

    alert: Alert
    news: int


class Page(NamedTuple):
    """Some alerts, newest first, and the cursor for the next ones."""

    lines: Sequence[Line]
    after: str | None


class Comment(NamedTuple):
    """What somebody wrote about an alert."""

    id: int
    author: str
    at_us: int
    text: str
    edited_us: int | None


class Sheet(NamedTuple):
    """One alert with all that is known about it; ``history`` is its part of the audit trail, oldest first."""

    alert: Alert
    original_severity: str
    verdict_reason: str | None
    news: int
    links: Sequence[str]
    comments: Sequence[Comment]
    history: Sequence[audit.Entry]


def search(session: Session, wanted: Filter) -> Page:
    """Return the alerts asked for, newest first.

    :raises ValueError: the cursor is not one.
    """
    query = _matching(wanted).order_by(AlertRow.created_us.desc(), AlertRow.id.desc())
    if wanted.after is not None:
        created, _, alert_id = wanted.after.partition(".")
        query = query.where(tuple_(AlertRow.created_us, AlertRow.id) < tuple_(int(created), alert_id))
    rows = session.scalars(query.limit(wanted.size + 1)).all()
    page = rows[: wanted.size]
    after = f"{page[-1].created_us}.{page[-1].id}" if len(rows) > len(page) else None
    return Page([Line(records.value(row), row.news) for row in page], after)


def _matching(wanted: Filter) -> Select[AlertRow]:
    query = select(AlertRow).where(AlertRow.staged == wanted.staged)
    if wanted.status:
        query = query.where(AlertRow.status.in_([status.value for status in wanted.status]))
    if wanted.waiting:
        extended = (AlertRow.status == Status.ACKNOWLEDGED.value) & (AlertRow.news > 0)
        query = query.where(or_(AlertRow.status == Status.MANUAL.value, extended))
    if wanted.severity:
        query = query.where(AlertRow.severity.in_(wanted.severity))
    for column, value in (
        (AlertRow.rule, wanted.rule),
        (AlertRow.category, wanted.category),
        (AlertRow.assignee, wanted.assignee),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.tag is not None:
        query = query.where(AlertRow.id.in_(select(TagRow.alert_id).where(TagRow.tag == wanted.tag)))
    if wanted.text:
        query = query.where(AlertRow.summary.icontains(wanted.text, autoescape=True))
    if wanted.since_us is not None:
        query = query.where(AlertRow.created_us >= wanted.since_us)
    if wanted.until_us is not None:
        query = query.where(AlertRow.created_us < wanted.until_us)
    return query


def show(session: Session, alert_id: str) -> Sheet:
    """Return one alert with its samples, comments and history.

    :raises NotFoundError: there is none of this id.
    """
    row = session.get(AlertRow, alert_id)
    if row is None:
        raise NotFoundError(f"there is no alert {alert_id!r}")
    written = select(CommentRow).where(CommentRow.alert_id == alert_id).order_by(CommentRow.id)
    comments = [
        Comment(line.id, line.author, line.at_us, line.text, line.edited_us)
        for line in session.scalars(written)
    ]
    return Sheet(
        alert=records.read(session, [alert_id])[0],
        original_severity=row.original_severity,
        verdict_reason=row.verdict_reason,
        news=row.news,
        links=tuple(row.links),
        comments=comments,
        history=audit.entries(session, "alert", alert_id),
    )
