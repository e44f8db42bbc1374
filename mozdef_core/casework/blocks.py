"""The IP block list: addresses that firewalls are to shut out, each for a while, for a reason and by somebody.

It is a list like any other, to be read as ``field:@ipblocklist``; only here does anything come onto it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from mozdef_core.alert import Block
from mozdef_core.casework import audit, lists
from mozdef_core.casework.block_guard import BlockGuard
from mozdef_core.casework.list_models import EntryRow, ListRow
from mozdef_core.casework.list_values import canonical
from mozdef_core.event import isoformat

LIST: Final = "ipblocklist"
ACTION: Final = "action"
"""The source of what an action plugin has blocked."""

PERMANENT: Final = "permanent"
DEFAULT: Final = "1hr"
DURATIONS: Final = {
    "1hr": 3_600,
    "12hr": 43_200,
    "1d": 86_400,
    "2d": 172_800,
    "3d": 259_200,
    "1w": 604_800,
    "30d": 2_592_000,
}
"""How long a block may last, in seconds; a person with the right to may say :data:`PERMANENT` as well."""

_HOUR_US: Final = 3_600_000_000


class Blocked(NamedTuple):
    """An entry of the block list; times in microseconds since 1970, ``expires_us`` None is never."""

    address: str
    comment: str
    reference: str
    creator: str
    source: str
    added_us: int
    expires_us: int | None


class Asked(NamedTuple):
    """What somebody says about a block.

    :param duration: a key of :data:`DURATIONS`, or :data:`PERMANENT`.
    :param reference: what it refers to, such as the id of an alert.
    :param source: ``manual``, ``action`` or ``API``.
    """

    duration: str = DEFAULT
    comment: str = ""
    reference: str = ""
    creator: str = ""
    source: str = "manual"


def add(
    session: Session,
    address: str,
    asked: Asked,
    guard: BlockGuard,
    actor: audit.Actor,
    now_us: int,
    *,
    own: Collection[str] = (),
    confirmed: bool = False,
) -> Blocked:
    """Block an address or network, or block one longer that is; its end never comes nearer.

    :param own: addresses of who asks, and ``confirmed``: they are meant, and so are those of this machine.
    :raises ValueError: it must not be blocked, or the duration is none; nothing was changed.
    """
    value = guard.check(address, own=own, confirmed=confirmed)
    expires_us = _end_us(asked.duration, now_us)
    before = _standing(session, value, now_us)
    if before is not None:
        ends = (before.expires_us, expires_us)
        expires_us = None if None in ends else max(end for end in ends if end is not None)
    if session.scalar(select(ListRow.id).where(ListRow.name == LIST)) is None:
        comment = "what firewalls are to shut out"
        lists.create(session, LIST, "addresses", comment, actor, reserved=True)
    entry = lists.Entry(value, asked.source, asked.comment, now_us, expires_us)
    lists.add(session, LIST, [entry], actor, reserved=True)
    creator = asked.creator or actor.name
    added_us = now_us if before is None else before.added_us
    found = Blocked(value, asked.comment, asked.reference, creator, asked.source, added_us, expires_us)
    mine = EntryRow.list_id == select(ListRow.id).where(ListRow.name == LIST).scalar_subquery()
    session.execute(
        update(EntryRow)
        .where(mine, EntryRow.value == value)
        .values(reference=asked.reference, creator=creator, added_us=added_us)
        .execution_options(synchronize_session=False)
    )
    after = {"until": _end(found), "comment": asked.comment, "reference": asked.reference}
    change = audit.Change("blocked", "block", value, "until", before and {"until": _end(before)}, after)
    audit.append(session, actor, change, now_us)
    return found


def carry_out(
    session: Session, block: Block, alert_id: str, guard: BlockGuard, actor: audit.Actor, now_us: int
) -> str:
    """Do what an action asked for and return a sentence about it for the alert's history.

    :raises ValueError: it is refused.
    """
    if block.duration not in DURATIONS:
        raise ValueError(f"duration: expected one of {', '.join(DURATIONS)}, got {block.duration!r}")
    value = guard.check(block.address)
    if _standing(session, value, now_us) is None and _lately(session, now_us) >= block.max_per_hour:
        raise ValueError(
            f"{value}: actions have blocked {block.max_per_hour} addresses within the hour, which is the limit"
        )
    if block.dry_run:
        return f"dry run: {value} would be blocked for {block.duration}"
    asked = Asked(block.duration, block.comment, alert_id, block.creator, ACTION)
    return f"blocked {value} until {_end(add(session, value, asked, guard, actor, now_us))}"


def lift(session: Session, address: str, actor: audit.Actor, now_us: int) -> bool:
    """Take an address or network off the list; return whether it was on it.

    :raises ValueError: it is neither.
    """
    value = canonical("addresses", address)
    before = _standing(session, value, now_us)
    if before is None:
        return False
    lists.remove(session, LIST, [value], actor)
    audit.append(
        session, actor, audit.Change("lifted", "block", value, "until", {"until": _end(before)}), now_us
    )
    return True


def collect(session: Session, now_us: int, most: int = 1_000) -> Sequence[Blocked]:
    """Return what is blocked now, newest first."""
    newest = _in_force(now_us).order_by(EntryRow.added_us.desc(), EntryRow.value).limit(most)
    return [_entry(row) for row in session.scalars(newest)]


def _end_us(duration: str, now_us: int) -> int | None:
    if duration == PERMANENT:
        return None
    if duration not in DURATIONS:
        words = ", ".join((*DURATIONS, PERMANENT))
        raise ValueError(f"duration: expected one of {words}, got {duration!r}")
    return now_us + DURATIONS[duration] * 1_000_000


def _standing(session: Session, value: str, now_us: int) -> Blocked | None:
    """Return the block of exactly this address or network, unless it has ended."""
    row = session.scalar(_in_force(now_us).where(EntryRow.value == value))
    return None if row is None else _entry(row)


def _in_force(now_us: int) -> Select[EntryRow]:
    return (
        select(EntryRow)
        .join(ListRow, ListRow.id == EntryRow.list_id)
        .where(ListRow.name == LIST, or_(EntryRow.expires_us > now_us, EntryRow.expires_us.is_(None)))
        .execution_options(populate_existing=True)
    )


def _lately(session: Session, now_us: int) -> int:
    """Return how many entries actions have made within the hour."""
    query = select(func.count()).select_from(EntryRow).join(ListRow, ListRow.id == EntryRow.list_id)
    query = query.where(ListRow.name == LIST, EntryRow.source == ACTION)
    return session.scalar(query.where(EntryRow.added_us > now_us - _HOUR_US)) or 0


def _entry(row: EntryRow) -> Blocked:
    return Blocked(
        row.value, row.comment, row.reference, row.creator, row.source, row.added_us, row.expires_us
    )


def _end(block: Blocked) -> str:
    return "it is lifted" if block.expires_us is None else isoformat(block.expires_us)
