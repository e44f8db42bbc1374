"""What people do to an alert: status, assignee and comments, each audited with before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from mozdef_core.alert import Alert, Occasion, Status
from mozdef_core.casework import audit, outbox, records
from mozdef_core.casework.models import AlertRow, CommentRow, SpanRow
from mozdef_core.casework.transitions import Step, check
from mozdef_core.errors import NotFoundError
from mozdef_core.event import now_us


def set_status(
    session: Session, alert_id: str, step: Step, actor: audit.Actor, at_us: int | None = None
) -> Alert:
    """Change the status of an alert as investigate.md 2.2 allows, and tell the actions where it is an occasion.

    Acknowledging an acknowledged alert that was extended since takes note of the new events; the status stays.

    :param at_us: the present time, for tests.
    :raises NotFoundError: there is no such alert.
    :raises TransitionError: the table does not allow it; it names the targets that it does.
    """
    now = now_us() if at_us is None else at_us
    row = _row(session, alert_id)
    start = Status(row.status)
    if start is step.to is Status.ACKNOWLEDGED and row.news:
        _change(session, row, actor, "news", 0, now)
        return records.value(row)
    linked = bool(step.case) or (bool(row.links) and not step.unlink)
    verdict = step.verdict or row.verdict
    reason = row.verdict_reason if step.verdict is None else step.verdict_reason
    check(start, step, kind=actor.kind, verdict=verdict, verdict_reason=reason, linked=linked)
    if step.comment.strip():
        comment(session, alert_id, step.comment, actor, now)
    effects = _effects(row, step, actor, now)
    for name, after in effects.items():
        _change(session, row, actor, name, after, now)
    _change(session, row, actor, "status", step.to.value, now)
    _follow(session, row, start, step, effects, now)
    session.flush()
    return records.value(row)


def _effects(row: AlertRow, step: Step, actor: audit.Actor, now: int) -> dict[str, Any]:
    """Return the fields that the step changes beside the status."""
    start, effects = row.status, dict[str, Any]()
    if step.verdict is not None:
        effects |= {"verdict": step.verdict, "verdict_reason": step.verdict_reason}
    if step.case and step.case not in row.links:
        effects["links"] = [*row.links, step.case]
    elif step.unlink:
        effects["links"] = []
    if step.to is Status.IN_PROGRESS and row.assignee is None and actor.kind == "user":
        effects["assignee"] = actor.name
    if step.to is Status.MANUAL and start == Status.IN_PROGRESS and step.unassign:
        effects["assignee"] = None
    if (step.to is Status.ACKNOWLEDGED and start != Status.ESCALATED) or _unacknowledged(row, step):
        effects |= {"acknowledged_us": now, "acknowledged_by": actor.name}
    if step.to is Status.MANUAL and start == Status.ACKNOWLEDGED:
        effects |= {"acknowledged_us": None, "acknowledged_by": None}
    if step.to is Status.MANUAL and start == Status.CLOSED:
        effects |= {"verdict": None, "verdict_reason": None}
    if row.news:
        effects["news"] = 0
    return effects


def _unacknowledged(row: AlertRow, step: Step) -> bool:
    """Return whether the step is an escalation that acknowledges, since nobody has yet."""
    return step.to is Status.ESCALATED and row.acknowledged_us is None


def _follow(
    session: Session, row: AlertRow, start: Status, step: Step, effects: Mapping[str, Any], now: int
) -> None:
    """Tell the actions, and stop or resume the follow-up grouping."""
    span = session.get(SpanRow, row.id)
    if step.to is Status.CLOSED:
        if span is not None:
            span.closed_us = now
        outbox.withdraw_extended(session, row.id)
        outbox.add(session, row, Occasion.CLOSED, now)
    elif start is Status.CLOSED and span is not None:
        span.closed_us = None
    elif effects.get("acknowledged_us") is not None:
        outbox.add(session, row, Occasion.ACKNOWLEDGED, now)


def assign(
    session: Session, alert_id: str, assignee: str | None, actor: audit.Actor, at_us: int | None = None
) -> Alert:
    """Give an alert to somebody, or to nobody.

    :raises NotFoundError: there is no such alert.
    """
    row = _row(session, alert_id)
    _change(session, row, actor, "assignee", assignee, now_us() if at_us is None else at_us)
    return records.value(row)


def comment(session: Session, alert_id: str, text: str, actor: audit.Actor, at_us: int | None = None) -> int:
    """Add a comment to an alert and return its number.

    :raises NotFoundError: there is no such alert.
    :raises ValueError: the text is empty.
    """
    if not text.strip():
        raise ValueError("a comment needs a text")
    now = now_us() if at_us is None else at_us
    _row(session, alert_id)
    row = CommentRow(alert_id=alert_id, author=actor.name, at_us=now, text=text.strip())
    session.add(row)
    session.flush()
    audit.append(
        session, actor, audit.Change("commented", "alert", alert_id, "comments", None, row.text), now
    )
    return row.id


def _row(session: Session, alert_id: str) -> AlertRow:
    row = session.get(AlertRow, alert_id, with_for_update=True)
    if row is None:
        raise NotFoundError(f"there is no alert {alert_id!r}")
    return row


def _change(session: Session, row: AlertRow, actor: audit.Actor, name: str, after: Any, now: int) -> None:
    before = getattr(row, name)
    if before != after:
        setattr(row, name, after)
        audit.append(session, actor, audit.Change("changed", "alert", row.id, name, before, after), now)
