"""Groups of events: which groups an event belongs to by one of its fields, and which numbers it holds there.

This is the reference for what every store counts (detections.md A3.5). A group's name is text:

- a string as it is, but on fields of addresses an address in its canonical spelling, without a zone;
- a number in 64 bits that is whole as decimal integer, any other as Python's ``repr`` of the float: numbers that are
  equal (``443`` and ``443.0``) are in one group, and so is the string that spells it in just that way (``"443"``);
- a boolean as ``true`` or ``false``.

An event is in the group of each distinct value: through lists, and under each spelling of the path. It is in none when
the field is missing, null, an object, or listed in ``mozdef.defaulted``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from mozdef_core.errors import QueryError
from mozdef_core.event import Event, Scalar
from mozdef_core.query.addresses import read_address, write_address
from mozdef_core.query.bounds import TIME_FIELDS
from mozdef_core.query.glob import escape
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    Exists,
    Query,
    Subnet,
    Term,
    Wildcard,
    is_address_field,
)
from mozdef_core.query.plain import NOTHING
from mozdef_core.query.values import read_number, spelt_number

MOST_VALUES: Final = 1_000_000
"""A store counts at most so many distinct values of a field in one answer."""

MOST_CHARACTERS: Final = 256 * 2**20
"""And at most so many characters of them, for values may be long."""

_INT64: Final = 2**63

Value = TypeVar("Value", str, int | float)


def group_values(event: Event, field: str) -> set[str]:
    """Return the groups that an event belongs to by a field; it never raises, whatever the event holds."""
    values = event.values(field)
    if not values or field in event.defaulted:
        return set()
    if is_address_field(field):
        return {text for value in values if (text := _address_text(value)) is not None}
    return {text for value in values if (text := value_text(value)) is not None}


def numbers_of(event: Event, field: str) -> set[int | float]:
    """Return the distinct numbers under a field, whole ones as integers.

    Strings that spell a number count, as in ``Range``; booleans and defaulted fields do not.
    """
    if field in event.defaulted:
        return set()
    return {number for value in event.values(field) if (number := value_number(value)) is not None}


def value_text(value: Scalar) -> str | None:
    """Return the group that a value belongs to on any field but one of addresses; None for null, NaN, infinity."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or not _is_finite(value):
        return None
    if -_INT64 <= value < _INT64 and value == int(value):
        return str(int(value))
    try:
        return repr(float(value)) if float(value) == value else str(value)
    except OverflowError:  # made by a plugin: no sender can, and no store takes it
        return str(value)


def value_number(value: Scalar) -> int | float | None:
    """Return the number that a value is or spells, or None; a whole one in 64 bits as integer."""
    if isinstance(value, str):
        number = read_number(value)
    elif isinstance(value, bool) or value is None or not _is_finite(value):
        return None
    else:
        number = value
    if isinstance(number, float) and -_INT64 <= number < _INT64 and number.is_integer():
        return int(number)
    return number


def _is_finite(number: int | float) -> bool:
    return isinstance(number, int) or math.isfinite(number)


def _address_text(value: Scalar) -> str | None:
    number = read_address(value) if isinstance(value, str) else None
    return value_text(value) if number is None else write_address(number)


def in_group(field: str, key: str) -> Query:
    """Return the query that finds exactly the events of a group."""
    if is_address_field(field):
        number = read_address(key)
        if number is not None:
            return Subnet(field, (key,)) & Exists(field) if write_address(number) == key else NOTHING
        if "/" in key:  # a Term would take it for a network
            return Wildcard(field, escape(key)) & Exists(field)
    number_spelt = spelt_number(key)
    if (
        number_spelt is not None and value_text(number_spelt) != key
    ):  # such as "443.0": only strings are in it
        return Wildcard(field, escape(key)) & Exists(field)
    return Term(field, key) & Exists(field)


def check_group_field(field: str) -> None:
    """Refuse a field whose values make no groups.

    :raises QueryError: it is a text or a time; it says what to use instead.
    """
    if not isinstance(field, str) or not field:
        raise QueryError(f"expected the name of a field, got {field!r}")
    if field == ANY_FIELD:
        raise QueryError("groups need the name of a field, got '*'")
    if field in TEXT_FIELDS:
        raise QueryError(f"{field}: a text makes no groups; search for its words, or group by another field")
    if field in TIME_FIELDS:
        raise QueryError(
            f"{field}: a time makes no groups; a DateHistogram (--histogram) counts by event time"
        )


def check_edges(edges: Sequence[int]) -> tuple[int, ...]:
    """Return the edges of a histogram.

    :raises QueryError: they are no whole numbers that rise.
    """
    for edge in edges:
        if isinstance(edge, bool) or not isinstance(edge, int):
            raise QueryError(f"edges: expected whole microseconds since 1970, got {edge!r}")
    for first, second in pairwise(edges):
        if second <= first:
            raise QueryError(f"edges: expected rising times, got {second} after {first}")
    return tuple(edges)


class Counts(dict[Value, int]):
    """How many events hold each value of a field, bounded in memory.

    :param field: for the message.
    """

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field
        self._characters = 0

    def add(self, values: Collection[Value], events: int = 1) -> None:
        """Count events that hold these values.

        :raises QueryError: there are too many distinct values.
        """
        for value in values:
            if value in self:
                self[value] += events
                continue
            self[value] = events
            self._characters += len(value) if isinstance(value, str) else 0
            if len(self) > MOST_VALUES or self._characters > MOST_CHARACTERS:
                raise QueryError(too_many(self._field))

    def add_counted(self, counted: Mapping[Value, int]) -> None:
        """Add what has been counted elsewhere; :meth:`add` for each, at a fraction of its cost.

        :raises QueryError: there are too many distinct values.
        """
        fresh = [value for value in counted if value not in self] if self else list(counted)
        for value in fresh:
            self._characters += len(value) if isinstance(value, str) else 0
        if len(self) + len(fresh) > MOST_VALUES or self._characters > MOST_CHARACTERS:
            raise QueryError(too_many(self._field))
        if not self:
            self.update(counted)
            return
        for value, events in counted.items():
            self[value] = self.get(value, 0) + events


def too_many(field: str) -> str:
    """Return what is said when a field has more distinct values than are counted."""
    return (
        f"{field}: more than {MOST_VALUES:,} distinct values, or {MOST_CHARACTERS // 2**20} MB of them; "
        "narrow the query or take a shorter time"
    )


def count_groups(events: Iterable[Event], field: str) -> Mapping[str, int]:
    """Return for each group how many of the events belong to it.

    :raises QueryError: there are too many groups.
    """
    counts: Counts[str] = Counts(field)
    for event in events:
        counts.add(group_values(event, field))
    return counts


def frequent(counts: Mapping[str, int], at_least: int) -> Mapping[str, int]:
    """Return the groups that have at least so many events."""
    if at_least <= 1:
        return counts
    return {group: events for group, events in counts.items() if events >= at_least}


def count_numbers(events: Iterable[Event], field: str) -> Mapping[int | float, int]:
    """Return for each number how many of the events hold it.

    :raises QueryError: there are too many numbers.
    """
    counts: Counts[int | float] = Counts(field)
    for event in events:
        counts.add(numbers_of(event, field))
    return counts


def kinds_of(event: Event) -> Mapping[str, set[str]]:
    """Return the fields that an event has and of which kinds their values are.

    Kinds are ``string``, ``number``, ``boolean``, ``address`` (on fields of addresses, where it is one), ``text`` and
    ``time`` (by the field's name). A field is named by its dotted path; those in ``mozdef.defaulted`` are left out.
    """
    found: dict[str, set[str]] = {}
    left_out = set(event.defaulted)
    waiting: list[tuple[str, object]] = list(event.body.items())
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend((f"{name}.{key}", value) for key, value in node.items())
        elif isinstance(node, list):
            waiting.extend((name, element) for element in node)
        elif node is not None and name and name not in left_out:
            found.setdefault(name, set()).add(kind_of(name, node))
    return found


def kind_of(field: str, value: object) -> str:
    """Return the kind of a value under a field."""
    if isinstance(value, bool):
        return "boolean"
    if not isinstance(value, str):
        return "number"
    if field in TEXT_FIELDS:
        return "text"
    if field in TIME_FIELDS:
        return "time"
    return "address" if is_address_field(field) and read_address(value) is not None else "string"
