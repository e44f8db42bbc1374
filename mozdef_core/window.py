"""The window: a span of events that a rule looks at, whichever of the three evaluators runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from mozdef_core.event import Event
from mozdef_core.query.model import Query


class Window(ABC):
    """A span of events. A rule cannot tell whether it is a batch, a span of the store, or of history.

    :param start_us: first moment, microseconds since 1970, inclusive.
    :param end_us: last moment, exclusive.
    """

    __slots__ = ("end_us", "start_us")

    def __init__(self, start_us: int, end_us: int) -> None:
        self.start_us = start_us
        self.end_us = end_us

    @abstractmethod
    def search(self, query: Query) -> Iterator[Event]:
        """Yield every event that matches, in order of (detection time, id). There is no limit.

        :raises QueryError: the query has no meaning.
        """

    def count(self, query: Query) -> int:
        """Return how many events match."""
        return sum(1 for _ in self.search(query))

    @abstractmethod
    def __iter__(self) -> Iterator[Event]:
        """Yield every event of the window, in order of (detection time, id)."""
