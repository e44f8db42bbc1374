"""The event store over an engine: one index per UTC day of reception and retention class, in one cluster.

What the layout (query/dsl) costs was measured with events of 950 bytes on nodes with one shard, of which four and other
work shared two cores, so that times compare only with each other:

- Columns: 50,000 events, merged, took 28.7, 29.8 and 36.1 MB in Elasticsearch 8.19 with 16, 64 and 256 columns. With 64
  a column holds the terms of few paths, and grouping costs as little as with 256.
- Groups of 200, 1,000, 35,000 and 50,000 values of 50,000 events, in ms, on 64 columns: by a terms aggregation with an
  expression 716, 756, 761, 1,865 and by a composite one in pages of 10,000 642, 198, 2,966, 3,632 (8.19); 136, 181,
  1,767, 1,812 and 164, 173, 1,933, 2,007 (9.5). So terms first, and composite for what does not fit in one answer.
- Writing: 930 to 960 events/s, where a mapping by the events' own names (keywords, no ranges over mixed types, no
  matching without case) took 2,300 to 3,800; 877 bytes an event against 270 just after writing. With 400 further names,
  that mapping spent 85 s on the first 2,000 events and refused some; with MozDef's it makes no difference.
- A document costs 250 us of Python, where the embedded store's costs 70.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Event
from mozdef_core.indices import counting
from mozdef_core.indices.catalogue import Catalogue
from mozdef_core.indices.engine import Engine, unavailable
from mozdef_core.indices.names import Name, Names, day_of_id
from mozdef_core.indices.reading import MOST_AT_ONCE, CutShort, by_id, in_order
from mozdef_core.indices.requests import Clock, Requests, event_of
from mozdef_core.indices.settings import IndexOptions
from mozdef_core.indices.startup import find_version, warn_of_health
from mozdef_core.indices.writing import Writing
from mozdef_core.ports import Between, EventStore, FieldInfo, Page, StorePartition, StoreRefusal, StoreStatus
from mozdef_core.ports.store import ANY_TIME, EVERYTHING
from mozdef_core.query import evaluate
from mozdef_core.query.dsl import compile as dsl
from mozdef_core.query.dsl.clauses import Clause, between, both, terms
from mozdef_core.query.dsl.document import FOREIGN, Layout
from mozdef_core.query.groups import frequent
from mozdef_core.query.model import Query, Search
from mozdef_core.query.order import Position, decode, encode
from mozdef_core.query.plain import plain

log = logging.getLogger(__name__)

_IDS_AT_ONCE: Final = 1_000


class IndexStore(EventStore):
    """Events in a cluster of Elasticsearch or OpenSearch; any number of processes may write and read.

    Instances may be used from several threads; writes of one instance come one after the other. What an instance has
    written it finds at once, others after the refresh interval or :meth:`refresh`.

    When the cluster does not answer at the start, the check waits for the first use, so that a machine that takes
    events in comes up without it.

    :param mode: a reader refuses to write, and leaves the index template alone.
    :raises ConfigError: the cluster cannot be used as it is configured; it says what to change.
    """

    def __init__(self, engine: Engine, options: IndexOptions, mode: Literal["writer", "reader"]) -> None:
        self._engine = engine
        self._options = options
        self._mode = mode
        self._names = Names(options.prefix)
        self._catalogue = Catalogue(engine, self._names, _settings(options))
        self._requests = Requests(engine, self._names)
        self._layout = Layout()
        self._writing = threading.Lock()
        self._checking = threading.Lock()
        self._version: str | None = None
        self._dirty: set[Name] = set()
        self.time_limit_s = options.search_timeout_s
        try:
            self._check()
        except StoreUnavailableError as error:
            log.warning("the event store cannot be used yet: %s", error)

    def _check(self) -> str:
        """Make sure, once, that the cluster can be used, and return its version.

        :raises ConfigError, StoreUnavailableError: it cannot, or not now.
        """
        with self._checking:
            if self._version is None:
                version = find_version(self._engine)
                if self._mode == "writer":
                    self._catalogue.put_template()
                warn_of_health(self._engine)
                self._catalogue.refresh()  # what was there when this instance was opened is found by it
                self._version = version
            return self._version

    def write(self, events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        """Store events; when this returns each is in the translog of a shard and its copies, on disk.

        An event goes in with ``create`` under its id, so that one that is there stays as it is, also after a call that
        failed in the middle. What the cluster cannot take now is tried again, with growing pauses, for
        ``write_patience_s``.
        """
        if self._mode != "writer":
            raise StoreUnavailableError("the store is open for reading in this process")
        self._check()
        if (
            maybe_known
        ):  # the same day and class tell themselves; this is for a class that was changed meanwhile
            known = self.known(event.id for event in events)
            events = [event for event in events if event.id not in known]
        if not events:
            return []
        with self._writing:
            writing = Writing(
                self._engine,
                self._names,
                self._layout,
                self._catalogue,
                patience_s=self._options.write_patience_s,
                bulk_bytes=int(self._options.bulk_mb * 1_000_000),
            )
            try:
                writing.run(events)
            finally:
                self._dirty |= writing.touched
            return writing.refusals

    def _settle(self) -> None:
        """Make what this instance has written visible to its searches."""
        self._check()
        if not self._dirty:
            return
        dirty = self._dirty
        self._dirty = set()
        try:
            self._catalogue.refresh(sorted(dirty))
        except StoreUnavailableError:
            self._dirty |= dirty
            raise

    def known(self, ids: Iterable[str]) -> set[str]:
        """Return those of the ids that are stored."""
        wanted = list(dict.fromkeys(ids))
        self._settle()
        found: set[str] = set()
        for start in range(0, len(wanted), _IDS_AT_ONCE):
            chunk = wanted[start : start + _IDS_AT_ONCE]
            found.update(hit["_id"] for hit in self._with_ids(chunk, source=False))
        return found

    def get(self, event_id: str) -> Event | None:
        """Return one event, or None."""
        self._settle()
        return next(map(event_of, self._with_ids([event_id], source=True)), None)

    def _with_ids(self, ids: Sequence[str], *, source: bool) -> Iterator[Mapping[str, Any]]:
        """Yield the hits of some ids: on the days that they tell, or anywhere when they were received on another."""
        among: Clause = {"ids": {"values": list(ids)}}
        body = {"_source": source, "size": MOST_AT_ONCE, "track_total_hits": False}
        days = self._names.days(day for one in ids if (day := day_of_id(one)) is not None)
        searches = [{"query": both([among, terms("odd", [FOREIGN])]), **body}]
        places = [[self._names.pattern]]
        if days:
            searches.append({"query": among, **body})
            places.append(days)
        for answer in self._requests.search_many(searches, places):
            yield from answer["hits"]["hits"]

    def search(self, search: Search) -> Page:
        """Return one page of events.

        The engine gives a search up after ``search_timeout_s``; the page then holds what it had found, has no cursor,
        and is marked as not complete. Where events had to be looked at in memory, the cursor leads on from there.
        """
        query = plain(search.query)
        matches = evaluate.compile(query)
        after = None if search.after is None else decode(search.after)
        compiled = dsl.compile(query)
        self._settle()
        clock = Clock(self._options.search_timeout_s)
        wanted = both([compiled.possible, between("us", *search.between)])
        piece = search.size + 1 if compiled.exact else max(search.size + 1, 500)
        events: list[Event] = []
        seen: Position | None = after
        full: Position | None = after
        try:
            for hit in in_order(self._requests, clock, wanted, search.order, after, piece):
                if seen is not after and seen is not None and clock.up:
                    return Page(events, encode(seen), complete=False)
                seen = hit.position
                if not compiled.exact and not matches(hit.event):
                    continue
                if len(events) == search.size:
                    return Page(events, None if full is None else encode(full))
                events.append(hit.event)
                full = seen
        except CutShort as cut:
            events += [hit.event for hit in cut.hits if matches(hit.event)]
            return Page(events[: search.size], None, complete=False)
        return Page(events, None)

    def count(self, query: Query, between: Between = ANY_TIME) -> int:
        """Return how many events match, exactly."""
        self._settle()
        return counting.count(self._requests, self._clock(), query, between)

    def groups(
        self, field: str, query: Query = EVERYTHING, between: Between = ANY_TIME, *, at_least: int = 1
    ) -> Mapping[str, int]:
        """Return for each group by a field how many events it has."""
        self._settle()
        return frequent(counting.groups_by(self._requests, self._clock(), field, query, between), at_least)

    def numbers(
        self, field: str, query: Query = EVERYTHING, between: Between = ANY_TIME
    ) -> Mapping[int | float, int]:
        """Return for each number under a field how many events hold it."""
        self._settle()
        return counting.numbers_in(self._requests, self._clock(), field, query, between)

    def histogram(self, query: Query, edges: Sequence[int]) -> Sequence[int]:
        """Return how many events there are from each edge to the next."""
        self._settle()
        return counting.histogram(self._requests, self._clock(), query, edges)

    def fields(self, between: Between = ANY_TIME) -> Sequence[FieldInfo]:
        """Return the fields that events have, sorted by name."""
        self._settle()
        return counting.fields(self._requests, self._clock(), between)

    def _clock(self) -> Clock:
        return Clock(self.time_limit_s)

    def between_ids(self, first: str, last: str) -> Iterator[Event]:
        """Yield the events with ids from ``first`` to ``last``, those that are there at the call."""
        self._settle()
        if first > last:
            return iter(())
        return by_id(self._requests, {"range": {"id": {"gte": first, "lte": last}}})

    def refresh(self) -> None:
        """Make what other processes have written until now visible."""
        self._check()
        self._dirty = set()
        self._catalogue.refresh()

    def status(self) -> StoreStatus:
        """Return size and contents; the size counts all copies."""
        version = self._check()
        days: dict[str, int] = {}
        size_bytes = 0
        for name, number, size in self._sizes():
            size_bytes += size
            if number:
                days[name.day] = days.get(name.day, 0) + number
        return StoreStatus(f"{self._engine.dialect.name} {version}", sum(days.values()), size_bytes, days)

    def _sizes(self) -> list[tuple[Name, int, int]]:
        """Return for each index how many events it has and how many bytes they take, with all copies, by day."""
        self._settle()
        answer = self._engine.perform(
            "GET",
            f"/{self._names.pattern}/_stats/docs,store",
            {"level": "indices", "ignore_unavailable": "true"},
        )
        if not answer.ok and answer.status != 404:
            raise unavailable("the size of the indices cannot be read", answer)
        return sorted(
            (name, stats["primaries"]["docs"]["count"], stats["total"]["store"]["size_in_bytes"])
            for index, stats in (answer.body.get("indices", {}) if answer.ok else {}).items()
            if (name := self._names.read(index)) is not None
        )

    def partitions(self) -> Sequence[StorePartition]:
        """Return every index and how much room it takes, the oldest day first."""
        return [StorePartition(*name, size) for name, _, size in self._sizes()]

    def retention_classes(self) -> Sequence[str]:
        """Return the retention classes that stored events have."""
        self._check()
        return sorted({name.retention_class for name in self._catalogue.all()})

    def drop_before(self, day: str, retention_class: str = "default") -> int:
        """Remove every index of the class whose day of reception is before ``day``; from any process."""
        self._check()
        old = [
            name
            for name in self._catalogue.all()
            if name.day < day and name.retention_class == retention_class
        ]
        self._dirty -= set(old)
        return self._catalogue.drop(old)

    def close(self) -> None:
        """Close the connections."""
        self._engine.close()


def _settings(options: IndexOptions) -> dict[str, Any]:
    copies = (
        {"index.auto_expand_replicas": "0-1"}
        if options.replicas is None
        else {"index.number_of_replicas": options.replicas}
    )
    return {
        "index.number_of_shards": options.shards,
        "index.refresh_interval": f"{int(options.refresh_s * 1000)}ms",
        **copies,
    }
