"""The event store in memory: for tests, for trying a rule, and the reference that other stores are compared with."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal, NamedTuple

import orjson

from mozdef_core import options
from mozdef_core.errors import QueryTimeoutError
from mozdef_core.event import Change, Event
from mozdef_core.ports import Between, EventStore, Page, StorePartition, StoreRefusal, StoreStatus
from mozdef_core.ports.store import ANY_TIME, took_too_long
from mozdef_core.query import order
from mozdef_core.query.evaluate import compile
from mozdef_core.query.model import Query, Search

_LOOK_AT_CLOCK: Final = 256


class _Entry(NamedTuple):
    """One stored event with what it is ordered and dropped by."""

    us: int
    tie: int
    event: Event
    day: str
    retention_class: str
    size_bytes: int


def _position(entry: _Entry) -> order.Position:
    return order.Position(entry.us, entry.tie)


class Contents:
    """What several memory stores of one process share, as several handles share a directory on disk."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entries: dict[str, _Entry] = {}
        self.by_time: list[_Entry] = []
        self.by_id: list[str] = []


class MemoryStore(EventStore):
    """Events in a sorted list; every search looks at all events of its time.

    Instances may be used from several threads. Processes share nothing, and what was written is gone when the
    last handle is.

    :param options: there are none.
    :param path: where a store on disk would be; not looked at.
    :param mode: not looked at.
    :param contents: what to open; without it the store is empty and nobody else's.
    """

    class Options(options.Options):
        """The table ``[store.memory]``: it is empty."""

    def __init__(
        self,
        options: options.Options | None = None,
        path: Path | None = None,
        mode: Literal["writer", "reader"] = "writer",
        *,
        contents: Contents | None = None,
    ) -> None:
        self._contents = Contents() if contents is None else contents

    def write(self, events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        """Store events; an id that is stored already is left as it is, whatever ``maybe_known`` says."""
        refusals: list[StoreRefusal] = []
        entries: list[_Entry] = []
        for event in events:
            try:
                entries.append(_entry(event))
            except (KeyError, TypeError, ValueError) as error:
                refusals.append(StoreRefusal(event, f"{type(error).__name__}: {error}"))
        contents = self._contents
        with contents.lock:
            for entry in entries:
                if entry.event.id not in contents.entries:
                    contents.entries[entry.event.id] = entry
                    insort(contents.by_time, entry, key=_position)
                    insort(contents.by_id, entry.event.id)
        return refusals

    def known(self, ids: Iterable[str]) -> set[str]:
        """Return those of the ids that are stored."""
        with self._contents.lock:
            return {event_id for event_id in ids if event_id in self._contents.entries}

    def get(self, event_id: str) -> Event | None:
        """Return one event, or None."""
        with self._contents.lock:
            entry = self._contents.entries.get(event_id)
        return None if entry is None else entry.event

    def search(self, search: Search) -> Page:
        """Return one page of events in the order asked for."""
        matches = compile(search.query)
        newest = search.order == "newest"
        entries = self._between(search.between)
        if search.after is not None:
            after = order.decode(search.after)
            if newest:
                entries = entries[: bisect_left(entries, after, key=_position)]
            else:
                entries = entries[bisect_right(entries, after, key=_position) :]
        page: list[_Entry] = []
        for entry in reversed(entries) if newest else entries:
            if matches(entry.event):
                if len(page) == search.size:
                    return Page(_events(page), order.encode(_position(page[-1])))
                page.append(entry)
        return Page(_events(page), None)

    def count(self, query: Query, between: Between = ANY_TIME) -> int:
        """Return how many events match, exactly."""
        matches = compile(query)
        return sum(1 for entry in self._between(between) if matches(entry.event))

    def between_ids(self, first: str, last: str) -> Iterator[Event]:
        """Yield the events with ids from ``first`` to ``last``, those that are there at the call."""
        contents = self._contents
        with contents.lock:
            ids = contents.by_id[bisect_left(contents.by_id, first) : bisect_right(contents.by_id, last)]
            return iter([contents.entries[event_id].event for event_id in ids])

    def refresh(self) -> None:
        """Do nothing: all handles look at the same events."""

    def status(self) -> StoreStatus:
        """Return size and contents; the size is that of the events as JSON."""
        days: dict[str, int] = {}
        size_bytes = 0
        with self._contents.lock:
            for entry in self._contents.by_time:
                days[entry.day] = days.get(entry.day, 0) + 1
                size_bytes += entry.size_bytes
        return StoreStatus("memory", sum(days.values()), size_bytes, dict(sorted(days.items())))

    def retention_classes(self) -> Sequence[str]:
        """Return the retention classes that stored events have."""
        with self._contents.lock:
            return sorted({entry.retention_class for entry in self._contents.by_time})

    def partitions(self) -> Sequence[StorePartition]:
        """Return every day of every class; the size is that of its events as JSON."""
        sizes: dict[tuple[str, str], int] = {}
        with self._contents.lock:
            for entry in self._contents.by_time:
                name = (entry.day, entry.retention_class)
                sizes[name] = sizes.get(name, 0) + entry.size_bytes
        return [StorePartition(*name, size_bytes) for name, size_bytes in sorted(sizes.items())]

    def drop_before(self, day: str, retention_class: str = "default") -> int:
        """Remove every day of reception of the class before ``day`` (``YYYY-MM-DD``)."""
        contents = self._contents
        with contents.lock:
            old = [
                entry
                for entry in contents.by_time
                if entry.day < day and entry.retention_class == retention_class
            ]
            gone = {entry.event.id for entry in old}
            for event_id in gone:
                del contents.entries[event_id]
            contents.by_time = [entry for entry in contents.by_time if entry.event.id not in gone]
            contents.by_id = [event_id for event_id in contents.by_id if event_id not in gone]
        return len({entry.day for entry in old})

    def close(self) -> None:
        """Let go of the events; other handles keep them."""
        self._contents = Contents()

    def _scan(self, query: Query, between: Between) -> Iterator[Event]:
        """Yield every event that matches, those that are there at the call."""
        matches = compile(query)
        deadline = time.monotonic() + self.time_limit_s
        for number, entry in enumerate(self._between(between)):
            if number % _LOOK_AT_CLOCK == 0 and time.monotonic() >= deadline:
                raise QueryTimeoutError(took_too_long(self.time_limit_s))
            if matches(entry.event):
                yield entry.event

    def _between(self, between: Between) -> list[_Entry]:
        first_us, end_us = between
        with self._contents.lock:
            entries = self._contents.by_time
            start = 0 if first_us is None else bisect_left(entries, first_us, key=attrgetter("us"))
            stop = len(entries) if end_us is None else bisect_left(entries, end_us, key=attrgetter("us"))
            return entries[start:stop]


def _entry(event: Event) -> _Entry:
    """Make what is kept of an event; its details become one string where they are no JSON.

    :raises KeyError, TypeError, ValueError: the event cannot be kept: it has no times, or is no JSON elsewhere.
    """
    try:
        raw = orjson.dumps(event.body)
    except TypeError:
        text = json.dumps(event.body.get("details"), ensure_ascii=False, default=str)
        event = event.with_change(Change(set={"details": {"fallback": text}}))
        raw = orjson.dumps(event.body)
    where = order.position(event)
    received = datetime.fromtimestamp(event.received_us // 1_000_000, UTC)
    retention_class = event.text("mozdef.retention", "default")
    return _Entry(where.us, where.tie, event, f"{received:%Y-%m-%d}", retention_class, len(raw))


def _events(entries: Iterable[_Entry]) -> list[Event]:
    return [entry.event for entry in entries]
