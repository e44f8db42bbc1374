"""The window over a span of the store, exact in detection time whatever order the store keeps."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from mozdef_core.alert import Consumed, Moment
from mozdef_core.detection import received
from mozdef_core.detection.intervals import Span
from mozdef_core.detection.memory import LedgerMemory
from mozdef_core.detection.received import pages, received_in
from mozdef_core.errors import QueryTimeoutError
from mozdef_core.event import LATE_HORIZON_S, Event
from mozdef_core.ports import Between, EventStore
from mozdef_core.ports.ledger import Ledger
from mozdef_core.ports.store import took_too_long
from mozdef_core.query.model import All, Query, Search
from mozdef_core.window import RuleMemory, Window

PAGE: Final = 5_000
"""So many events are held in memory while they are put in order."""

_NONE: Final = timedelta(0)
_MICROSECOND: Final = timedelta(microseconds=1)
_HORIZON_US: Final = LATE_HORIZON_S * 1_000_000
_SEEN_AT_ONCE: Final = 500

Keep = Callable[[Event, bool], bool]
"""Says whether an event stays, or is removed by an exception; the second argument: whether a removal counts."""


class StoreWindow(Window):
    """A span of the store, as one rule is given it.

    A store orders by the event's own time, a window by detection time (detections.md A3.2), which is the time of
    reception where a clock was ahead or an event is ancient. So each search is two: the events whose own time lies in
    the span, and those received in it whose own time does not; what neither belongs to is dropped by looking at it. It
    goes piece by piece, so that no more than some thousand events are in memory, however many match.

    :param rule: the rule's key in the ledger.
    :param late: spans before the window in which events have arrived late, for :meth:`fresh`.
    :param keep: what exceptions leave of the events.
    """

    __slots__ = (
        "_consumed",
        "_keep",
        "_late",
        "_ledger",
        "_looked",
        "_page",
        "_rule",
        "_store",
        "given",
        "kept",
    )

    def __init__(
        self,
        store: EventStore,
        ledger: Ledger,
        rule: str,
        span: Span,
        late: Sequence[Span] = (),
        keep: Keep | None = None,
        page: int = PAGE,
    ) -> None:
        super().__init__(*span)
        self._store = store
        self._ledger = ledger
        self._consumed: dict[timedelta, Mapping[str, Sequence[Consumed]]] = {}
        self._rule = rule
        self._late = late
        self._keep = keep
        self._page = page
        self.kept = LedgerMemory(ledger, rule)
        self.given: dict[str, int] = {}
        self._looked: list[array[int]] = []

    @property
    def events(self) -> int:
        """How many events of the window its searches have brought; one that several brought counts once."""
        brought = [ids for ids in self._looked if ids]
        return len(brought[0]) if len(brought) == 1 else len(set().union(*brought))

    @property
    def memory(self) -> RuleMemory:
        """What the rule remembers; changes are kept when the run has succeeded."""
        return self.kept

    def search(self, query: Query, *, before: timedelta = _NONE) -> Iterator[Event]:
        """Yield every event that matches, in order of (detection time, id).

        :raises QueryError: the query has no meaning, or the store takes too long.
        """
        span, looked = Span(self.start_us - before // _MICROSECOND, self.end_us), self._looking()
        for event in self._within(query, span):
            inside = event.detection_us >= self.start_us
            if self._keep is None or self._keep(event, inside):
                if inside:
                    looked.append(hash(event.id))
                yield event

    def _looking(self) -> array[int]:
        """Return what takes the hashes of the ids of the events that one search brings, eight bytes for each."""
        self._looked.append(looked := array("q"))
        return looked

    def __iter__(self) -> Iterator[Event]:
        """Yield every event of the window, in order of (detection time, id)."""
        return self.search(All())

    def compiled(self, query: Query) -> Callable[[Event], bool]:
        """Return a query as a function of an event, as the store understands it."""
        return self._store.compiled(query)

    def groups(
        self, by: str, query: Query, *, at_least: int = 1, before: timedelta = _NONE
    ) -> Mapping[str, int]:
        """Return how many matching events each value of a field has, counted by the store.

        Events by whose own time the window is touched count as well, and those that an exception removes.
        """
        span = Span(self.start_us - before // _MICROSECOND, self.end_us)
        strayed: dict[str, int] = {}
        for condition, between in _strays(query, span):
            for value, events in self._store.groups(by, condition, between).items():
                strayed[value] = strayed.get(value, 0) + events
        enough = max(1, at_least - max(strayed.values(), default=0))
        found = dict(self._store.groups(by, query, (span.start_us, span.end_us), at_least=enough))
        for value, events in strayed.items():
            found[value] = found.get(value, 0) + events
        return {value: events for value, events in found.items() if events >= at_least}

    def consumed(self, before: timedelta) -> Mapping[str, Sequence[Consumed]]:
        """Return what earlier alerts of the rule have consumed, by group value; a run asks the ledger once."""
        known = self._consumed.get(before)
        if known is None:
            start_us = self.start_us - before // _MICROSECOND
            known = self._consumed[before] = self._ledger.consumed(self._rule, start_us, self.end_us)
        return known

    def fresh(self, query: Query) -> Iterator[Event]:
        """Yield the matching events of the window and of the late spans that the rule has not been given yet."""
        spans, looked = sorted({*self._late, Span(self.start_us, self.end_us)}), self._looking()
        waiting: list[Event] = []
        for span in spans:
            for event in self._within(query, span):
                if self._keep is None or self._keep(event, True):
                    waiting.append(event)
                if len(waiting) == _SEEN_AT_ONCE:
                    yield from self._unseen(waiting, looked)
                    waiting = []
        yield from self._unseen(waiting, looked)

    def _unseen(self, events: Sequence[Event], looked: array[int]) -> Iterator[Event]:
        """Yield those events that the rule has not dealt with in an earlier run, and note that it has now."""
        known = self._ledger.seen(self._rule, [event.id for event in events]) if events else set()
        for event in events:
            if event.id not in known:
                self.given[event.id] = event.detection_us
                looked.append(hash(event.id))
                yield event

    def last(
        self, query: Query, *, since_us: int | None = None, before_us: int | None = None
    ) -> Event | None:
        """Return the match that was received last, whatever its own time; None for never."""
        end_us = self.end_us if before_us is None else min(before_us, self.end_us)
        return received.last(self._store, query, since_us, end_us)

    def first(self, query: Query, *, since_us: int, before_us: int | None = None) -> Event | None:
        """Return the match that was received first since a moment."""
        end_us = self.end_us if before_us is None else min(before_us, self.end_us)
        return received.first(self._store, query, since_us, end_us)

    def listened(self, start_us: int, end_us: int) -> Sequence[int]:
        """Return the minutes of a span in which MozDef was listening."""
        return self._ledger.listened(start_us, end_us)

    def _within(self, query: Query, span: Span) -> Iterator[Event]:
        """Yield what matches in a span of detection time, in order, a piece of the span after the other."""
        start_us, size = span.start_us, self._page
        while start_us < span.end_us:
            page = self._store.search(Search(query, (start_us, span.end_us), "oldest", size))
            if not page.complete:
                raise QueryTimeoutError(took_too_long(self._store.time_limit_s))
            stop_us = span.end_us if page.after is None else page.events[-1].time_us
            if stop_us == start_us:  # more events of one moment than a page holds
                size *= 2
                continue
            stop_us, strays = self._strayed(query, Span(start_us, stop_us))
            own = (event for event in page.events if event.time_us < stop_us)
            found = [event for event in (*own, *strays) if start_us <= event.detection_us < stop_us]
            yield from sorted(found, key=Moment.of)
            start_us, size = stop_us, self._page

    def _strayed(self, query: Query, span: Span) -> tuple[int, list[Event]]:
        """Return the events of a span whose own time lies outside, and where the span was cut, for they are many."""
        start_us, stop_us = span
        while True:
            found: list[Event] = []
            for condition, between in _strays(query, Span(start_us, stop_us)):
                for event in pages(self._store, condition, between, self._page):
                    found.append(event)
                    if len(found) > self._page and stop_us - start_us > 1:
                        break
            if len(found) <= self._page or stop_us - start_us <= 1:
                return stop_us, found
            stop_us = start_us + (stop_us - start_us) // 2


def _strays(query: Query, span: Span) -> Iterator[tuple[Query, Between]]:
    """Yield the searches that find what was received in a span and has its own time outside where that can matter.

    A clock that was ahead puts the event's own time behind the span, an ancient one so far before it that the time of
    reception counts; every other event is found by its own time.
    """
    condition = query & received_in(span.start_us, span.end_us)
    yield condition, (span.end_us, None)
    yield condition, (None, min(span.start_us, span.end_us - _HORIZON_US))
