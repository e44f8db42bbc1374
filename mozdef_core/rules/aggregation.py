"""The aggregation rule: so many events of one group within a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Final, TypeVar

from mozdef_core.alert import Consumed
from mozdef_core.options import Field
from mozdef_core.query.addresses import read_address
from mozdef_core.query.groups import in_group
from mozdef_core.query.model import Bool, Exists, Query, Range, Subnet, Terms, Wildcard, is_address_field
from mozdef_core.rules.grouped import GroupedOptions, GroupedRule
from mozdef_core.walk import Finding, Threshold, Trigger
from mozdef_core.window import Window

MOST_CANDIDATES: Final = 1_000
"""With more candidate groups than this the store is asked for all matching events."""

_REPEATED: Final = Range("details.repeated", gte=2)


class AggregationOptions(GroupedOptions):
    """What every aggregation rule accepts."""

    threshold: int | None = Field(
        None,
        ge=1,
        description="occurrences within the window, of one group, that make an alert; unset: the rule's own",
    )


AggregationOptionsType = TypeVar("AggregationOptionsType", bound=AggregationOptions)


class AggregationRule(GroupedRule[AggregationOptionsType]):
    """So many matching events of one group within a window: one alert for each group that reaches the threshold.

    Declare ``query``, or override :meth:`condition` where it depends on the options, and ``by``, ``window`` and
    ``threshold``. Further events within ``group_for`` extend an alert, one by one.

    :ivar threshold: how many occurrences make a finding.
    :cvar having: by dotted path, how many distinct values the events of a finding must have there besides.
    """

    class Options(AggregationOptions):
        """Options of an aggregation rule: subclass it, and name there what the rule has of its own."""

    query: ClassVar[Query]
    threshold: int = 1
    having: ClassVar[Mapping[str, int]] = {}

    def __init__(self, options: AggregationOptionsType) -> None:
        super().__init__(options)
        if options.threshold is not None:
            self.threshold = options.threshold
        self._condition = self.condition() if self.inactive is None else None

    def condition(self) -> Query:
        """Return the query that an event must match; called once, when the rule is made, unless it is inactive."""
        return self.query

    @property
    def looks_for(self) -> Sequence[Query]:
        """The condition, and the fields that make the group; nothing for a rule that is inactive."""
        return () if self._condition is None else (self._in_a_group(self._condition),)

    def distinct(self) -> Mapping[str, int]:
        """Return how many distinct values a finding must have by path; override it where options say so."""
        return self.having

    def _triggers(self, window: Window) -> Callable[[], Trigger]:
        return lambda: Threshold(self.threshold, self.distinct())

    def _findings(self, window: Window) -> Iterator[Finding]:
        assert self._condition is not None  # an inactive rule does not come here
        query = self._condition
        candidates = self._candidates(window, query)
        if candidates is not None:
            self._note_ungrouped(window, query)
            if not candidates:
                return iter(())
            query &= _any_group(self._by[0], candidates)
        return self._walk(window, window.search(query, before=self.window))

    def _candidates(self, window: Window, query: Query) -> Sequence[str] | None:
        """Return the only groups that can have a finding; None where the walk must look at all events.

        A store counts events, so it cannot choose where one event stands for several occurrences.
        """
        if self.threshold <= 1 or len(self._by) > 1 or type(self).expand is not GroupedRule.expand:
            return None
        by = self._by[0]
        if next(window.search(query & _REPEATED, before=self.window), None) is not None:
            return None
        large = window.groups(by, query, at_least=self.threshold, before=self.window)
        extensible = window.consumed(self.window + self.extended_for)
        found = {*large, *(value for value, spans in extensible.items() if _any_open(spans))}
        return sorted(found) if len(found) <= MOST_CANDIDATES else None

    def _note_ungrouped(self, window: Window, query: Query) -> None:
        """Note the events without a group, which a search for some groups does not bring."""
        by = self._by[0]
        grouped = Wildcard(by, "*") | Terms(by, (True, False))
        if not is_address_field(by):  # between addresses there are no numbers
            grouped |= Range(by, gte=-1e308, lte=1e308)
        for event in window.search(query & ~(grouped & Exists(by))):
            if self.matches(event) and not self.expand(event):
                window.note_ungrouped(event)


def _any_open(spans: Sequence[Consumed]) -> bool:
    return any(span.closed_us is None for span in spans)


def _any_group(by: str, values: Sequence[str]) -> Query:
    """Return a query that finds the events of these groups, and of few others."""
    if is_address_field(by):
        addresses = [value for value in values if read_address(value) is not None]
        odd = [in_group(by, value) for value in values if read_address(value) is None]
        return Bool(should=(*([Subnet(by, addresses)] if addresses else []), *odd))
    return Terms(by, values)
