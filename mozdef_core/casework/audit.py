"""The audit trail: who changed what, in a chain of hashes that shows a gap or an edit (investigate.md 5.6)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.casework.database import from_json, next_number, read_number, to_json
from mozdef_core.casework.models import AuditRow
from mozdef_core.event import now_us

_COUNTER: Final = "audit"
_START: Final = "0" * 64
_COLUMNS: Final = tuple(column.name for column in AuditRow.__table__.columns if column.name != "hash")


class Actor(NamedTuple):
    """Who does something.

    :param kind: ``user`` and ``token`` are people or their programs, ``plugin`` an action, ``system`` the core.
    :param address: where the request came from, if it was one.
    :param request: id of the request, if it has one.
    """

    name: str
    kind: Literal["user", "token", "plugin", "system"] = "user"
    address: str | None = None
    request: str | None = None


class Change(NamedTuple):
    """What was done to which object; ``before`` and ``after`` are JSON values, None where there was none."""

    action: str
    object_type: str
    object_id: str
    field: str | None = None
    before: Any = None
    after: Any = None


class Entry(NamedTuple):
    """One entry of the trail as it is read; ``before`` and ``after`` are JSON values."""

    number: int
    at_us: int
    actor: str
    actor_kind: str
    action: str
    object_type: str
    object_id: str
    field: str | None
    before: Any
    after: Any


def append(session: Session, actor: Actor, change: Change, at_us: int | None = None) -> None:
    """Add an entry in the transaction that makes the change, so that there is never one without the other."""
    number = next_number(session, _COUNTER)
    previous = session.execute(select(AuditRow.hash).where(AuditRow.number == number - 1)).scalar()
    row = AuditRow(
        number=number,
        at_us=now_us() if at_us is None else at_us,
        actor=actor.name,
        actor_kind=actor.kind,
        address=actor.address,
        request=actor.request,
        action=change.action,
        object_type=change.object_type,
        object_id=change.object_id,
        field=change.field,
        before=_text(change.before),
        after=_text(change.after),
    )
    row.hash = _hash(row, previous or _START)
    session.add(row)
    session.flush()


def entries(session: Session, object_type: str, object_id: str) -> Sequence[Entry]:
    """Return what happened to one object, oldest first."""
    query = (
        select(AuditRow)
        .where(AuditRow.object_type == object_type, AuditRow.object_id == object_id)
        .order_by(AuditRow.number)
    )
    return [_entry(row) for row in session.scalars(query)]


def verify(session: Session) -> int | None:
    """Check the whole chain; return the number of the first entry that is missing or was changed, None if none is.

    Costs one pass over the trail. Whoever can rewrite the whole trail and its counter is not found out by this.
    """
    previous, expected = _START, 1
    query = select(AuditRow).order_by(AuditRow.number).execution_options(yield_per=1_000)
    for row in session.scalars(query):
        if row.hash != _hash(row, previous):
            return expected
        previous, expected = row.hash, expected + 1
    return expected if read_number(session, _COUNTER) >= expected else None


def _text(value: Any) -> str | None:
    return None if value is None else to_json(value)


def _hash(row: AuditRow, previous: str) -> str:
    content = [previous, *(getattr(row, name) for name in _COLUMNS)]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def _entry(row: AuditRow) -> Entry:
    before, after = (None if text is None else from_json(text) for text in (row.before, row.after))
    return Entry(
        row.number,
        row.at_us,
        row.actor,
        row.actor_kind,
        row.action,
        row.object_type,
        row.object_id,
        row.field,
        before,
        after,
    )
