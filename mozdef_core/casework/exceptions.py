"""Exceptions from rules: made, changed, ended and counted, each change in the audit trail (detections.md A5)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final, NamedTuple, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.casework import audit
from mozdef_core.casework.database import Database, next_number
from mozdef_core.casework.ledger import excepted
from mozdef_core.casework.list_models import ExceptionRow
from mozdef_core.casework.mirror import Mirror
from mozdef_core.errors import NotFoundError, QueryError
from mozdef_core.event import now_us
from mozdef_core.exemptions import SAMPLES, Exemption, Exemptions, Removed, Scope
from mozdef_core.query.lists import Lists, resolve
from mozdef_core.query.model import QueryString

COUNTER: Final = "exceptions"
"""The counter that rises with every change of any exception, but not with what it removes."""

LONGEST: Final = timedelta(days=366)
SCOPES: Final = ("all", "tag", "rule")

_KEPT_US: Final = LONGEST // timedelta(microseconds=1)
_SYSTEM: Final = audit.Actor("exceptions", "system")
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an exception is to be.

    :param scope: ``all`` rules, those with a ``tag``, or one ``rule``; ``target`` names the tag or rule.
    :param owner: who answers for it.
    :param starts_us: for events received from then on, microseconds since 1970; a time to come is a maintenance window.
    :param expires_us: and before then.
    """

    scope: str
    target: str
    query: str
    owner: str
    reason: str
    starts_us: int
    expires_us: int


class Kept(NamedTuple):
    """An exception as it is kept; times in microseconds since 1970.

    :param samples: the last events that it removed: ``event``, ``at_us`` and ``rule`` of each, newest last.
    """

    id: str
    scope: str
    target: str
    query: str
    owner: str
    reason: str
    starts_us: int
    expires_us: int
    created_us: int
    created_by: str
    changed_us: int
    changed_by: str
    hits: int
    last_hit_us: int | None
    samples: Sequence[Mapping[str, Any]]

    def state(self, at_us: int) -> str:
        """Return ``planned``, ``in force`` or ``expired``."""
        if at_us >= self.expires_us:
            return "expired"
        return "planned" if at_us < self.starts_us else "in force"


def check(wanted: Wanted, lists: Lists, now: int) -> None:
    """See whether an exception can be.

    :raises ValueError: it cannot; the sentence says what would be right.
    """
    if wanted.scope not in SCOPES:
        raise ValueError(f"scope: expected one of {', '.join(SCOPES)}, got {wanted.scope!r}")
    if (wanted.scope == "all") != (not wanted.target):
        expected = "nothing" if wanted.scope == "all" else f"the name of the {wanted.scope}"
        raise ValueError(f"target: expected {expected} for scope {wanted.scope!r}, got {wanted.target!r}")
    for name in ("owner", "reason"):
        if not getattr(wanted, name).strip():
            raise ValueError(f"{name}: expected a text, got nothing")
    try:
        resolve(QueryString(wanted.query), lists)
    except QueryError as error:
        raise ValueError(f"query: {error}") from None
    if wanted.expires_us <= max(now, wanted.starts_us):
        raise ValueError("expires: expected a time to come, after the start")
    if wanted.expires_us - max(now, wanted.starts_us) > LONGEST // _MICROSECOND:
        raise ValueError("expires: expected at most a year from the start, such as '90d'")
    if wanted.starts_us > now + LONGEST // _MICROSECOND:
        raise ValueError("starts: expected at most a year from now")


def create(session: Session, wanted: Wanted, lists: Lists, actor: audit.Actor) -> Kept:
    """Make an exception; it is in force everywhere within seconds.

    :raises ValueError: as :func:`check`.
    """
    now = now_us()
    check(wanted, lists, now)
    row = ExceptionRow(
        id=secrets.token_hex(6),
        **asdict(wanted),
        created_us=now,
        created_by=actor.name,
        changed_us=now,
        changed_by=actor.name,
        hits=0,
        last_hit_us=None,
        samples=[],
        reported=False,
    )
    session.add(row)
    session.flush()
    next_number(session, COUNTER)
    audit.append(
        session, actor, audit.Change("created", "exception", row.id, None, None, asdict(wanted)), now
    )
    return _kept(session, row)


def change(session: Session, exception_id: str, wanted: Wanted, lists: Lists, actor: audit.Actor) -> Kept:
    """Change an exception that has not expired; one audit entry for each field.

    :raises NotFoundError: there is none.
    :raises ValueError: it has expired, or as :func:`check`.
    """
    now = now_us()
    row = _row(session, exception_id)
    if row.expires_us <= now:
        raise ValueError(f"the exception {exception_id} has expired; make a new one")
    check(wanted, lists, now)
    for name, value in asdict(wanted).items():
        before = getattr(row, name)
        if before != value:
            setattr(row, name, value)
            audit.append(
                session, actor, audit.Change("changed", "exception", row.id, name, before, value), now
            )
    row.changed_us, row.changed_by = now, actor.name
    next_number(session, COUNTER)
    return _kept(session, row)


def end(session: Session, exception_id: str, actor: audit.Actor) -> Kept:
    """End an exception now; what it has removed stays removed.

    :raises NotFoundError: there is none.
    """
    now = now_us()
    row = _row(session, exception_id)
    if row.expires_us > now:
        audit.append(
            session, actor, audit.Change("ended", "exception", row.id, "expires_us", row.expires_us, now), now
        )
        row.starts_us = min(row.starts_us, now)
        row.expires_us, row.reported = now, True
        row.changed_us, row.changed_by = now, actor.name
        next_number(session, COUNTER)
    return _kept(session, row)


def show(session: Session, exception_id: str) -> Kept:
    """Return one exception.

    :raises NotFoundError: there is none.
    """
    return _kept(session, _row(session, exception_id))


def collect(session: Session, *, expired: bool = False) -> Sequence[Kept]:
    """Return exceptions, those that end first before the others.

    :param expired: those too that have ended.
    """
    query = select(ExceptionRow).order_by(ExceptionRow.expires_us, ExceptionRow.id)
    if not expired:
        query = query.where(ExceptionRow.expires_us > now_us())
    return [_kept(session, row) for row in session.scalars(query)]


def count(session: Session, tally: Mapping[str, Removed]) -> None:
    """Add up what was removed; an exception that is gone is passed over."""
    for exception_id, removed in tally.items():
        row = session.get(ExceptionRow, exception_id, with_for_update=True)
        if row is None:
            continue
        new = [
            {"event": sample.event_id, "at_us": sample.at_us, "rule": sample.rule}
            for sample in removed.samples
        ]
        row.hits += removed.count
        row.samples = [*row.samples, *new][-SAMPLES:]
        row.last_hit_us = max((sample.at_us for sample in removed.samples), default=row.last_hit_us)


def report_expired(session: Session, now: int) -> Sequence[Kept]:
    """Note in the audit trail which exceptions have ended since the last call, and return them."""
    query = select(ExceptionRow).where(ExceptionRow.expires_us <= now, ExceptionRow.reported.is_(False))
    ended = session.scalars(query).all()
    for row in ended:
        row.reported = True
        change = audit.Change(
            "expired", "exception", row.id, "hits", None, row.hits + excepted(session, row.id)
        )
        audit.append(session, _SYSTEM, change, now)
    return [_kept(session, row) for row in ended]


def something_expired(session: Session, now: int) -> bool:
    """Return whether :func:`report_expired` would return anything."""
    query = select(ExceptionRow.id).where(ExceptionRow.expires_us <= now, ExceptionRow.reported.is_(False))
    return session.scalar(query.limit(1)) is not None


class ExceptionBook(Mirror[dict[str, Removed], Exemption]):
    """Keeps the exemptions of a process as the database has them, and hands on what they removed."""

    counter: ClassVar[str] = COUNTER

    def __init__(self, database: Database, exemptions: Exemptions) -> None:
        super().__init__(database, exemptions)
        self.exemptions = exemptions

    def _count(self, session: Session, tally: dict[str, Removed]) -> None:
        count(session, tally)

    def _entries(self, session: Session) -> Sequence[Exemption]:
        query = select(ExceptionRow).where(ExceptionRow.expires_us > now_us() - _KEPT_US)
        rows = session.scalars(query.order_by(ExceptionRow.created_us, ExceptionRow.id))
        return [_exemption(row) for row in rows]


def _exemption(row: ExceptionRow) -> Exemption:
    """Return an exception as rules know it."""
    scope = cast(Scope, row.scope)  # check() has seen to it
    return Exemption(row.id, scope, row.target, row.query, row.starts_us, row.expires_us)


def _row(session: Session, exception_id: str) -> ExceptionRow:
    row = session.get(ExceptionRow, exception_id, with_for_update=True)
    if row is None:
        raise NotFoundError(f"there is no exception {exception_id!r}")
    return row


def _kept(session: Session, row: ExceptionRow) -> Kept:
    """Return a row; what rules on a schedule removed is counted by the ledger."""
    values = {name: getattr(row, name) for name in Kept._fields}
    return Kept(**{**values, "hits": row.hits + excepted(session, row.id)})
