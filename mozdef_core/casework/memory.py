"""What rules remember from run to run, and which events those with a memory have dealt with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from mozdef_core.casework.database import upsert
from mozdef_core.casework.ledger_models import RememberedRow, SeenRow

_CHUNK: Final = 1_000
"""How many keys or ids go in one statement."""

_MINUTE_US: Final = 60_000_000


def remember(session: Session, rule: str, state: Mapping[str, Any], now_us: int) -> None:
    """Write what a rule remembers from now on; None forgets a key."""
    kept = {key: value for key, value in state.items() if value is not None}
    rows = [
        {"rule": rule, "digest": _digest(key), "key": key, "value": value, "at_us": now_us}
        for key, value in kept.items()
    ]
    upsert(session, RememberedRow, rows, replace=["value", "at_us"])
    for digests in _chunks(_digest(key) for key in state.keys() - kept.keys()):
        gone = (RememberedRow.rule == rule, RememberedRow.digest.in_(digests))
        session.execute(delete(RememberedRow).where(*gone).execution_options(synchronize_session=False))


def recall(
    session: Session, rule: str, keys: Collection[str] | None = None, prefix: str = ""
) -> dict[str, Any]:
    """Return what a rule remembers under these keys, or all; only keys that begin with a prefix, as it is written."""
    if keys is None:
        query = select(RememberedRow.key, RememberedRow.value).where(RememberedRow.rule == rule)
        if prefix:
            query = query.where(func.substr(RememberedRow.key, 1, len(prefix)) == prefix)
        return {row.key: row.value for row in session.execute(query)}
    wanted = {_digest(key): key for key in keys if key.startswith(prefix)}
    found: dict[str, Any] = {}
    for digests in _chunks(wanted):
        query = select(RememberedRow.digest, RememberedRow.value).where(
            RememberedRow.rule == rule, RememberedRow.digest.in_(digests)
        )
        found.update((wanted[digest], value) for digest, value in session.execute(query))
    return found


def note_seen(session: Session, rule: str, seen: Mapping[str, int]) -> None:
    """Note events that a rule has dealt with, each with its detection time."""
    rows = [{"rule": rule, "event_id": event_id, "minute": us // _MINUTE_US} for event_id, us in seen.items()]
    upsert(session, SeenRow, rows)


def seen(session: Session, rule: str, ids: Collection[str]) -> set[str]:
    """Return those events that a rule has dealt with."""
    found: set[str] = set()
    for chunk in _chunks(ids):
        query = select(SeenRow.event_id).where(SeenRow.rule == rule, SeenRow.event_id.in_(chunk))
        found.update(session.scalars(query))
    return found


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _chunks(values: Collection[str] | Iterator[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
