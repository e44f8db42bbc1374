"""The alerts of the rules that an exception concerns, with the events that are kept of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.casework import records
from mozdef_core.casework.models import AlertRow, TagRow
from mozdef_core.event import Event

_AT_ONCE: Final = 200


def concerned_alerts(
    session: Session, scope: str, target: str, since_us: int
) -> Iterator[tuple[str, str, Sequence[Event]]]:
    """Yield id, rule and kept events of each such alert that was extended or made since a time, newest first."""
    query = select(AlertRow.id).where(AlertRow.last_us >= since_us, AlertRow.staged.is_(False))
    if scope == "rule":
        query = query.where(AlertRow.rule == target)
    elif scope == "tag":
        query = query.where(AlertRow.id.in_(select(TagRow.alert_id).where(TagRow.tag == target)))
    ids = session.scalars(query.order_by(AlertRow.created_us.desc(), AlertRow.id)).all()
    for start in range(0, len(ids), _AT_ONCE):
        for alert in records.read(session, ids[start : start + _AT_ONCE]):
            yield alert.id, alert.rule, alert.events
