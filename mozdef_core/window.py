"""The window: a span of events that a rule looks at, whichever of the three evaluators runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from mozdef_core.alert import Consumed
from mozdef_core.errors import RuleError
from mozdef_core.event import Event
from mozdef_core.query.groups import group_values
from mozdef_core.query.lists import NO_LISTS, resolve
from mozdef_core.query.model import Query

_NONE = timedelta(0)


class RuleMemory(ABC):
    """What a rule remembers from run to run: JSON values under keys of its choice, kept when the run has succeeded."""

    @abstractmethod
    def get(self, key: str) -> Any:
        """Return a value, or None."""

    @abstractmethod
    def get_many(self, keys: Collection[str]) -> Mapping[str, Any]:
        """Return the values that there are, with one query."""

    @abstractmethod
    def set(self, key: str, value: Any) -> None:
        """Remember a value; None forgets it."""

    @abstractmethod
    def items(self, prefix: str = "") -> Mapping[str, Any]:
        """Return all values whose key begins with a prefix."""


class Window(ABC):
    """A span of events. A rule cannot tell whether it is a batch, a span of the store, or of history.

    :param start_us: first moment, microseconds since 1970, inclusive.
    :param end_us: last moment, exclusive.
    """

    __slots__ = ("end_us", "start_us", "ungrouped", "ungrouped_sample")

    def __init__(self, start_us: int, end_us: int) -> None:
        self.start_us = start_us
        self.end_us = end_us
        self.ungrouped = 0
        self.ungrouped_sample = ""

    @abstractmethod
    def search(self, query: Query, *, before: timedelta = _NONE) -> Iterator[Event]:
        """Yield every event that matches, in order of (detection time, id). There is no limit.

        :param before: how far to look back behind the start of the window.
        :raises QueryError: the query has no meaning.
        """

    def compiled(self, query: Query) -> Callable[[Event], bool]:
        """Return a query as a function of an event that holds for what :meth:`search` finds by it, lists included.

        Costs some microseconds, so ask once in a run and not for every event.

        :raises QueryError: the query has no meaning, or looks into a list that does not exist.
        """
        from mozdef_core.query import evaluate  # 60 ms of grammar: only for who asks

        return evaluate.compile(resolve(query, NO_LISTS))

    def groups(
        self, by: str, query: Query, *, at_least: int = 1, before: timedelta = _NONE
    ) -> Mapping[str, int]:
        """Return how many matching events each value of a field has, for those with at least so many.

        Counts events, whatever ``details.repeated`` says; of a few events more than the window holds, at most.
        """
        counts: dict[str, int] = {}
        for event in self.search(query, before=before):
            for value in group_values(event, by):
                counts[value] = counts.get(value, 0) + 1
        return {value: count for value, count in counts.items() if count >= at_least}

    def count(self, query: Query) -> int:
        """Return how many events match."""
        return sum(1 for _ in self.search(query))

    @abstractmethod
    def __iter__(self) -> Iterator[Event]:
        """Yield every event of the window, in order of (detection time, id)."""

    def consumed(self, before: timedelta) -> Mapping[str, Sequence[Consumed]]:
        """Return what earlier alerts of the rule have consumed, by group value, from so long before the window on."""
        return {}

    @property
    def memory(self) -> RuleMemory:
        """What the rule remembers.

        :raises RuleError: this window keeps nothing, as on the stream.
        """
        raise RuleError("this rule keeps something from run to run, so it cannot run on the stream")

    def fresh(self, query: Query) -> Iterator[Event]:
        """Yield the matching events that have arrived since the rule's last run and that it has not been given yet.

        For rules that remember: in order of (detection time, id), late ones among them. None is given twice.
        """
        return self.search(query)

    def last(
        self, query: Query, *, since_us: int | None = None, before_us: int | None = None
    ) -> Event | None:
        """Return the match that was received last, however long ago; None for never.

        :param since_us: received then or later; None for ever.
        :param before_us: received before then; never after the end of the window.
        """
        raise NotImplementedError

    def first(self, query: Query, *, since_us: int, before_us: int | None = None) -> Event | None:
        """Return the match that was received first since a moment; as :meth:`last`."""
        raise NotImplementedError

    def listened(self, start_us: int, end_us: int) -> Sequence[int]:
        """Return the minutes since 1970 of a span in which MozDef was listening (detections.md C2)."""
        return range(start_us // 60_000_000, -(-end_us // 60_000_000))

    def note_ungrouped(self, event: Event) -> None:
        """Count a match that is in no group, since the grouping field is missing or an object (A3.5)."""
        self.ungrouped += 1
        self.ungrouped_sample = self.ungrouped_sample or event.id
