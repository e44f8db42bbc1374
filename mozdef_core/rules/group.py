"""The group: the events of one finding, and what a rule's summary says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from mozdef_core.alert import weight
from mozdef_core.event import Event
from mozdef_core.query.groups import group_values

UNKNOWN: Final = "unknown"
"""What a summary says where there is no value."""

MORE: Final = "\u2026"


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """All events of one finding. Nothing here ever raises for want of a value.

    :param field: the grouping field, several of them joined with commas.
    :param key: the group's value as text.
    :param count: how many occurrences there are: repeated messages count as often as they were repeated.
    :param events: all events, oldest first.
    :param samples: those that the alert keeps.
    """

    field: str
    key: str
    count: int
    events: Sequence[Event] = dataclasses.field(repr=False)
    samples: Sequence[Event] = dataclasses.field(repr=False)

    @property
    def first(self) -> Event:
        """The earliest event."""
        return self.events[0]

    @property
    def last(self) -> Event:
        """The latest event."""
        return self.events[-1]

    def counts(self, path: str) -> Mapping[str, int]:
        """Return the distinct values at a path, in order of appearance, each with its number of occurrences."""
        found: dict[str, int] = {}
        for event in self.events:
            values = group_values(event, path)
            if values:
                occurrences = weight(event)
                for value in sorted(values) if len(values) > 1 else values:
                    found[value] = found.get(value, 0) + occurrences
        return found

    def values(self, path: str) -> Sequence[str]:
        """Return the distinct values at a path as text, in order of appearance."""
        return tuple(self.counts(path))

    def distinct(self, path: str) -> int:
        """Return how many distinct values there are at a path."""
        return len(self.counts(path))

    def top(self, path: str, most: int = 5) -> str:
        """Return the most frequent values with their occurrences, ``web1 (7), web2 (5)``, or ``unknown``."""
        found = sorted(self.counts(path).items(), key=lambda pair: (-pair[1], pair[0]))
        return ", ".join(f"{value} ({count})" for value, count in found[:most]) or UNKNOWN

    def listed(self, path: str, most: int = 10) -> str:
        """Return the distinct values, sorted, with ``…`` if there are more than so many, or ``unknown``."""
        found = sorted(self.counts(path))
        shown = [*found[:most], MORE] if len(found) > most else found
        return ", ".join(shown) or UNKNOWN
