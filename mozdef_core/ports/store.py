"""The store port: where events are kept for search."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.event import Event
from mozdef_core.query import groups
from mozdef_core.query.lists import NO_LISTS, resolve
from mozdef_core.query.model import All, Query, Search

Between: TypeAlias = tuple[int | None, int | None]
"""First (inclusive) and last (exclusive) event time, microseconds since 1970; None is open."""

EVERYTHING: Final = All()
ANY_TIME: Final[Between] = (None, None)
_PAGE: Final = 1000


class StoreRefusal(NamedTuple):
    """An event that the store cannot take in any form, and why."""

    event: Event
    reason: str


class Page(NamedTuple):
    """One page of a search.

    :param after: cursor for the next page, None on the last one.
    :param complete: False when a limit of time or memory cut the answer short.
    """

    events: Sequence[Event]
    after: str | None
    complete: bool = True


class StorePartition(NamedTuple):
    """What retention removes as a whole: the events received on one day (``YYYY-MM-DD``) under one class."""

    day: str
    retention_class: str
    size_bytes: int


class StoreStatus(NamedTuple):
    """What the health page says about a store."""

    engine: str
    events: int
    size_bytes: int
    days: Mapping[str, int]


class FieldInfo(NamedTuple):
    """A field that stored events have.

    :param name: its dotted path.
    :param kinds: of its values, sorted: ``address boolean number string text time``.
    """

    name: str
    kinds: tuple[str, ...]


class EventStore(ABC):
    """Where events are kept for search. A process opens it as the writer or as a reader.

    What aggregations are made of, :meth:`groups`, :meth:`numbers`, :meth:`histogram` and :meth:`fields`, is answered
    here by looking at every event that matches; a driver overrides what its engine can do faster, with the same answer:
    exact, never sampled, never cut. The functions in query/groups.py say what is counted.
    """

    time_limit_s: float = 30.0
    """An aggregation that takes longer is given up."""

    @abstractmethod
    def write(self, events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        """Store events; when this returns they are on stable storage and can be found by every reader soon.

        A document that the engine refuses is tried again with its details as one string under
        ``details.fallback``; what is still refused is returned.

        :param maybe_known: some may be stored already (a redelivered batch); those are left as they are.
        :raises StoreUnavailableError: nothing of this call counts as stored; call again.
        """

    @abstractmethod
    def known(self, ids: Iterable[str]) -> set[str]:
        """Return those of the ids that are stored."""

    @abstractmethod
    def get(self, event_id: str) -> Event | None:
        """Return one event, or None."""

    @abstractmethod
    def search(self, search: Search) -> Page:
        """Return one page of events in the order asked for.

        :raises QueryError: the query has no meaning or cannot be answered exactly.
        """

    def compiled(self, query: Query) -> Callable[[Event], bool]:
        """Return a query as a function of an event, which holds for what :meth:`search` finds by it.

        :raises QueryError: the query has no meaning, or looks into a list that does not exist.
        """
        from mozdef_core.query import evaluate  # 60 ms of grammar: only for who asks

        return evaluate.compile(resolve(query, NO_LISTS))

    @abstractmethod
    def count(self, query: Query, between: Between = ANY_TIME) -> int:
        """Return how many events match, exactly."""

    def groups(
        self, field: str, query: Query = EVERYTHING, between: Between = ANY_TIME, *, at_least: int = 1
    ) -> Mapping[str, int]:
        """Return for each group by a field (:func:`~mozdef_core.query.groups.group_values`) how many events it has.

        :param at_least: groups with fewer events are left out, which spares some stores most of the work.
        :raises QueryError: the field makes no groups, the query has no meaning, or there are more groups than
            :data:`~mozdef_core.query.groups.MOST_VALUES`.
        :raises QueryTimeoutError: it took too long.
        """
        groups.check_group_field(field)
        return groups.frequent(groups.count_groups(self._scan(query, between), field), at_least)

    def numbers(
        self, field: str, query: Query = EVERYTHING, between: Between = ANY_TIME
    ) -> Mapping[int | float, int]:
        """Return for each number under a field (:func:`~mozdef_core.query.groups.numbers_of`) how many events hold it.

        :raises QueryError, QueryTimeoutError: as :meth:`groups`.
        """
        groups.check_group_field(field)
        return groups.count_numbers(self._scan(query, between), field)

    def histogram(self, query: Query, edges: Sequence[int]) -> Sequence[int]:
        """Return how many events there are from each edge (inclusive) to the next (exclusive), by event time.

        :param edges: microseconds since 1970, rising; fewer than two give no counts.
        :raises QueryError: the query has no meaning, or the edges do not rise.
        :raises QueryTimeoutError: it took too long.
        """
        edges = groups.check_edges(edges)
        if len(edges) < 2:
            return []
        counts = [0] * (len(edges) - 1)
        for event in self._scan(query, (edges[0], edges[-1])):
            counts[bisect_right(edges, event.time_us) - 1] += 1
        return counts

    def fields(self, between: Between = ANY_TIME) -> Sequence[FieldInfo]:
        """Return the fields that events have, sorted by name; those in ``mozdef.defaulted`` are not theirs.

        A store that keeps days apart may add the fields of events beside the span on the same days.

        :raises QueryError: there are more names than :data:`~mozdef_core.query.groups.MOST_VALUES`.
        :raises QueryTimeoutError: it took too long.
        """
        kinds: dict[str, set[str]] = {}
        for event in self._scan(EVERYTHING, between):
            for name, found in groups.kinds_of(event).items():
                kinds.setdefault(name, set()).update(found)
            if len(kinds) > groups.MOST_VALUES:
                raise QueryError(groups.too_many("names of fields"))
        return [FieldInfo(name, tuple(sorted(kinds[name]))) for name in sorted(kinds)]

    def _scan(self, query: Query, between: Between) -> Iterator[Event]:
        """Yield every event that matches, each once, for as long as the time limit allows.

        :raises QueryTimeoutError: it took too long.
        """
        deadline = time.monotonic() + self.time_limit_s
        after: str | None = None
        while True:
            page = self.search(Search(query, between, "oldest", _PAGE, after))
            if not page.complete or time.monotonic() >= deadline:
                raise QueryTimeoutError(took_too_long(self.time_limit_s))
            yield from page.events
            after = page.after
            if after is None:
                return

    @abstractmethod
    def between_ids(self, first: str, last: str) -> Iterator[Event]:
        """Yield the events with ids from ``first`` to ``last``, both included, in the order of their ids."""

    @abstractmethod
    def refresh(self) -> None:
        """Make what other processes have written until now visible to this one."""

    @abstractmethod
    def status(self) -> StoreStatus:
        """Return size and contents."""

    @abstractmethod
    def retention_classes(self) -> Sequence[str]:
        """Return the retention classes that stored events have."""

    @abstractmethod
    def partitions(self) -> Sequence[StorePartition]:
        """Return every partition and how much room it takes, the oldest day of reception first.

        :meth:`drop_before` with the day behind the first of a class removes that one alone.
        """

    @abstractmethod
    def drop_before(self, day: str, retention_class: str = "default") -> int:
        """Remove every partition of the class whose day of reception is before ``day`` (``YYYY-MM-DD``).

        :returns: how many partitions went.
        """

    @abstractmethod
    def close(self) -> None:
        """Release files and connections."""


def took_too_long(limit_s: float) -> str:
    """Return what is said when an aggregation is given up."""
    return (
        f"the answer took longer than {limit_s:g} s and is given up, for it is never cut: "
        "narrow the query or take a shorter time"
    )
