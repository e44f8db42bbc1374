"""What can be asked of the events that match a query, besides the events: counts by group and time, and figures.

Every aggregation checks itself when it is made. ``mozdef_core.aggregation.aggregate`` answers it, exactly; the frozen
values in the second half of this module are the answers. What a group, a number and their limits are is in
query/groups.py, what the edges of a :class:`DateHistogram` are in query/calendar.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.query.calendar import read_interval, read_zone
from mozdef_core.query.groups import check_group_field
from mozdef_core.query.model import Order

DEEPEST: Final = 5
"""Groups and intervals stand in one another at most so deep."""

MOST_HITS: Final = 1000
"""``TopHits`` returns at most so many events a bucket."""


class Aggregation:
    """A question about all events that match a query."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class TermsAgg(Aggregation):
    """How many events belong to each group by a field (detections.md A3.5), the largest groups first.

    :param field: any field but texts and times.
    :param size: at most so many groups are returned; None for all. Every group is counted, whatever is returned.
    :param min_count: groups with fewer events are left out: ``TermsAgg("details.user", None, 10)`` is a threshold.
    :param order: ``count``: by falling count, equal ones by name; ``key``: by name. Names compare by code points.
    :param sub: further aggregations, by name, over the events of each group that is returned.
    """

    field: str
    size: int | None = 10
    min_count: int = 1
    order: Literal["count", "key"] = "count"
    sub: Mapping[str, Aggregation] = member(default_factory=dict)

    def __post_init__(self) -> None:
        check_group_field(self.field)
        if self.size is not None:
            _check_whole(f"groups by {self.field}: size", self.size, 1, " (None for all)")
        _check_whole(f"groups by {self.field}: min_count", self.min_count, 1)
        if self.order not in ("count", "key"):
            raise QueryError(f"groups by {self.field}: order: expected 'count' or 'key', got {self.order!r}")
        object.__setattr__(self, "sub", named(self.sub))


@dataclass(frozen=True, slots=True)
class DateHistogram(Aggregation):
    """How many events fell into each interval of event time; empty intervals in between are there, with 0.

    :param interval: a length such as ``30s``, ``15m``, ``6h``, ``7d``, or a unit of the calendar: ``minute``, ``hour``,
        ``day``, ``week``, ``month``, ``quarter`` or ``year``. A day of the calendar has 23 or 25 hours when clocks
        change; weeks begin on Monday.
    :param time_zone: whose calendar, a name of the IANA database such as ``Europe/Madrid``.
    :param sub: further aggregations, by name, over the events of each interval that has any.
    """

    interval: str = "hour"
    time_zone: str = "UTC"
    sub: Mapping[str, Aggregation] = member(default_factory=dict)

    def __post_init__(self) -> None:
        read_interval(self.interval)
        read_zone(self.time_zone)
        object.__setattr__(self, "sub", named(self.sub))


@dataclass(frozen=True, slots=True)
class Cardinality(Aggregation):
    """How many groups there are by a field: the number of its distinct values."""

    field: str

    def __post_init__(self) -> None:
        check_group_field(self.field)


@dataclass(frozen=True, slots=True)
class Stats(Aggregation):
    """Least, greatest, sum and mean of the numbers under a field; digits in strings are numbers."""

    field: str

    def __post_init__(self) -> None:
        check_group_field(self.field)


@dataclass(frozen=True, slots=True)
class Percentiles(Aggregation):
    """The values below which so many percent of the numbers under a field lie.

    Of n numbers in rising order, p percent is the one at rank (n - 1) * p / 100, counted from 0; between two ranks the
    value lies in proportion between theirs (definition 7 of Hyndman and Fan 1996, NumPy's ``linear``).
    """

    field: str
    percents: Sequence[float] = (50, 95, 99)

    def __post_init__(self) -> None:
        check_group_field(self.field)
        percents = self.percents
        if isinstance(percents, str | bytes) or not isinstance(percents, Iterable):
            raise QueryError(f"percentiles of {self.field}: expected a list of percents, got {percents!r}")
        percents = tuple(percents)
        for percent in percents:
            if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
                raise QueryError(
                    f"percentiles of {self.field}: expected percents from 0 to 100, got {percent!r}"
                )
        if not percents or len(set(percents)) < len(percents):
            raise QueryError(
                f"percentiles of {self.field}: expected one or more different percents, got {percents!r}"
            )
        object.__setattr__(self, "percents", percents)


@dataclass(frozen=True, slots=True)
class TopHits(Aggregation):
    """The newest or oldest events."""

    size: int = 1
    order: Order = "newest"

    def __post_init__(self) -> None:
        _check_whole("top hits: size", self.size, 1)
        if self.size > MOST_HITS:
            raise QueryError(
                f"top hits: size: expected at most {MOST_HITS}, got {self.size}; for more search for the events"
            )
        if self.order not in ("newest", "oldest"):
            raise QueryError(f"top hits: order: expected 'newest' or 'oldest', got {self.order!r}")


@dataclass(frozen=True, slots=True)
class GroupBucket:
    """One group, how many events it has, and the answers to the aggregations over them."""

    key: str
    count: int
    sub: Mapping[str, Result] = member(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Groups:
    """The answer to :class:`TermsAgg`.

    :param buckets: the groups that were asked for, in order.
    :param others: the counts of all other groups with at least ``min_count`` events, added up.
    :param total_groups: how many groups have at least ``min_count`` events.
    """

    buckets: Sequence[GroupBucket]
    others: int
    total_groups: int


@dataclass(frozen=True, slots=True)
class TimeBucket:
    """One interval, how many events fell into it, and the answers to the aggregations over them.

    :param start_us: the interval's first moment, microseconds since 1970.
    :param end_us: the first moment of the next.
    :param sub: empty when no event fell into it.
    """

    start_us: int
    end_us: int
    count: int
    sub: Mapping[str, Result] = member(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Histogram:
    """The answer to :class:`DateHistogram`: every interval that touches the time asked for, in order.

    Without a first or last time, from the interval of the first event to that of the last.
    """

    buckets: Sequence[TimeBucket]


@dataclass(frozen=True, slots=True)
class CardinalityResult:
    """The answer to :class:`Cardinality`."""

    value: int


@dataclass(frozen=True, slots=True)
class StatsResult:
    """The answer to :class:`Stats`; without any number all but the count are None.

    :param count: of numbers, each distinct one of an event once.
    :param total: exact where it is whole and has 64 bits, else the nearest float; so is the mean.
    """

    count: int
    minimum: int | float | None = None
    maximum: int | float | None = None
    total: int | float | None = None
    mean: int | float | None = None


@dataclass(frozen=True, slots=True)
class PercentilesResult:
    """The answer to :class:`Percentiles`: by percent, and None for each when there is no number."""

    count: int
    values: Mapping[float, int | float | None]


@dataclass(frozen=True, slots=True)
class Hits:
    """The answer to :class:`TopHits`."""

    events: Sequence[Event]


Result: TypeAlias = Groups | Histogram | CardinalityResult | StatsResult | PercentilesResult | Hits


def named(aggregations: Mapping[str, Aggregation], deepest: int = DEEPEST) -> Mapping[str, Aggregation]:
    """Return aggregations by name, as a mapping that stays as it is.

    :raises QueryError: a name is none, a value is no aggregation, or they are nested too deep.
    """
    if not isinstance(aggregations, Mapping):
        raise QueryError(f"expected aggregations by name, got {aggregations!r}")
    for name, aggregation in aggregations.items():
        if not isinstance(name, str) or not name:
            raise QueryError(f"expected the name of an aggregation, got {name!r}")
        if not isinstance(aggregation, Aggregation):
            raise QueryError(f"{name}: expected an aggregation, got {aggregation!r}")
        if isinstance(aggregation, TermsAgg | DateHistogram):
            if deepest < 1:
                raise QueryError(f"{name}: aggregations are nested more than {DEEPEST} deep")
            named(aggregation.sub, deepest - 1)
    return MappingProxyType(dict(aggregations))


def _check_whole(name: str, value: int, least: int, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise QueryError(f"{name}: expected a whole number{hint}, got {value!r}")
    if value < least:
        raise QueryError(f"{name}: expected at least {least}{hint}, got {value}")
