"""How an alert becomes rows and how rows become the alert again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.alert import COUNT_LIMIT, SUMMARY_LIMIT, Alert, Moment, Severity, Status
from mozdef_core.casework.database import from_json, to_json, upsert
from mozdef_core.casework.models import AlertRow, SampleRow, SpanRow, TagRow
from mozdef_core.event import Event

_MICROSECOND: Final = timedelta(microseconds=1)


def insert(session: Session, alert: Alert, alert_id: str, created_us: int) -> AlertRow:
    """Write a new alert with its samples, tags and span; the caller has made sure that there is none of this id."""
    group_field, group_value = alert.group or (None, None)
    row = AlertRow(
        id=alert_id,
        rule=alert.rule,
        rule_version=alert.rule_version,
        group_field=group_field,
        group_value=group_value,
        created_us=created_us,
        first_us=alert.first.us,
        first_id=alert.first.id,
        last_us=alert.last.us,
        last_id=alert.last.id,
        group_for_us=alert.group_for // _MICROSECOND,
        group_max_us=alert.group_max // _MICROSECOND,
        severity=alert.severity.value,
        original_severity=alert.severity.value,
        category=alert.category,
        summary=alert.summary[:SUMMARY_LIMIT],
        tags=list(alert.tags),
        attack=list(alert.attack),
        count=min(alert.count, COUNT_LIMIT),
        news=0,
        details=dict(alert.details),
        rule_details=sorted(alert.details),
        url=alert.url,
        channel=alert.channel,
        notify=alert.notify,
        status=Status.MANUAL.value,
        errors=list(alert.errors),
        links=[],
        occasions=0,
        staged=alert.staged,
    )
    session.add(row)
    session.flush()
    session.add(
        SpanRow(
            alert_id=alert_id,
            rule=alert.rule_key,
            rule_version=alert.rule_version,
            group_value=group_value or "",
            first_us=alert.first.us,
            first_id=alert.first.id,
            last_us=alert.last.us,
            last_id=alert.last.id,
        )
    )
    session.flush()
    upsert(session, TagRow, [{"tag": tag, "alert_id": alert_id} for tag in dict.fromkeys(alert.tags)])
    add_samples(session, alert_id, alert.events[: alert.samples])
    return row


def add_samples(session: Session, alert_id: str, events: Sequence[Event]) -> None:
    """Keep events with an alert; those that are kept already stay as they are."""
    rows = [
        {
            "alert_id": alert_id,
            "us": event.detection_us,
            "event_id": event.id,
            "body": to_json(event.body).encode(),
        }
        for event in events
    ]
    upsert(session, SampleRow, rows)


def read(session: Session, alert_ids: Sequence[str]) -> list[Alert]:
    """Return alerts with their samples, in the order of the ids; an id that is not there is left out."""
    rows = {row.id: row for row in session.scalars(select(AlertRow).where(AlertRow.id.in_(alert_ids)))}
    samples: dict[str, list[Event]] = defaultdict(list)
    query = (
        select(SampleRow.alert_id, SampleRow.event_id, SampleRow.body)
        .where(SampleRow.alert_id.in_(alert_ids))
        .order_by(SampleRow.alert_id, SampleRow.us, SampleRow.event_id)
    )
    for alert_id, event_id, body in session.execute(query):
        samples[alert_id].append(Event(event_id, from_json(body)))
    return [value(rows[alert_id], samples[alert_id]) for alert_id in alert_ids if alert_id in rows]


def value(row: AlertRow, samples: Sequence[Event] = ()) -> Alert:
    """Return the alert that a row stands for."""
    group = (row.group_field, row.group_value or "") if row.group_field is not None else None
    return Alert(
        rule=row.rule,
        summary=row.summary,
        first=Moment(row.first_us, row.first_id),
        last=Moment(row.last_us, row.last_id),
        rule_version=row.rule_version,
        severity=Severity(row.severity),
        category=row.category,
        tags=tuple(row.tags),
        attack=tuple(row.attack),
        events=tuple(samples),
        count=row.count,
        group=group,
        group_for=timedelta(microseconds=row.group_for_us),
        group_max=timedelta(microseconds=row.group_max_us),
        details=row.details,
        url=row.url,
        channel=row.channel,
        notify=row.notify,
        staged=row.staged,
        recovered_us=row.recovered_us,
        id=row.id,
        created_us=row.created_us,
        status=Status(row.status),
        acknowledged_us=row.acknowledged_us,
        acknowledged_by=row.acknowledged_by,
        assignee=row.assignee,
        verdict=row.verdict,
        errors=tuple(row.errors),
    )
