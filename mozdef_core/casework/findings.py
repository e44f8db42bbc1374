"""What becomes of a rule's finding: a new alert, more of an open one, or nothing because it is consumed already.

The rules are those of detections.md A3.4, A3.7 and A3.8. Time is detection time throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from sqlalchemy import Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from mozdef_core.alert import COUNT_LIMIT, Alert, Moment, Occasion, Status, weight
from mozdef_core.casework import audit, outbox, records, recoveries
from mozdef_core.casework.models import AlertRow, SampleRow, SpanRow
from mozdef_core.errors import AlertClosedError

DETECTION: Final = audit.Actor("detection", "system")

_MICROSECOND: Final = timedelta(microseconds=1)


def store(session: Session, findings: Sequence[Alert], now_us: int, repeat_us: int) -> list[Alert]:
    """Store findings in the order of their events and return the alerts that were raised, extended or recovered.

    :param repeat_us: how often at most an alert tells the actions that it was extended, or that a silence lasts.
    :raises AlertClosedError: a finding only extends an alert, and that is closed; the transaction is to be given up.
    """
    touched: dict[str, None] = {}
    for finding in sorted(findings, key=lambda finding: (finding.first, finding.last)):
        alert_id = _store(session, finding, now_us, repeat_us)
        if alert_id is not None:
            touched[alert_id] = None
    session.flush()
    return records.read(session, list(touched)) if touched else []


def _store(session: Session, finding: Alert, now_us: int, repeat_us: int) -> str | None:
    if finding.recovered_us is not None:
        return _recover(session, finding, finding.recovered_us, now_us, repeat_us)
    if session.execute(_consuming(finding)).first() is not None:
        return None
    row = _extended(session, finding) if finding.extends else _continued(session, finding)
    if row is not None:
        _extend(session, row, finding, now_us, repeat_us)
        return row.id
    if (known := session.get(AlertRow, finding.minted_id)) is not None:
        fresh = [event for event in finding.events if Moment.of(event) > (known.last_us, known.last_id)]
        if not fresh:
            return None
        rest = replace(finding, first=Moment.of(fresh[0]), events=fresh, count=sum(map(weight, fresh)))
        return _store(session, rest, now_us, repeat_us)
    row = records.insert(session, finding, finding.minted_id, finding.created_us or now_us)
    outbox.add(session, row, Occasion.RAISED, now_us)
    raised = audit.Change("raised", "alert", row.id, after={"rule": row.rule, "severity": row.severity})
    audit.append(session, DETECTION, raised, now_us)
    return row.id


def _extended(session: Session, finding: Alert) -> AlertRow:
    """Return the alert that a finding only adds to."""
    row = session.get(AlertRow, finding.extends, with_for_update=True)
    span = session.get(SpanRow, finding.extends)
    if row is None or span is None or span.closed_us is not None:
        raise AlertClosedError(
            f"the alert {finding.extends} that {finding.rule} extends is not open any more"
        )
    return row


def _recover(session: Session, finding: Alert, recovered_us: int, now_us: int, repeat_us: int) -> str | None:
    """Mark the alert of a silence that is over; one that has begun and ended in one run is raised first."""
    alert_id: str | None = finding.extends or finding.minted_id
    row = session.get(AlertRow, alert_id, with_for_update=True)
    if row is None and not finding.extends:
        alert_id = _store(session, replace(finding, recovered_us=None), now_us, repeat_us)
        row = session.get(AlertRow, alert_id, with_for_update=True) if alert_id is not None else None
    if row is None or row.recovered_us is not None:
        return None
    recoveries.mark(session, row, recovered_us, DETECTION, now_us)
    return row.id


def _consuming(finding: Alert) -> Select[str]:
    """Select the spans that cover the finding, except those closed before its last event was received."""
    query = _spans(finding).where(
        tuple_(SpanRow.last_us, SpanRow.last_id) >= tuple_(*finding.last),
        tuple_(SpanRow.first_us, SpanRow.first_id) <= tuple_(*finding.first),
    )
    if finding.events:
        received_us = max(event.received_us for event in finding.events)
        query = query.where(or_(SpanRow.closed_us.is_(None), SpanRow.closed_us >= received_us))
    return query.limit(1)


def _spans(finding: Alert) -> Select[str]:
    group_value = finding.group[1] if finding.group else ""
    return select(SpanRow.alert_id).where(
        SpanRow.rule == finding.rule_key, SpanRow.group_value == group_value
    )


def _continued(session: Session, finding: Alert) -> AlertRow | None:
    """Return the open alert that the finding overlaps, else the nearest one within ``group_for``, if any."""
    gap_us = finding.group_for // _MICROSECOND
    if gap_us:
        near = (SpanRow.last_us >= finding.first.us - gap_us, SpanRow.first_us <= finding.last.us + gap_us)
    else:
        near = (
            tuple_(SpanRow.last_us, SpanRow.last_id) >= tuple_(*finding.first),
            tuple_(SpanRow.first_us, SpanRow.first_id) <= tuple_(*finding.last),
        )
    query = (
        _spans(finding).where(*near, SpanRow.closed_us.is_(None)).order_by(SpanRow.last_us, SpanRow.last_id)
    )
    best: tuple[int, AlertRow] | None = None
    for alert_id in session.scalars(query).all():
        row = session.get_one(AlertRow, alert_id, with_for_update=True)
        distance_us = _distance_us(row, finding)
        if distance_us is not None and (best is None or distance_us <= best[0]):
            best = (distance_us, row)
    return best[1] if best else None


def _distance_us(row: AlertRow, finding: Alert) -> int | None:
    """Return how far the alert is from the finding: -1 when they overlap, None when they may not join."""
    if row.recovered_us is not None:
        return None
    if (row.first_us, row.first_id) <= finding.last and finding.first <= (row.last_us, row.last_id):
        return -1
    length_us = max(row.last_us, finding.last.us) - min(row.first_us, finding.first.us)
    if length_us > finding.group_max // _MICROSECOND:
        return None
    return max(finding.first.us - row.last_us, row.first_us - finding.last.us)


def _extend(session: Session, row: AlertRow, finding: Alert, now_us: int, repeat_us: int) -> None:
    first, last = Moment(row.first_us, row.first_id), Moment(row.last_us, row.last_id)
    counted = sum(weight(event) for event in finding.events if first <= Moment.of(event) <= last)
    added = max(1, finding.count - counted)
    row.count = min(row.count + added, COUNT_LIMIT)
    span = session.get_one(SpanRow, row.id)
    row.first_us, row.first_id = span.first_us, span.first_id = min(first, finding.first)
    row.last_us, row.last_id = span.last_us, span.last_id = max(last, finding.last)
    kept = session.scalar(select(func.count()).where(SampleRow.alert_id == row.id)) or 0
    new = [event for event in finding.events if not first <= Moment.of(event) <= last]
    records.add_samples(session, row.id, new[: max(0, finding.samples - kept)])
    if row.status == Status.ACKNOWLEDGED and finding.events:  # that a silence lasts is no news
        row.news += added
    if not finding.events and finding.notify is False:
        return
    if not finding.events and row.notify is False:  # muted until now: nobody knows of it yet
        row.notify, repeat_us = finding.notify, 0
    tell = outbox.add_extended if finding.events else outbox.add_repeated
    if tell(session, row, now_us, repeat_us):
        extended = audit.Change("extended", "alert", row.id, "count", row.count - added, row.count)
        audit.append(session, DETECTION, extended, now_us)
