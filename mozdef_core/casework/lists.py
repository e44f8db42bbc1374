"""Lists that people and feeds keep: made, filled, read and emptied, each change in the audit trail."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from mozdef_core.casework import audit
from mozdef_core.casework.database import next_number, removed, upsert
from mozdef_core.casework.list_models import EntryRow, ListRow
from mozdef_core.casework.list_values import canonical
from mozdef_core.errors import NotFoundError
from mozdef_core.event import now_us
from mozdef_core.query.lists import unknown
from mozdef_core.query.members import KINDS
from mozdef_core.query.model import LIST_NAME

COUNTER: Final = "lists"
"""The counter that rises with every change of any list."""

EXPIRED_KEPT_US: Final = 3_600_000_000
"""So long after its end an entry stays, for runs over what was received before."""

RESERVED: Final = {"ipblocklist": "mozdef blocks"}
"""Lists whose entries are checked by somebody of their own, and the command for them; they can be read as any."""

_SYSTEM: Final = audit.Actor("lists", "system")
_NAMED: Final = 20
_AT_ONCE: Final = 500


class NamedList(NamedTuple):
    """A list, without its entries; times in microseconds since 1970.

    :param entries: how many are in it; ``expired`` those of them that have ended and are still kept.
    """

    name: str
    kind: str
    comment: str
    entries: int
    expired: int
    created_us: int
    created_by: str
    changed_us: int
    changed_by: str
    version: int


class Entry(NamedTuple):
    """A member of a list; ``expires_us`` None is never."""

    value: str
    source: str = ""
    comment: str = ""
    added_us: int = 0
    expires_us: int | None = None


class Page(NamedTuple):
    """Some entries by their value, and the cursor for the next ones."""

    entries: Sequence[Entry]
    after: str | None


def create(
    session: Session, name: str, kind: str, comment: str, actor: audit.Actor, *, reserved: bool = False
) -> NamedList:
    """Make an empty list.

    :param reserved: the caller is who checks what comes into a reserved one.
    :raises ValueError: the name or kind is wrong, or there is such a list.
    """
    if LIST_NAME.fullmatch(name) is None:
        raise ValueError(
            f"name: expected 1 to 64 small letters, digits or _.-, a letter or digit first, got {name!r}"
        )
    _check_reserved(name, reserved=reserved)
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if session.scalar(select(ListRow.id).where(ListRow.name == name)) is not None:
        raise ValueError(f"name: there is a list {name!r} already")
    now = now_us()
    row = ListRow(
        name=name,
        kind=kind,
        comment=comment,
        version=next_number(session, COUNTER),
        created_us=now,
        created_by=actor.name,
        changed_us=now,
        changed_by=actor.name,
    )
    session.add(row)
    session.flush()
    audit.append(session, actor, audit.Change("created", "list", name, "kind", None, kind), now)
    return show(session, name)


def remove_list(session: Session, name: str, actor: audit.Actor) -> int:
    """Delete a list with its entries, and return how many there were; a rule that names it fails from then on.

    :raises NotFoundError: there is none.
    """
    row = _row(session, name)
    gone = removed(session, delete(EntryRow).where(EntryRow.list_id == row.id))
    session.execute(delete(ListRow).where(ListRow.id == row.id))
    next_number(session, COUNTER)
    audit.append(session, actor, audit.Change("deleted", "list", name, "entries", gone, None))
    return gone


def collect(session: Session) -> Sequence[NamedList]:
    """Return all lists by name."""
    return _read(session, None)


def show(session: Session, name: str) -> NamedList:
    """Return one list.

    :raises NotFoundError: there is none.
    """
    _row(session, name)
    return _read(session, name)[0]


def add(
    session: Session, name: str, entries: Collection[Entry], actor: audit.Actor, *, reserved: bool = False
) -> int:
    """Put entries into a list and return how many are new; of one that is there already the rest is replaced.

    All or none: values are made canonical first. Costs about 10 us an entry.

    :param reserved: the caller is who checks what comes into a reserved list.
    :raises NotFoundError: there is no such list.
    :raises ValueError: a value does not belong into it, or an expiry is past; it says which.
    """
    _check_reserved(name, reserved=reserved)
    row = _row(session, name)
    now = now_us()
    wanted = {one.value: one for one in checked(row.kind, entries, now)}
    values = [
        {
            "list_id": row.id,
            "value": one.value,
            "source": one.source or actor.name,
            "comment": one.comment,
            "added_us": one.added_us or now,
            "touched_us": now,
            "expires_us": one.expires_us,
        }
        for one in wanted.values()
    ]
    before = _known(session, row.id, list(wanted)) if len(wanted) <= _AT_ONCE else None
    counted = 0 if before is not None else _size(session, row.id)
    upsert(session, EntryRow, values, replace=["source", "comment", "touched_us", "expires_us"])
    new = len(wanted) - len(before) if before is not None else _size(session, row.id) - counted
    if wanted:
        _changed(session, row, actor, now, audit.Change("added", "list", name, "entries", None, told(wanted)))
    return new


def checked(kind: str, entries: Collection[Entry], now: int) -> Iterator[Entry]:
    """Yield entries with their values in canonical form.

    :raises ValueError: with the value, and what would be right.
    """
    for one in entries:
        if one.expires_us is not None and one.expires_us <= now:
            raise ValueError(f"{one.value!r}: expected a time to come as its expiry")
        yield one._replace(value=canonical(kind, one.value))


def remove(session: Session, name: str, values: Collection[str], actor: audit.Actor) -> int:
    """Take values out of a list and return how many were in it.

    :raises NotFoundError: there is no such list.
    :raises ValueError: a value could not be in it.
    """
    row = _row(session, name)
    wanted = list(dict.fromkeys(canonical(row.kind, value) for value in values))
    gone: list[str] = []
    for start in range(0, len(wanted), _AT_ONCE):
        some = _known(session, row.id, wanted[start : start + _AT_ONCE])
        session.execute(delete(EntryRow).where(EntryRow.list_id == row.id, EntryRow.value.in_(some)))
        gone += some
    if gone:
        change = audit.Change("removed", "list", name, "entries", told(gone), None)
        _changed(session, row, actor, now_us(), change)
    return len(gone)


def remove_untouched(session: Session, name: str, since_us: int, actor: audit.Actor) -> int:
    """Take out what nobody has given since a time, so that a list is what was just imported; return how many."""
    row = _row(session, name)
    old = (EntryRow.list_id == row.id, EntryRow.touched_us < since_us)
    sample = session.scalars(select(EntryRow.value).where(*old).limit(_NAMED)).all()
    gone = removed(session, delete(EntryRow).where(*old))
    if gone:
        what = {"count": gone, "values": list(sample)}
        _changed(session, row, actor, now_us(), audit.Change("removed", "list", name, "entries", what, None))
    return gone


def entries(
    session: Session, name: str, *, after: str | None = None, size: int = 100, text: str = ""
) -> Page:
    """Return a page of a list.

    :param text: what their value or comment holds.
    :raises NotFoundError: there is no such list.
    """
    row = _row(session, name)
    query = select(EntryRow).where(EntryRow.list_id == row.id).order_by(EntryRow.value).limit(size + 1)
    if after is not None:
        query = query.where(EntryRow.value > after)
    if text:
        query = query.where(
            or_(
                EntryRow.value.contains(text, autoescape=True),
                EntryRow.comment.contains(text, autoescape=True),
            )
        )
    found = [
        Entry(one.value, one.source, one.comment, one.added_us, one.expires_us)
        for one in session.scalars(query)
    ]
    more = len(found) > size
    return Page(found[:size], found[size - 1].value if more else None)


def expire(session: Session, now: int) -> int:
    """Delete entries that ended an hour ago, with an audit entry for each list; return how many."""
    due = EntryRow.expires_us <= now - EXPIRED_KEPT_US
    gone = 0
    for list_id in session.scalars(select(EntryRow.list_id).where(due).distinct()).all():
        row = session.get_one(ListRow, list_id)
        mine = (due, EntryRow.list_id == list_id)
        sample = session.scalars(select(EntryRow.value).where(*mine).limit(_NAMED)).all()
        count = removed(session, delete(EntryRow).where(*mine))
        what = {"count": count, "values": list(sample)}
        _changed(session, row, _SYSTEM, now, audit.Change("expired", "list", row.name, "entries", what, None))
        gone += count
    return gone


def something_expired(session: Session, now: int) -> bool:
    """Return whether :func:`expire` would delete anything."""
    due = select(EntryRow.list_id).where(EntryRow.expires_us <= now - EXPIRED_KEPT_US).limit(1)
    return session.scalar(due) is not None


def told(values: Collection[str]) -> dict[str, object]:
    """Return what the audit trail says of values: a few by name, of many their number and hash."""
    if len(values) <= _NAMED:
        return {"count": len(values), "values": list(values)}
    digest = hashlib.sha256("\n".join(values).encode()).hexdigest()
    return {"count": len(values), "values": list(values)[:_NAMED], "sha256": digest}


def _check_reserved(name: str, *, reserved: bool) -> None:
    if name in RESERVED and not reserved:
        raise ValueError(
            f"name: the list {name!r} is filled by {RESERVED[name]}, which checks what comes into it"
        )


def _row(session: Session, name: str) -> ListRow:
    row = session.scalar(select(ListRow).where(ListRow.name == name))
    if row is None:
        raise NotFoundError(unknown(name, session.scalars(select(ListRow.name)).all()).replace("@", ""))
    return row


def _changed(session: Session, row: ListRow, actor: audit.Actor, now: int, change: audit.Change) -> None:
    values = {"version": next_number(session, COUNTER), "changed_us": now, "changed_by": actor.name}
    session.execute(update(ListRow).where(ListRow.id == row.id).values(values))
    audit.append(session, actor, change, now)


def _known(session: Session, list_id: int, values: Sequence[str]) -> list[str]:
    query = select(EntryRow.value).where(EntryRow.list_id == list_id, EntryRow.value.in_(values))
    return list(session.scalars(query))


def _size(session: Session, list_id: int) -> int:
    return session.scalar(select(func.count()).where(EntryRow.list_id == list_id)) or 0


def _read(session: Session, name: str | None) -> Sequence[NamedList]:
    now = now_us()
    expired = func.count().filter(EntryRow.expires_us <= now)
    counts = select(EntryRow.list_id, func.count(), expired).group_by(EntryRow.list_id)
    query = select(ListRow).order_by(ListRow.name)
    if name is not None:
        query = query.where(ListRow.name == name)
        counts = counts.where(EntryRow.list_id.in_(select(ListRow.id).where(ListRow.name == name)))
    sizes = {list_id: (size, ended) for list_id, size, ended in session.execute(counts)}
    return [
        NamedList(
            row.name,
            row.kind,
            row.comment,
            *sizes.get(row.id, (0, 0)),
            row.created_us,
            row.created_by,
            row.changed_us,
            row.changed_by,
            row.version,
        )
        for row in session.scalars(query)
    ]
