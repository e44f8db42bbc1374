"""What rules have in common that look at events together: grouping, the walk, and the alert made of a finding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any, ClassVar, Final, TypeVar

from pydantic import field_validator

from mozdef_core.alert import COUNT_LIMIT, Alert, Moment, Severity
from mozdef_core.errors import RuleError
from mozdef_core.event import Event
from mozdef_core.markers import hookimpl
from mozdef_core.options import Duration, Field
from mozdef_core.query.groups import check_group_field, group_values
from mozdef_core.query.model import Bool, Exists, Query
from mozdef_core.rules.group import Group
from mozdef_core.rules.rule import Rule, ScheduledOptions
from mozdef_core.walk import Finding, Trigger, walk
from mozdef_core.window import Window

_NONE: Final = timedelta(0)
_DETAILS: Final = ("details.sourceipaddress", "details.username")


class GroupedOptions(ScheduledOptions):
    """What every rule accepts that looks at the events of a group together."""

    window: Duration | None = Field(
        None,
        gt=_NONE,
        description="the span within which the events of one finding lie; unset: the rule's own",
    )
    samples: int | None = Field(
        None, ge=0, le=100, description="events kept with each alert; unset: the rule's own"
    )

    @field_validator("suppress_by")
    @classmethod
    def _by_group(cls, value: list[str]) -> list[str]:
        if value:
            raise ValueError("this rule's alerts are told apart by its groups; expected an empty list")
        return value


GroupedOptionsType = TypeVar("GroupedOptionsType", bound=GroupedOptions)


class GroupedRule(Rule[GroupedOptionsType]):
    """A rule that looks at the events of each group together; see the kinds that there are for what it finds.

    :cvar by: the grouping field, or several: then each combination of their values is a group.
    :ivar window: the span within which the events of one finding lie.
    :ivar samples: how many events an alert keeps.
    :cvar group_for: how long after its last event an open alert is extended; None for as long as the window.
    """

    by: ClassVar[str | Sequence[str]]
    window: timedelta = _NONE
    samples: int = 10
    group_for: ClassVar[timedelta | None] = None

    def __init__(self, options: GroupedOptionsType) -> None:
        super().__init__(options)
        if options.window is not None:
            self.window = options.window
        if options.samples is not None:
            self.samples = options.samples
        self._by = (self.by,) if isinstance(self.by, str) else tuple(self.by)
        for field in self._by:
            check_group_field(field)

    @property
    def look_back(self) -> timedelta:
        """The window: earlier events can no longer take part in a finding."""
        return self.window

    @property
    def extended_for(self) -> timedelta:
        """How long after its last event an open alert is extended: the option, the rule's own, or the window."""
        if self.options.group_for is not None:
            return self.options.group_for
        return self.window if self.group_for is None else self.group_for

    def expand(self, event: Event) -> Iterable[str]:
        """Return the distinct groups of an event; none where a grouping field is missing or an object.

        Override it to group by what is worked out, such as one field or else another; ``by`` then only says in the
        alert what it is called.
        """
        if len(self._by) == 1:
            return group_values(event, self._by[0])
        parts = [sorted(group_values(event, field)) for field in self._by]
        return [joined(combination) for combination in product(*parts)]

    def _in_a_group(self, query: Query) -> Query:
        """Return a condition with what an event must have besides to be in a group, unless that is worked out."""
        if type(self).expand is not GroupedRule.expand:
            return query
        return Bool(must=(query, *map(Exists, self._by)))

    def matches(self, event: Event) -> bool:
        """Return whether an event that the query found is really meant; for what no query can say."""
        return True

    @abstractmethod
    def summary(self, group: Group) -> str:
        """Return one line for people."""

    def details(self, group: Group) -> Mapping[str, Any]:
        """Return the alert's details: source address and user name, as far as all events of the group agree on one."""
        found = {path.rpartition(".")[2]: group.values(path) for path in _DETAILS}
        return {name: values[0] for name, values in found.items() if len(values) == 1}

    def severity_of(self, group: Group) -> Severity:
        """Return the severity of a group's alert, unless the option says it."""
        return self.severity

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Raise one alert for each finding of the walk over the window and what lies ``look_back`` before it."""
        if self.inactive is not None:
            return None
        if self.window <= _NONE:
            raise RuleError(f"{type(self).__name__}.window: expected a span of time, got {self.window}")
        return [self._alert(finding) for finding in self._findings(window)]

    @abstractmethod
    def _findings(self, window: Window) -> Iterator[Finding]:
        """Yield what the walk finds."""

    @abstractmethod
    def _triggers(self, window: Window) -> Callable[[], Trigger]:
        """Return what makes the trigger of one group; called once for a walk."""

    def _walk(self, window: Window, events: Iterable[Event]) -> Iterator[Finding]:
        before = self.window + self.extended_for
        return walk(
            filter(self.matches, events),
            lambda event: self._groups(window, event),
            self._triggers(window),
            window=self.window,
            consumed=window.consumed(before),
            group_for=self.extended_for,
        )

    def _groups(self, window: Window, event: Event) -> Iterable[str]:
        found = self.expand(event)
        if not isinstance(found, set):
            found = dict.fromkeys(found)
        if not found and event.detection_us >= window.start_us:
            window.note_ungrouped(event)
        return found

    def _alert(self, finding: Finding) -> Alert:
        events = finding.events
        samples = tuple(events[: self.samples])
        field = ",".join(self._by)
        group = Group(field, finding.value, finding.count, events, samples)
        ends = Moment.of(events[0]), Moment.of(events[-1])
        return replace(
            self.alert(self.summary(group), *ends, self.severity_of(group)),
            events=samples or tuple(events[:1]),  # by one of them the book knows when they were received
            samples=self.samples,
            count=min(finding.count, COUNT_LIMIT),
            group=(field, finding.value),
            group_for=self.extended_for,
            details=self.details(group),
            extends=finding.extends,
        )


def joined(values: Sequence[str]) -> str:
    """Return several values as one text from which they can be told apart: bars between them, those within escaped."""
    return " | ".join(value.replace("\\", "\\\\").replace("|", "\\|") for value in values)
