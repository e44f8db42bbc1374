"""The watch list as people keep it: added to, extended, ended and counted, each change in the audit trail."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from mozdef_core.casework import audit
from mozdef_core.casework.database import Database, next_number
from mozdef_core.casework.mirror import Mirror
from mozdef_core.casework.watch_models import WatchRow
from mozdef_core.errors import NotFoundError
from mozdef_core.event import now_us
from mozdef_core.watching import WatchEntry, WatchList, as_kind, canonical, kind_of

COUNTER: Final = "watch"
"""The counter that rises with every change of an entry, but not with what it finds."""

EXPIRED_KEPT_US: Final = 3_600_000_000
"""So long after its end an entry stays, for events received before that are looked at later."""

_SYSTEM: Final = audit.Actor("watch", "system")


class Watched(NamedTuple):
    """An entry as it is kept; times in microseconds since 1970, ``expires_us`` None is never."""

    id: str
    content: str
    kind: str
    subdomains: bool
    added_us: int
    expires_us: int | None
    comment: str
    reference: str
    creator: str
    hits: int
    last_hit_us: int | None


class Term(NamedTuple):
    """What is to be watched for.

    :param kind: ip, network, domain, text or query; empty for what it looks like.
    :param expires_us: until when, microseconds since 1970; None is for ever.
    """

    content: str
    kind: str = ""
    subdomains: bool = False
    expires_us: int | None = None
    comment: str = ""
    reference: str = ""


def add(session: Session, term: Term, actor: audit.Actor) -> Watched:
    """Watch for a term from now on; one that is watched for already is extended, never shortened.

    :raises ValueError: it cannot be watched for; the sentence says what would be right.
    """
    now = now_us()
    kind = term.kind or kind_of(term.content)
    content = canonical(term.content, kind)
    if term.subdomains and kind != "domain":
        raise ValueError(f"subdomains: only a domain has some, and {content!r} is of kind {kind}")
    if term.expires_us is not None and term.expires_us <= now:
        raise ValueError("expires: expected a time to come")
    query = select(WatchRow).where(WatchRow.content == content, WatchRow.kind == kind).with_for_update()
    row = session.scalar(query)
    if row is None:
        row = WatchRow(
            id=secrets.token_hex(6), content=content, kind=kind, subdomains=term.subdomains, added_us=now,
            expires_us=term.expires_us, comment=term.comment, reference=term.reference, creator=actor.name,
            hits=0, last_hit_us=None,
        )  # fmt: skip
        session.add(row)
        change = audit.Change("created", "watch", row.id, "watchcontent", None, content)
    else:
        before = row.expires_us
        lasting = before is None or term.expires_us is None
        row.expires_us = None if lasting else max(before or 0, term.expires_us or 0)
        row.subdomains = term.subdomains
        row.comment, row.reference = term.comment or row.comment, term.reference or row.reference
        change = audit.Change("extended", "watch", row.id, "expires_us", before, row.expires_us)
    session.flush()
    next_number(session, COUNTER)
    audit.append(session, actor, change, now)
    return _watched(row)


def remove(session: Session, entry: str, actor: audit.Actor) -> Sequence[Watched]:
    """Watch no more for an entry, named by its id or its content, and return what was removed.

    :raises NotFoundError: there is none.
    """
    named = or_(WatchRow.id == entry, WatchRow.content == entry, WatchRow.content == _canonical(entry))
    rows = session.scalars(select(WatchRow).where(named).with_for_update()).all()
    if not rows:
        raise NotFoundError(f"{entry!r} is not watched for")
    gone = [_watched(row) for row in rows]
    for row in rows:
        session.delete(row)
        audit.append(
            session, actor, audit.Change("deleted", "watch", row.id, "watchcontent", row.content, None)
        )
    next_number(session, COUNTER)
    return gone


def collect(session: Session, text: str = "", *, expired: bool = False) -> Sequence[Watched]:
    """Return the entries, the newest first.

    :param text: what content or comment holds.
    :param expired: whether to return also those that have ended and are not deleted yet.
    """
    query = select(WatchRow).order_by(WatchRow.added_us.desc(), WatchRow.id)
    if text:
        query = query.where(
            or_(
                WatchRow.content.contains(text, autoescape=True),
                WatchRow.comment.contains(text, autoescape=True),
            )
        )
    if not expired:
        query = query.where(or_(WatchRow.expires_us.is_(None), WatchRow.expires_us > now_us()))
    return [_watched(row) for row in session.scalars(query)]


def expire(session: Session, now: int) -> int:
    """Delete entries that ended an hour ago, each with an audit entry; return how many."""
    rows = session.scalars(select(WatchRow).where(WatchRow.expires_us <= now - EXPIRED_KEPT_US)).all()
    for row in rows:
        session.delete(row)
        audit.append(
            session, _SYSTEM, audit.Change("expired", "watch", row.id, "watchcontent", row.content), now
        )
    if rows:
        next_number(session, COUNTER)
    return len(rows)


def something_expired(session: Session, now: int) -> bool:
    """Return whether :func:`expire` would delete anything."""
    due = select(WatchRow.id).where(WatchRow.expires_us <= now - EXPIRED_KEPT_US).limit(1)
    return session.scalar(due) is not None


def count(session: Session, hits: Mapping[str, tuple[int, int]]) -> None:
    """Add up how often entries were met; one that is gone is passed over."""
    for entry_id, (number, last_us) in sorted(hits.items()):
        row = session.get(WatchRow, entry_id, with_for_update=True)
        if row is not None:
            row.hits += number
            row.last_hit_us = max(row.last_hit_us or 0, last_us)


class WatchBook(Mirror[Mapping[str, tuple[int, int]], WatchEntry]):
    """Keeps the watch list of a process as the database has it, and hands on what it met."""

    counter: ClassVar[str] = COUNTER

    def __init__(self, database: Database, watch: WatchList) -> None:
        super().__init__(database, watch)
        self.watch = watch

    def _count(self, session: Session, tally: Mapping[str, tuple[int, int]]) -> None:
        count(session, tally)

    def _entries(self, session: Session) -> Sequence[WatchEntry]:
        rows = session.scalars(select(WatchRow).order_by(WatchRow.added_us, WatchRow.id))
        return [
            WatchEntry(row.id, row.content, as_kind(row.kind), row.subdomains, row.expires_us) for row in rows
        ]


def _canonical(content: str) -> str:
    try:
        return canonical(content, kind_of(content))
    except ValueError:
        return content


def _watched(row: WatchRow) -> Watched:
    return Watched(*(getattr(row, name) for name in Watched._fields))
