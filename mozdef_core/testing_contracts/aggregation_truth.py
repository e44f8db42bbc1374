"""What aggregations answer, worked out in plain Python over a list of events: slow, and written independently.

Only the edges of calendar intervals come from the core; their own tests hold those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from ipaddress import IPv6Address, ip_address
from itertools import pairwise
from typing import Any

from mozdef_core.event import Event
from mozdef_core.ports import Between
from mozdef_core.query import calendar, order
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
)
from mozdef_core.query.values import read_number


def _values(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every scalar with the names on the way to it, joined by dots."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _values(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for element in node:
            yield from _values(element, path)
    elif node is not None:
        yield path, node


def _under(event: Event, field: str) -> list[Any]:
    if field in event.body["mozdef"]["defaulted"]:
        return []
    return [value for path, value in _values(event.body, "") if path == field]


def _text(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and -(2**63) <= value < 2**63 else repr(value)
    if field.endswith("ipaddress"):
        try:
            address = ip_address(value.partition("%")[0])
        except ValueError:
            return str(value)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(mapped or address)
    return str(value)


def groups_of(event: Event, field: str) -> set[str]:
    """Return the groups that an event belongs to."""
    return {_text(field, value) for value in _under(event, field)}


def numbers_of(event: Event, field: str) -> set[int | float]:
    """Return the numbers that an event holds."""
    read = (read_number(value) if isinstance(value, str) else value for value in _under(event, field))
    return {number for number in read if number is not None and not isinstance(number, bool)}


def answers(
    events: Iterable[Event], aggregations: Mapping[str, Aggregation], between: Between
) -> Mapping[str, Result]:
    """Return the answer to each aggregation over the events in a time."""
    inside = _inside(events, between)
    times = [event.time_us for event in inside]
    first_us, end_us = between
    if None in between and not times:
        first_us = end_us = 0  # there is nothing to show
    first_us = min(times) if first_us is None else first_us
    end_us = max(times) + 1 if end_us is None else end_us
    return {
        name: _answer(aggregation, inside, first_us, end_us) for name, aggregation in aggregations.items()
    }


def _inside(events: Iterable[Event], between: Between) -> list[Event]:
    first_us, end_us = between
    return [
        event
        for event in events
        if (first_us is None or event.time_us >= first_us) and (end_us is None or event.time_us < end_us)
    ]


def _answer(aggregation: Aggregation, events: Sequence[Event], first_us: int, end_us: int) -> Result:
    match aggregation:
        case TermsAgg():
            return _groups(aggregation, events, first_us, end_us)
        case DateHistogram():
            return _histogram(aggregation, events, first_us, end_us)
        case Cardinality(field):
            return CardinalityResult(len({key for event in events for key in groups_of(event, field)}))
        case Stats(field):
            return _stats(_numbers(events, field))
        case Percentiles(field, percents):
            return _percentiles(_numbers(events, field), percents)
        case TopHits(size, wanted):
            newest = sorted(events, key=order.position, reverse=wanted == "newest")
            return Hits(newest[:size])
    raise AssertionError(aggregation)


def _groups(aggregation: TermsAgg, events: Sequence[Event], first_us: int, end_us: int) -> Groups:
    counts = Counter(key for event in events for key in groups_of(event, aggregation.field))
    keys = sorted(key for key in counts if counts[key] >= aggregation.min_count)
    if aggregation.order == "count":
        keys.sort(key=lambda key: (-counts[key], key))
    size = len(keys) if aggregation.size is None else aggregation.size
    return Groups(
        [
            GroupBucket(
                key,
                counts[key],
                {
                    name: _answer(
                        sub,
                        [event for event in events if key in groups_of(event, aggregation.field)],
                        first_us,
                        end_us,
                    )
                    for name, sub in aggregation.sub.items()
                },
            )
            for key in keys[:size]
        ],
        sum(counts[key] for key in keys[size:]),
        len(keys),
    )


def _histogram(aggregation: DateHistogram, events: Sequence[Event], first_us: int, end_us: int) -> Histogram:
    edges = calendar.edges(aggregation.interval, aggregation.time_zone, first_us, end_us)
    buckets = []
    for start, end in pairwise(edges):
        cut = (max(start, first_us), min(end, end_us))
        inside = _inside(events, cut)
        sub = {name: _answer(sub, inside, *cut) for name, sub in aggregation.sub.items()} if inside else {}
        buckets.append(TimeBucket(start, end, len(inside), sub))
    return Histogram(buckets)


def _numbers(events: Sequence[Event], field: str) -> list[Fraction]:
    return sorted(Fraction(number) for event in events for number in numbers_of(event, field))


def _stats(numbers: Sequence[Fraction]) -> StatsResult:
    if not numbers:
        return StatsResult(0)
    total = sum(numbers)
    return StatsResult(
        len(numbers),
        _plain(numbers[0]),
        _plain(numbers[-1]),
        _plain(Fraction(total)),
        _plain(Fraction(total, len(numbers))),
    )


def _percentiles(numbers: Sequence[Fraction], percents: Sequence[float]) -> PercentilesResult:
    values: dict[float, int | float | None] = {}
    for percent in percents:
        values[percent] = None
        if numbers:
            rank = Fraction(str(percent)) * (len(numbers) - 1) / 100
            low, high = numbers[int(rank)], numbers[min(int(rank) + 1, len(numbers) - 1)]
            values[percent] = _plain(low + (high - low) * (rank - int(rank)))
    return PercentilesResult(len(numbers), values)


def _plain(number: Fraction) -> int | float:
    if number.denominator == 1 and -(2**63) <= number < 2**63:
        return int(number)
    try:
        return float(number)
    except OverflowError:
        return round(number)
