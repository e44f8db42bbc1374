"""The store port: where events are kept for search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mozdef_core.event import Event
from mozdef_core.query.model import Query, Search


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


class StoreStatus(NamedTuple):
    """What the health page says about a store."""

    engine: str
    events: int
    size_bytes: int
    days: Mapping[str, int]


class EventStore(ABC):
    """Where events are kept for search. A process opens it as the writer or as a reader."""

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

    @abstractmethod
    def count(self, query: Query, between: tuple[int | None, int | None] = (None, None)) -> int:
        """Return how many events match, exactly."""

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
    def drop_before(self, day: str, retention_class: str = "default") -> int:
        """Remove every partition of the class whose day of reception is before ``day`` (``YYYY-MM-DD``).

        :returns: how many partitions went.
        """

    @abstractmethod
    def close(self) -> None:
        """Release files and connections."""
