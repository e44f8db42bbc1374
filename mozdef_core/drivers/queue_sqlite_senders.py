"""The sender ids that the SQLite queue has seen lately, so that a repeat is known as one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson
import zstandard

from mozdef_core.ports import Item

_SHARES: Final = 4
"""A generation is closed after this part of the window or of the limit."""
_ASKED_AT_ONCE: Final = 500
_CLEARED_AT_ONCE: Final = 1000


class Place(NamedTuple):
    """Where the first item with a sender id stands: in which batch, and at which position."""

    batch: int
    ordinal: int


def hash_of(item: Item) -> bytes | None:
    """Return what its sender id is known by within its entrance, None without one.

    96 bits: with ten million ids kept, two of them agree by chance once in 10^22 events.
    """
    if item.sender_id is None or item.replay_of is not None:
        return None
    text = f"{item.origin.name}\0{item.sender_id}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


class SenderIds:
    """The tables of sender ids, used inside the transaction that writes the batches themselves.

    Ids are kept in generations, each a quarter of the window long, because a whole generation can be cleared in
    the order of its keys, a few pages with each batch; deleting single ids in the order of their age would touch a
    page for each. What a generation holds of an id is its hash and the place of its item; the ids of a batch's
    items are kept once for all of them.

    :param window_s: seconds within which an id is known.
    :param limit: how many ids are kept at most; beyond that the oldest go.
    """

    def __init__(self, window_s: float, limit: int) -> None:
        self._window_us = int(window_s * 1_000_000)
        self._limit = limit

    def find(self, connection: sqlite3.Connection, hashes: Sequence[bytes], now_us: int) -> dict[bytes, str]:
        """Return the id of the first item of each hash that is known."""
        places: dict[bytes, tuple[int, Place]] = {}
        generations = connection.execute(
            "SELECT id FROM sender_generations WHERE NOT dying AND last_us >= ? ORDER BY id",
            (now_us - self._window_us,),
        ).fetchall()
        for (generation,) in generations:
            for some in _parts(hashes):
                marks = ",".join("?" * len(some))
                query = (
                    f"SELECT hash, batch, ordinal FROM sender_ids WHERE generation = ? AND hash IN ({marks})"  # noqa: S608  # only marks
                )
                for known, batch, ordinal in connection.execute(query, (generation, *some)):
                    places[known] = (generation, Place(batch, ordinal))
        if not places:
            return {}
        batches = {(generation, place.batch) for generation, place in places.values()}
        ids = dict(self._ids(connection, batches, now_us))
        return {
            known: ids[place.batch][place.ordinal]
            for known, (_, place) in places.items()
            if place.batch in ids
        }

    def _ids(
        self, connection: sqlite3.Connection, batches: set[tuple[int, int]], now_us: int
    ) -> Iterator[tuple[int, list[str]]]:
        query = "SELECT ids FROM sender_batches WHERE generation = ? AND batch = ? AND time_us >= ?"
        for generation, batch in batches:
            for (packed,) in connection.execute(query, (generation, batch, now_us - self._window_us)):
                yield batch, orjson.loads(zstandard.decompress(packed))

    def add(
        self,
        connection: sqlite3.Connection,
        places: Mapping[bytes, int],
        ids: Sequence[str],
        batch: int,
        now_us: int,
    ) -> int:
        """Keep the ids of a batch.

        :param places: the position of each hash's item in ``ids``.
        :returns: how many ids had to be forgotten before their time, because of the limit.
        """
        generation, forgotten = self._generation(connection, len(places), now_us)
        connection.executemany(
            "INSERT OR REPLACE INTO sender_ids VALUES (?, ?, ?, ?)",
            [(generation, known, batch, places[known]) for known in sorted(places)],
        )
        packed = zstandard.compress(orjson.dumps(list(ids)), 1)
        connection.execute(
            "INSERT INTO sender_batches VALUES (?, ?, ?, ?)", (generation, batch, now_us, packed)
        )
        self._clear(connection, max(_CLEARED_AT_ONCE, 2 * len(places)), now_us)
        return forgotten

    def _generation(self, connection: sqlite3.Connection, more: int, now_us: int) -> tuple[int, int]:
        """Return the generation that new ids belong to, and how many ids went too early to make room."""
        rows = connection.execute(
            "SELECT id, first_us, last_us, entries FROM sender_generations WHERE NOT dying ORDER BY id"
        ).fetchall()
        if rows:
            generation, first_us, _, entries = rows[-1]
            young = first_us <= now_us < first_us + self._window_us // _SHARES
            if young and entries + more <= max(self._limit // _SHARES, more):
                connection.execute(
                    "UPDATE sender_generations SET last_us = ?, entries = entries + ? WHERE id = ?",
                    (now_us, more, generation),
                )
                return generation, self._make_room(connection, rows[:-1], entries + more, now_us)
        (last,) = connection.execute("SELECT COALESCE(MAX(id), 0) FROM sender_generations").fetchone()
        connection.execute(
            "INSERT INTO sender_generations VALUES (?, ?, ?, ?, 0)", (last + 1, now_us, now_us, more)
        )
        return last + 1, self._make_room(connection, rows, more, now_us)

    def _make_room(
        self,
        connection: sqlite3.Connection,
        rows: Sequence[tuple[int, int, int, int]],
        held: int,
        now_us: int,
    ) -> int:
        """Give up the oldest generations while more than the limit is kept."""
        total = held + sum(entries for _, _, _, entries in rows)
        forgotten = 0
        for generation, _, last_us, entries in rows:
            if total <= self._limit:
                break
            connection.execute("UPDATE sender_generations SET dying = 1 WHERE id = ?", (generation,))
            total -= entries
            if last_us >= now_us - self._window_us:
                forgotten += entries
        return forgotten

    def _clear(self, connection: sqlite3.Connection, most: int, now_us: int) -> None:
        """Delete some of what is out of the window, in the order of the keys."""
        row = connection.execute(
            "SELECT id FROM sender_generations WHERE dying OR last_us < ? ORDER BY id LIMIT 1",
            (now_us - self._window_us,),
        ).fetchone()
        if row is None:
            return
        (generation,) = row
        deleted = connection.execute(
            "DELETE FROM sender_ids WHERE generation = :generation AND hash <= COALESCE((SELECT hash FROM sender_ids"
            " WHERE generation = :generation ORDER BY hash LIMIT 1 OFFSET :most - 1), x'ffffffffffffffffffffffffff')",
            {"generation": generation, "most": most},
        ).rowcount
        if deleted < most:
            connection.execute("DELETE FROM sender_batches WHERE generation = ?", row)
            connection.execute("DELETE FROM sender_generations WHERE id = ?", row)


def _parts(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield the hashes in parts that one statement can ask for."""
    for start in range(0, len(hashes), _ASKED_AT_ONCE):
        yield hashes[start : start + _ASKED_AT_ONCE]
