"""Where the alerts of the book in memory lie in time, so that those near a finding are found without looking at all."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

from mozdef_core.alert import Alert, Moment


class _Place(NamedTuple):
    last: Moment
    first: Moment
    alert_id: str


class _Line:
    """Alerts in order of their ends; none that has been on it was longer than ``longest_us``."""

    __slots__ = ("longest_us", "places")

    def __init__(self) -> None:
        self.places: list[_Place] = []
        self.longest_us = 0

    def put(self, place: _Place) -> None:
        insort(self.places, place)
        self.longest_us = max(self.longest_us, place.last.us - place.first.us)

    def take(self, place: _Place) -> None:
        del self.places[bisect_left(self.places, place)]


class Spans:
    """Knows the span of each alert by rule and group. What it is asked costs as much as there is near that time.

    :ivar looked: at how many alerts it has looked, to find those that were asked for.
    """

    def __init__(self) -> None:
        self.looked = 0
        self._by_rule: dict[str, _Line] = {}
        self._by_group: dict[tuple[str, str], _Line] = {}
        self._known: dict[str, tuple[str, str, _Place]] = {}

    def put(self, alert: Alert) -> None:
        """Take in an alert, or where it lies now."""
        self.remove(alert.id)
        rule, value = alert.rule_key, alert.group[1] if alert.group else ""
        place = _Place(alert.last, alert.first, alert.id)
        for line in (
            self._by_rule.setdefault(rule, _Line()),
            self._by_group.setdefault((rule, value), _Line()),
        ):
            line.put(place)
        self._known[alert.id] = rule, value, place

    def remove(self, alert_id: str) -> None:
        """Forget the span of an alert, if it is known."""
        known = self._known.pop(alert_id, None)
        if known is not None:
            rule, value, place = known
            self._by_rule[rule].take(place)
            self._by_group[rule, value].take(place)

    def __contains__(self, alert_id: str) -> bool:
        return alert_id in self._known

    def of_rule(self, rule: str, first_us: int, last_us: int) -> Iterator[str]:
        """Yield the ids of a rule's alerts that touch a time, both ends included, in order of their ends."""
        return self._touching(self._by_rule.get(rule), first_us, last_us)

    def of_group(self, rule: str, value: str, first_us: int, last_us: int) -> Iterator[str]:
        """Yield the ids of the alerts of one group that touch a time, likewise."""
        return self._touching(self._by_group.get((rule, value)), first_us, last_us)

    def _touching(self, line: _Line | None, first_us: int, last_us: int) -> Iterator[str]:
        if line is None:
            return
        for number in range(bisect_left(line.places, first_us, key=_end_us), len(line.places)):
            place = line.places[number]
            self.looked += 1
            if place.last.us - line.longest_us > last_us:
                return
            if place.first.us <= last_us:
                yield place.alert_id


def _end_us(place: _Place) -> int:
    return place.last.us
