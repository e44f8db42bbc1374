"""Dead letters: items that could not become stored events, kept until they are replayed or discarded.

The fields and the limits are those of event-format.md 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final, Literal, NamedTuple, cast

from sqlalchemy import Select, delete, func, select, tuple_
from sqlalchemy.orm import Session, defer

from mozdef_core.casework import audit
from mozdef_core.casework.database import next_number, read_number, removed, upsert
from mozdef_core.casework.models import DeadLetterRow
from mozdef_core.errors import NotFoundError
from mozdef_core.event import new_ids, now_us
from mozdef_core.ports import DeadLetter, Item, Keep, Origin

STEP_BYTES: Final = 8 << 20
"""So much goes at once: the pages of a mebibyte take longer to free than a row to delete."""

_ANY_TIME: Final = 1 << 62
_SETTLED: Final = ("replayed", "discarded")
_LOST: Final = "dead_letters_lost"
_PIPELINE: Final = audit.Actor("pipeline", "system")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters; None means any.

    :param since_us: received at this time or later, microseconds since 1970; ``until_us`` is exclusive.
    :param after: cursor of the page before.
    """

    code: str | None = None
    input: str | None = None
    status: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    size: int = 50
    after: str | None = None


class Page(NamedTuple):
    """Some dead letters, newest first, and the cursor for the next ones."""

    letters: Sequence[DeadLetter]
    after: str | None


def add(session: Session, letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters. A known one was delivered again, or its replay failed again: only its reason is renewed."""
    if not letters:
        return
    ids = [letter.id for letter in letters]
    query = select(DeadLetterRow).options(defer(DeadLetterRow.raw)).where(DeadLetterRow.id.in_(ids))
    known = {row.id: row for row in session.scalars(query)}
    upsert(session, DeadLetterRow, [_values(letter) for letter in letters if letter.id not in known])
    for letter in letters:
        row = known.get(letter.id)
        if row is not None:
            row.stage, row.code, row.reason, row.plugin = (
                letter.stage,
                letter.code,
                letter.reason,
                letter.plugin,
            )
    session.flush()


def mark_replayed(session: Session, replayed: Mapping[str, Sequence[str]], at_us: int) -> None:
    """Note which events came out of dead letters; one that has gone since is passed over."""
    for letter_id, event_ids in replayed.items():
        row = session.get(DeadLetterRow, letter_id, with_for_update=True)
        known = list(row.replayed_as) if row is not None else []
        ids = list(dict.fromkeys([*known, *event_ids]))
        if row is None or (row.status == "replayed" and ids == known):
            continue
        row.replayed_as = ids
        _set_status(session, row, "replayed", _PIPELINE, at_us)


def search(session: Session, wanted: Filter) -> Page:
    """Return the dead letters asked for, newest first."""
    query = _matching(wanted).order_by(DeadLetterRow.received_us.desc(), DeadLetterRow.id.desc())
    if wanted.after is not None:
        received, _, letter_id = wanted.after.partition(".")
        query = query.where(
            tuple_(DeadLetterRow.received_us, DeadLetterRow.id) < tuple_(int(received), letter_id)
        )
    rows = session.scalars(query.limit(wanted.size + 1)).all()
    page = rows[: wanted.size]
    after = f"{page[-1].received_us}.{page[-1].id}" if len(rows) > len(page) else None
    return Page([_letter(row) for row in page], after)


def _matching(wanted: Filter) -> Select[DeadLetterRow]:
    query = select(DeadLetterRow)
    if wanted.code is not None:
        query = query.where(DeadLetterRow.code == wanted.code)
    if wanted.input is not None:
        query = query.where(DeadLetterRow.input == wanted.input)
    if wanted.status is not None:
        query = query.where(DeadLetterRow.status == wanted.status)
    if wanted.since_us is not None:
        query = query.where(DeadLetterRow.received_us >= wanted.since_us)
    if wanted.until_us is not None:
        query = query.where(DeadLetterRow.received_us < wanted.until_us)
    return query


def show(session: Session, letter_id: str) -> DeadLetter:
    """Return one dead letter.

    :raises NotFoundError: there is none of this id.
    """
    return _letter(_row(session, letter_id))


def start_replay(session: Session, letter_id: str, actor: audit.Actor) -> DeadLetter:
    """Note that somebody tries a dead letter again, and return it; the caller puts it into the queue after that.

    It becomes ``replayed`` when its events are stored, and stays ``open`` with a new reason when it fails again.

    :raises NotFoundError: there is none of this id.
    """
    row = _row(session, letter_id)
    row.attempts += 1
    tried = audit.Change("replay", "dead letter", row.id, "attempts", row.attempts - 1, row.attempts)
    audit.append(session, actor, tried)
    return _letter(row)


def as_item(letter: DeadLetter) -> Item:
    """Return the item that replays a letter: its bytes, its origin and its first time of reception.

    :raises ValueError: only a part of what was received is kept.
    """
    if letter.received_bytes is not None:
        kept, received = len(letter.raw), letter.received_bytes
        how_many = f"{received:,}" if received > kept else "perhaps more"
        raise ValueError(
            f"dead letter {letter.id} cannot be replayed: only the first {kept:,} of {how_many} bytes that were"
            " received are kept; have its sender send it again"
        )
    (item_id,) = new_ids(letter.received_us, 1)
    return Item(
        item_id,
        letter.received_us,
        letter.origin,
        letter.raw,
        letter.sender_id,
        replay_of=letter.id,
        fields=letter.fields,
    )


def discard(session: Session, letter_id: str, actor: audit.Actor) -> None:
    """Note that somebody has decided that nothing will come of a dead letter; it is kept until its time is up.

    :raises NotFoundError: there is none of this id.
    """
    row = _row(session, letter_id)
    if row.status != "discarded":
        _set_status(session, row, "discarded", actor, now_us())


def counts(session: Session) -> Mapping[str, int]:
    """Return how many there are of each status, and as ``lost`` how many open ones went by age or size."""
    query = select(DeadLetterRow.status, func.count().label("number")).group_by(DeadLetterRow.status)
    found = {row.status: row.number for row in session.execute(query)}
    return {**found, "lost": read_number(session, _LOST)}


class Due(NamedTuple):
    """Ids of dead letters that may go: those somebody has dealt with, and those that are lost by it."""

    settled: Sequence[str]
    open: Sequence[str]


def due(session: Session, keep: Keep, now_us: int, most: int) -> Due:
    """Return letters that have been kept long enough, else the oldest of those that take too much.

    Never more than ``most`` of each kind, nor more than :data:`STEP_BYTES` of either but for one letter.
    """
    settled = _oldest(session, _SETTLED, most, _before(now_us, keep.settled_letters))
    still_open = _oldest(session, ("open",), most, _before(now_us, keep.open_letters))
    if settled or still_open:
        return Due(_ids(settled, STEP_BYTES), _ids(still_open, STEP_BYTES))
    excess = (session.scalar(select(func.sum(DeadLetterRow.size_bytes))) or 0) - keep.letters_bytes
    if excess <= 0:
        return Due([], [])
    enough = min(excess, STEP_BYTES)
    if settled := _oldest(session, _SETTLED, most, _ANY_TIME):
        return Due(_ids(settled, enough), [])
    return Due([], _ids(_oldest(session, ("open",), most, _ANY_TIME), enough))


def _before(now_us: int, kept: timedelta | None) -> int | None:
    return None if kept is None else now_us - kept // timedelta(microseconds=1)


def _oldest(
    session: Session, statuses: Sequence[str], most: int, before_us: int | None
) -> Sequence[tuple[int, str, int]]:
    """Return time, id and size of letters received before a time, oldest first; each status has its own index."""
    if before_us is None:
        return []
    columns = select(DeadLetterRow.received_us, DeadLetterRow.id, DeadLetterRow.size_bytes)
    in_order = columns.order_by(DeadLetterRow.received_us, DeadLetterRow.id).limit(most)
    found = [
        (row.received_us, row.id, row.size_bytes)
        for status in statuses
        for row in session.execute(
            in_order.where(DeadLetterRow.status == status, DeadLetterRow.received_us < before_us)
        )
    ]
    return sorted(found)[:most]


def _ids(letters: Sequence[tuple[int, str, int]], enough_bytes: int) -> Sequence[str]:
    """Return the ids of the first letters that together have so many bytes, or of all."""
    chosen = []
    for _, letter_id, size_bytes in letters:
        if enough_bytes <= 0:
            break
        chosen.append(letter_id)
        enough_bytes -= size_bytes
    return chosen


def remove(session: Session, chosen: Due) -> tuple[int, int]:
    """Remove letters, except those whose status has changed since; return how many of each kind went.

    The loss of open ones is added to a counter that :func:`counts` shows.
    """
    gone = []
    for ids, statuses in ((chosen.settled, _SETTLED), (chosen.open, ("open",))):
        statement = delete(DeadLetterRow).where(DeadLetterRow.id.in_(ids), DeadLetterRow.status.in_(statuses))
        gone.append(removed(session, statement) if ids else 0)
    settled, lost = gone
    if lost:
        next_number(session, _LOST, lost)
    return settled, lost


def _row(session: Session, letter_id: str) -> DeadLetterRow:
    row = session.get(DeadLetterRow, letter_id)
    if row is None:
        raise NotFoundError(f"there is no dead letter {letter_id!r}")
    return row


def _set_status(session: Session, row: DeadLetterRow, status: str, actor: audit.Actor, at_us: int) -> None:
    change = audit.Change(status, "dead letter", row.id, "status", row.status, status)
    row.status = status
    audit.append(session, actor, change, at_us)


def _values(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "received_us": letter.received_us,
        "input": letter.origin.name,
        "origin": asdict(letter.origin),
        "stage": letter.stage,
        "code": letter.code,
        "reason": letter.reason,
        "plugin": letter.plugin,
        "raw": letter.raw,
        "size_bytes": len(letter.raw) + len(letter.reason),
        "attempts": letter.attempts,
        "status": letter.status,
        "replayed_as": list(letter.replayed_as),
        "fields": dict(letter.fields),
        "sender_id": letter.sender_id,
        "received_bytes": letter.received_bytes,
    }


def _letter(row: DeadLetterRow) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        received_us=row.received_us,
        origin=Origin(**row.origin),
        stage=cast(Literal["parse", "normalise", "map", "store"], row.stage),
        code=row.code,
        reason=row.reason,
        raw=row.raw,
        plugin=row.plugin,
        attempts=row.attempts,
        status=cast(Literal["open", "replayed", "discarded"], row.status),
        replayed_as=tuple(row.replayed_as),
        fields=row.fields,
        sender_id=row.sender_id,
        received_bytes=row.received_bytes,
    )
