"""The progress in one log: how new the newest record was, and which of those near it have been handed over."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson


class Fresh(NamedTuple):
    """A record that has not been handed over.

    :param id: the vendor's, or where it has none a hash of the record and a number that tells equal ones apart.
    :param time_ms: since 1970; None where the record does not say.
    """

    id: str
    time_ms: int | None
    record: Any


class Progress:
    """Knows which records are new. Each look begins some time before the newest record, for those shown late.

    :param newest_ms: of the newest record, or when to begin, in milliseconds since 1970.
    :param seen: the ids of records handed over that lie within the overlap, with their times.
    :param overlap_ms: how far before the newest record a look begins.
    """

    def __init__(self, newest_ms: int, seen: Mapping[str, int], overlap_ms: int) -> None:
        self.newest_ms = newest_ms
        self._seen = dict(seen)
        self._overlap_ms = overlap_ms

    @property
    def since_ms(self) -> int:
        """Where the next look begins."""
        return max(0, self.newest_ms - self._overlap_ms)

    def fresh(self, records: Sequence[Any], id_name: str) -> list[Fresh]:
        """Return the records that are new, in their order.

        :param records: a page, which holds all of a second or its beginning.
        :param id_name: the member that is the id.
        """
        found: list[Fresh] = []
        equal: Counter[str] = Counter()
        for record in records:
            own = record.get(id_name) if isinstance(record, dict) and id_name else None
            if isinstance(own, str) and own:
                key = own
            else:
                key = hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
                equal[key] += 1
                key = f"{key}-{equal[key]}"
            if key not in self._seen:
                found.append(Fresh(key, time_of(record), record))
        return found

    def advance(self, handed: Sequence[Fresh], now_ms: int) -> None:
        """Remember records that the queue has, and forget ids that no look will meet again.

        :param now_ms: a record from after this does not keep those before it from being looked for.
        """
        times = [min(one.time_ms, now_ms) for one in handed if one.time_ms is not None]
        self.newest_ms = max([self.newest_ms, *times])
        for one in handed:
            self._seen[one.id] = self.newest_ms if one.time_ms is None else one.time_ms
        # Duo counts whole seconds, so that a look begins up to a second earlier than it asks.
        self._seen = {key: ms for key, ms in self._seen.items() if ms > self.since_ms - 1_000}

    def to_dict(self) -> dict[str, Any]:
        """Return what has to be written down."""
        return {"newest_ms": self.newest_ms, "seen": self._seen}


def time_of(record: object) -> int | None:
    """Return when a record's event happened, in milliseconds since 1970, None where it does not say."""
    if not isinstance(record, dict):
        return None
    seconds = record.get("timestamp")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 10**11:
        return int(seconds * 1_000)
    for name in ("isotimestamp", "ts"):
        try:
            return int(datetime.fromisoformat(record[name]).timestamp() * 1_000)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
    return None
