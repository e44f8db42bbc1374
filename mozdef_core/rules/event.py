"""The event rule: a detection that looks at one event at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from mozdef_core.alert import Alert, Moment, weight
from mozdef_core.event import Event
from mozdef_core.markers import hookimpl
from mozdef_core.query.model import Query
from mozdef_core.rules.rule import Rule, RuleOptionsType
from mozdef_core.rules.schedule import STREAM
from mozdef_core.window import Window


class EventRule(Rule[RuleOptionsType]):
    """A rule that looks at one event at a time: one alert for each that matches, unless ``group_for`` is set.

    It runs on the stream unless its ``schedule`` says otherwise; it finds the same either way.
    Declare ``query``, or override :meth:`condition` where it depends on the options.
    """

    schedule = STREAM
    streams: ClassVar[bool] = True
    query: ClassVar[Query]
    group_for: ClassVar[timedelta] = timedelta(0)

    def __init__(self, options: RuleOptionsType) -> None:
        super().__init__(options)
        self._condition = self.condition() if self.inactive is None else None

    def condition(self) -> Query:
        """Return the query that an event must match; called once, when the rule is made, unless it is inactive."""
        return self.query

    @property
    def concerns(self) -> Query | None:
        """The condition; of a rule that is inactive, or one that finds in its own way, None."""
        return self._condition if type(self).alert_match is EventRule.alert_match else None

    @property
    def looks_for(self) -> Sequence[Query]:
        """The condition; nothing for a rule that is inactive."""
        return () if self._condition is None else (self._condition,)

    def matches(self, event: Event) -> bool:
        """Return whether an event that the query found is really meant; for what no query can say."""
        return True

    @abstractmethod
    def summary(self, event: Event) -> str:
        """Return one line for people; a missing value is written with :meth:`value`."""

    def details(self, event: Event) -> Mapping[str, Any]:
        """Return the alert's details: the source address and the user name, as far as they are known."""
        pairs = ((name, event.get(f"details.{name}")) for name in ("sourceipaddress", "username"))
        return {name: value for name, value in pairs if value is not None}

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Raise one alert for each event of the window that matches."""
        if self._condition is None:
            return None
        return [self._alert(event) for event in window.search(self._condition) if self.matches(event)]

    def _alert(self, event: Event) -> Alert:
        moment = Moment.of(event)
        options = self.options
        fields = options.suppress_by
        group = (",".join(fields), ",".join(self.value(event, field) for field in fields)) if fields else None
        return replace(
            self.alert(self.summary(event), moment, moment),
            events=(event,),
            count=weight(event),
            group=group,
            group_for=self.group_for if options.group_for is None else options.group_for,
            details=self.details(event),
        )
