"""The event store as everybody asks it: with the lists that a query names looked up first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mozdef_core.event import Event
from mozdef_core.ports import Between, EventStore, FieldInfo, Page, StorePartition, StoreRefusal, StoreStatus
from mozdef_core.ports.store import ANY_TIME, EVERYTHING
from mozdef_core.query.lists import Lists, resolve
from mozdef_core.query.model import Query, Search


class ListedStore(EventStore):
    """Resolves each query, and leaves all else to the store behind it.

    :param store: what is asked; it is closed with this one.
    :param lists: what ``field:@name`` means.
    """

    def __init__(self, store: EventStore, lists: Lists) -> None:
        self._store = store
        self._lists = lists
        self.time_limit_s = store.time_limit_s

    def search(self, search: Search) -> Page:
        """Return one page of events."""
        return self._store.search(replace(search, query=resolve(search.query, self._lists)))

    def compiled(self, query: Query) -> Callable[[Event], bool]:
        """Return a query as a function of an event, with the lists as they are now."""
        return self._store.compiled(resolve(query, self._lists))

    def count(self, query: Query, between: Between = ANY_TIME) -> int:
        """Return how many events match."""
        return self._store.count(resolve(query, self._lists), between)

    def groups(
        self, field: str, query: Query = EVERYTHING, between: Between = ANY_TIME, *, at_least: int = 1
    ) -> Mapping[str, int]:
        """Return how many matching events each value of a field has."""
        return self._store.groups(field, resolve(query, self._lists), between, at_least=at_least)

    def numbers(
        self, field: str, query: Query = EVERYTHING, between: Between = ANY_TIME
    ) -> Mapping[int | float, int]:
        """Return how many matching events hold each number."""
        return self._store.numbers(field, resolve(query, self._lists), between)

    def histogram(self, query: Query, edges: Sequence[int]) -> Sequence[int]:
        """Return how many matching events there are between each two edges."""
        return self._store.histogram(resolve(query, self._lists), edges)

    def write(self, events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        """Store events."""
        return self._store.write(events, maybe_known=maybe_known)

    def known(self, ids: Iterable[str]) -> set[str]:
        """Return those of the ids that are stored."""
        return self._store.known(ids)

    def get(self, event_id: str) -> Event | None:
        """Return one event, or None."""
        return self._store.get(event_id)

    def fields(self, between: Between = ANY_TIME) -> Sequence[FieldInfo]:
        """Return which fields events have."""
        return self._store.fields(between)

    def between_ids(self, first: str, last: str) -> Iterator[Event]:
        """Yield the events with ids from one to another."""
        return self._store.between_ids(first, last)

    def refresh(self) -> None:
        """See what was written meanwhile."""
        self._store.refresh()

    def status(self) -> StoreStatus:
        """Return size and contents."""
        return self._store.status()

    def retention_classes(self) -> Sequence[str]:
        """Return the retention classes that stored events have."""
        return self._store.retention_classes()

    def partitions(self) -> Sequence[StorePartition]:
        """Return what can be dropped at once."""
        return self._store.partitions()

    def drop_before(self, day: str, retention_class: str = "default") -> int:
        """Remove old partitions."""
        return self._store.drop_before(day, retention_class)

    def close(self) -> None:
        """Close the store behind."""
        self._store.close()
