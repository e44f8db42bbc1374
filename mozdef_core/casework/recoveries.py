"""The end of a silence: its alert is marked recovered, told of once, and closed if nobody has acknowledged it."""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session

from mozdef_core.alert import Moment, Occasion, Status
from mozdef_core.casework import audit, outbox, triage
from mozdef_core.casework.models import AlertRow, SpanRow
from mozdef_core.casework.transitions import Step
from mozdef_core.event import isoformat

RECOVERED_AT: Final = "recovered_at"


def mark(session: Session, row: AlertRow, recovered_us: int, actor: audit.Actor, now_us: int) -> None:
    """Note when events came back; the silence was from the alert's first moment to then.

    The row is locked and has not recovered before. Of a staged alert nothing is audited.
    """
    row.recovered_us = recovered_us
    row.details = {**row.details, RECOVERED_AT: isoformat(recovered_us)}
    row.rule_details = sorted({*row.rule_details, RECOVERED_AT})
    end = max(Moment(row.first_us, row.first_id), Moment(recovered_us, str(recovered_us)))
    row.last_us, row.last_id = end
    span = session.get(SpanRow, row.id)
    if span is not None:
        span.last_us, span.last_id = end
    unacknowledged = row.status != Status.CLOSED and row.acknowledged_us is None
    if row.staged:
        if unacknowledged:
            row.status, row.verdict = Status.CLOSED.value, "benign"
            if span is not None:
                span.closed_us = now_us
        return
    outbox.withdraw_extended(session, row.id)
    outbox.add(session, row, Occasion.RECOVERED, now_us)
    recovered = audit.Change("recovered", "alert", row.id, RECOVERED_AT, after=row.details[RECOVERED_AT])
    audit.append(session, actor, recovered, now_us)
    if unacknowledged:
        triage.set_status(session, row.id, Step(Status.CLOSED, verdict="benign"), actor, now_us)
