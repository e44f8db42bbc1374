"""Answering aggregations over a store, composed of what every store answers exactly (ports/store.py).

A question is split: the groups of a field first, all of them, then for each group that is returned the aggregations in
it, over just the events of that group. So a top ten and every figure inside it are exact, whatever the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import singledispatchmethod
from itertools import pairwise
from operator import itemgetter
from typing import Final

from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.ports import Between, EventStore
from mozdef_core.query import calendar
from mozdef_core.query.aggregations import (
    Aggregation,
    Cardinality,
    CardinalityResult,
    DateHistogram,
    GroupBucket,
    Groups,
    Histogram,
    Hits,
    Percentiles,
    PercentilesResult,
    Result,
    Stats,
    StatsResult,
    TermsAgg,
    TimeBucket,
    TopHits,
    named,
)
from mozdef_core.query.groups import in_group
from mozdef_core.query.model import All, Order, Query, Search

MOST_QUESTIONS: Final = 10_000
"""An answer is made of at most so many questions to the store: one for each aggregation in each bucket around it."""

EVERYTHING: Final = All()
_INT64: Final = 2**63


def aggregate(
    store: EventStore,
    aggregations: Mapping[str, Aggregation],
    query: Query = EVERYTHING,
    between: Between = (None, None),
    *,
    limit_s: float = 120,
) -> Mapping[str, Result]:
    """Return the answer to each aggregation, by its name, over the events that match; exact, never sampled.

    The questions to the store are asked one after the other: of events that are written meanwhile one answer may know
    and the next not yet. Where all must agree, let ``between`` end before what still arrives.

    :param between: first (inclusive) and last (exclusive) event time, microseconds since 1970; None is open.
    :param limit_s: seconds after which no further question is asked.
    :raises QueryError: the query has no meaning, or the answer would be larger than what is allowed.
    :raises QueryTimeoutError: it took too long.
    """
    return _Asking(store, query, between, limit_s).all(named(aggregations), query, between)


class _Asking:
    """One call of :func:`aggregate`: it counts questions and watches the time."""

    def __init__(self, store: EventStore, query: Query, between: Between, limit_s: float) -> None:
        self._store = store
        self._whole = query, between
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s
        self._questions = 0
        self._extent: Sequence[int] | None = None

    def all(
        self, aggregations: Mapping[str, Aggregation], query: Query, between: Between
    ) -> Mapping[str, Result]:
        """Answer aggregations over the same events."""
        answers: dict[str, Result] = {}
        for name, aggregation in aggregations.items():
            self._count_question()
            answers[name] = self._answer(aggregation, query, between)
        return answers

    def _count_question(self) -> None:
        self._questions += 1
        if self._questions > MOST_QUESTIONS:
            raise QueryError(
                f"the answer needs more than {MOST_QUESTIONS:,} questions to the store, one for each aggregation in "
                "each bucket; return fewer groups (size, min_count) or longer intervals"
            )
        if time.monotonic() >= self._deadline:
            raise QueryTimeoutError(
                f"the aggregations took longer than {self._limit_s:g} s and are given up; narrow the query, take a "
                "shorter time, or return fewer groups"
            )

    @singledispatchmethod
    def _answer(self, aggregation: Aggregation, _query: Query, _between: Between) -> Result:
        raise QueryError(f"cannot answer a {type(aggregation).__name__}")

    @_answer.register
    def _(self, aggregation: TermsAgg, query: Query, between: Between) -> Result:
        counts = self._store.groups(aggregation.field, query, between, at_least=aggregation.min_count)
        found = list(counts.items())
        found.sort(key=itemgetter(0))
        if aggregation.order == "count":
            found.sort(
                key=itemgetter(1), reverse=True
            )  # stable: equal counts stay in the order of their names
        kept = found if aggregation.size is None else found[: aggregation.size]
        buckets = [
            GroupBucket(
                key,
                count,
                self.all(aggregation.sub, query & in_group(aggregation.field, key), between)
                if aggregation.sub
                else {},
            )
            for key, count in kept
        ]
        return Groups(buckets, sum(count for _, count in found[len(kept) :]), len(found))

    @_answer.register
    def _(self, aggregation: DateHistogram, query: Query, between: Between) -> Result:
        span = self._span(between)
        if span is None:
            return Histogram([])
        whole = calendar.edges(aggregation.interval, aggregation.time_zone, *span)
        cut = [max(span[0], min(span[1], edge)) for edge in whole]
        counts = self._store.histogram(query, cut) if cut else []
        return Histogram(
            [
                TimeBucket(start, end, count, self.all(aggregation.sub, query, inside) if count else {})
                for (start, end), inside, count in zip(pairwise(whole), pairwise(cut), counts, strict=True)
            ]
        )

    @_answer.register
    def _(self, aggregation: Cardinality, query: Query, between: Between) -> Result:
        return CardinalityResult(len(self._store.groups(aggregation.field, query, between)))

    @_answer.register
    def _(self, aggregation: Stats, query: Query, between: Between) -> Result:
        return stats(self._store.numbers(aggregation.field, query, between))

    @_answer.register
    def _(self, aggregation: Percentiles, query: Query, between: Between) -> Result:
        return percentiles(self._store.numbers(aggregation.field, query, between), aggregation.percents)

    @_answer.register
    def _(self, aggregation: TopHits, query: Query, between: Between) -> Result:
        page = self._store.search(Search(query, between, aggregation.order, aggregation.size))
        if not page.complete:
            raise QueryTimeoutError(
                "top hits: the search took too long; narrow the query or take a shorter time"
            )
        return Hits(page.events)

    def _span(self, between: Between) -> tuple[int, int] | None:
        """Return a time without open ends, or None when there is nothing in it.

        An open end is where the events of the whole question end, so that histograms inside groups are alike.
        """
        first_us, end_us = between
        if first_us is None or end_us is None:
            if self._extent is None:
                self._extent = self._find_extent()
            if not self._extent:
                return None
            first_us = self._extent[0] if first_us is None else first_us
            end_us = self._extent[-1] + 1 if end_us is None else end_us
        return (first_us, end_us) if first_us < end_us else None

    def _find_extent(self) -> Sequence[int]:
        """Return the times of the first and the last event; nothing when there is none."""
        query, between = self._whole
        times: list[int] = []
        orders: tuple[Order, ...] = ("oldest", "newest")
        for order in orders:
            self._count_question()
            page = self._store.search(Search(query, between, order, 1))
            if not page.complete:
                raise QueryTimeoutError("looking for the first and last event took too long; give both times")
            times.extend(event.time_us for event in page.events)
        return times


def stats(numbers: Mapping[int | float, int]) -> StatsResult:
    """Return the figures of numbers, given how often each was found."""
    count = sum(numbers.values())
    if not count:
        return StatsResult(0)
    total = _sum(numbers)
    return StatsResult(count, min(numbers), max(numbers), _number(total), _number(total / count))


def percentiles(numbers: Mapping[int | float, int], percents: Sequence[float]) -> PercentilesResult:
    """Return percentiles of numbers, given how often each was found."""
    count = sum(numbers.values())
    if not count:
        return PercentilesResult(0, dict.fromkeys(percents))
    ranked = sorted(numbers.items())
    ranks = {percent: (count - 1) * Fraction(str(percent)) / 100 for percent in percents}
    wanted = sorted({int(rank) + step for rank in ranks.values() for step in (0, 1)})
    at = dict(zip(wanted, _at_ranks(ranked, wanted), strict=True))
    values: dict[float, int | float | None] = {}
    for percent, rank in ranks.items():
        low, high = Fraction(at[int(rank)]), Fraction(at[int(rank) + 1])
        values[percent] = _number(low + (high - low) * (rank - int(rank)))
    return PercentilesResult(count, values)


def _at_ranks(ranked: Sequence[tuple[int | float, int]], wanted: Sequence[int]) -> Iterator[int | float]:
    """Yield the numbers at rising ranks, counted from 0; beyond the last rank it is the last number."""
    numbers = iter(ranked)
    number, seen = next(numbers)
    for rank in wanted:
        while seen <= rank:
            following = next(numbers, None)
            if following is None:
                break
            number = following[0]
            seen += following[1]
        yield number


def _sum(numbers: Mapping[int | float, int]) -> Fraction:
    """Return the sum, exactly; floats are added by their denominators, of which there are few."""
    parts: dict[int, int] = {}
    for number, count in numbers.items():
        numerator, denominator = number.as_integer_ratio()
        parts[denominator] = parts.get(denominator, 0) + numerator * count
    return sum((Fraction(numerator, denominator) for denominator, numerator in parts.items()), Fraction(0))


def _number(value: Fraction) -> int | float:
    """Return a whole number of 64 bits as it is, any other as the nearest float, or whole where no float reaches."""
    if value.denominator == 1 and -_INT64 <= value < _INT64:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return round(value)
