"""The groups of whole hours, remembered, so that a wide span asked for again is a sum and two rests.

Dashboards ask the same of a day that has moved on by a minute. A day of 600,000 events takes tantivy 6 to 10 ms to
group by a field that half of them have, whatever is asked; adding up 24 hours takes a tenth of that. Events are only
ever added to a partition, so what was counted in an hour is right as long as the index has as many events of that
hour, which it tells in 2 us; an hour that events still arrive in is counted anew, alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from mozdef_core.drivers.tantivy_catalogue import HOUR_US, Catalogue
from mozdef_core.drivers.tantivy_pages import Span
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.drivers.tantivy_windows import FEWEST_EVENTS
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    Range,
    Regexp,
    Subnet,
    Term,
    Terms,
    Wildcard,
)

MOST_GROUPS: Final = 500
"""An hour with more groups is not kept, and its field is counted over the span as a whole."""
MOST_KEPT: Final = 200_000
"""So many counts are kept in all, some 20 MB; those of the question asked longest ago go first."""

_FEWEST_HOURS: Final = 4
_MOST_HOURS: Final = 200
_MOST_CHARACTERS: Final = 2_000
_QUESTION_WEIGHT: Final = 50
_LASTING: Final = (
    All,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Range,
    Regexp,
    Subnet,
    Term,
    Terms,
    Wildcard,
)


class Parts(NamedTuple):
    """A span of a partition in whole hours, each with the number of its events, and what is left at both ends."""

    hours: Mapping[int, int]
    rests: tuple[Span, ...]


class _Hour(NamedTuple):
    events: int
    groups: Mapping[str, int]


class _Question(NamedTuple):
    """What was asked of a partition; the query as text, since ``Term("a", 1)`` equals ``Term("a", True)``."""

    catalogue: Catalogue
    field: str
    query: str


class _Answer:
    """What is known of one question.

    :ivar hours: None when an hour has too many groups.
    """

    __slots__ = ("hours", "weight")

    def __init__(self) -> None:
        self.hours: dict[int, _Hour] | None = {}
        self.weight = _QUESTION_WEIGHT


def parts_of(view: View, span: Span) -> Parts | None:
    """Return a span in whole hours, or None where a sum over them would not pay."""
    limits = view.catalogue.bounds_us()
    if limits is None or not view.catalogue.hours or view.searcher.num_docs < FEWEST_EVENTS:
        return None
    start = limits[0] if span.first is None else max(limits[0], span.first)
    end = limits[1] + 1 if span.end is None else min(limits[1] + 1, span.end)
    first, stop = -(-start // HOUR_US), end // HOUR_US
    if not _FEWEST_HOURS <= stop - first <= _MOST_HOURS:
        return None
    number_of = view.searcher.doc_freq
    hours = {hour: events for hour in range(first, stop) if (events := number_of("hour", hour))}
    if len(hours) < _FEWEST_HOURS:
        return None
    rests = (Span(start, first * HOUR_US), Span(stop * HOUR_US, end))
    return Parts(
        hours,
        tuple(
            rest
            for rest, hour in zip(rests, (first - 1, stop), strict=True)
            if not rest.empty and number_of("hour", hour)
        ),
    )


def _is_lasting(query: Query) -> bool:
    """Return whether a query means the same for an event whenever it is asked; a kept list changes and expires."""
    if isinstance(query, Bool):
        return all(_is_lasting(clause) for clause in (*query.must, *query.should, *query.must_not))
    return isinstance(query, _LASTING)


class HourlyGroups:
    """Remembers the groups of hours for all partitions of a store; may be used from several threads.

    :param most_kept: how many counts to keep.
    """

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._most_kept = most_kept
        self._lock = threading.Lock()
        self._answers: dict[_Question, _Answer] = {}
        self._weight = 0

    def groups(
        self,
        view: View,
        field: str,
        query: Query,
        hours: Mapping[int, int],
        count: Callable[[int], Mapping[str, int]],
    ) -> Iterable[Mapping[str, int]] | None:
        """Return the groups of each hour, or None for a question that is to be answered for the span as a whole.

        That is so the first time, since hour by hour it costs three times as much and may not be asked again.

        :param query: in its plain form.
        :param hours: the number of events in each hour, as the view has it.
        :param count: counts the groups of an hour that is not known.
        """
        text = repr(query) if _is_lasting(query) else None
        if text is None or len(text) > _MOST_CHARACTERS:
            return None
        question = _Question(view.catalogue, field, text)
        answer = self._recall(question)
        if answer is None or answer.hours is None:
            return None
        found: list[Mapping[str, int]] = []
        for hour, events in hours.items():
            kept = answer.hours.get(hour)
            if kept is None or kept.events != events:
                kept = _Hour(events, count(hour))
                if not self._keep(question, answer, hour, kept):
                    return None
            found.append(kept.groups)
        return found

    def _recall(self, question: _Question) -> _Answer | None:
        """Return what is known of a question that was asked before."""
        with self._lock:
            answer = self._answers.pop(question, None)
            if answer is not None:
                self._answers[question] = answer  # the last one asked stands last
                return answer
            self._answers[question] = _Answer()
            self._weight += _QUESTION_WEIGHT
            self._forget()
            return None

    def _keep(self, question: _Question, answer: _Answer, hour: int, kept: _Hour) -> bool:
        """Keep the groups of an hour; return whether they are few enough."""
        with self._lock:
            hours = answer.hours
            if hours is None:
                return False
            before = answer.weight
            if len(kept.groups) > MOST_GROUPS:
                answer.hours, answer.weight = None, _QUESTION_WEIGHT
            else:
                replaced = hours.get(hour)
                answer.weight += len(kept.groups) - (0 if replaced is None else len(replaced.groups))
                hours[hour] = kept
            if self._answers.get(question) is answer:  # it may have been forgotten meanwhile
                self._weight += answer.weight - before
                self._forget()
            return answer.hours is not None

    def _forget(self) -> None:
        while self._weight > self._most_kept and self._answers:
            oldest = next(iter(self._answers))
            self._weight -= self._answers.pop(oldest).weight
