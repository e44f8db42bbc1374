"""Rules: detections as small classes. A rule is a plugin whose ``alert_match`` follows from its query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

from mozdef_core.alert import SUMMARY_LIMIT, Alert, Moment, Severity
from mozdef_core.event import Event
from mozdef_core.markers import hookimpl
from mozdef_core.options import Duration, Field, Options
from mozdef_core.query.model import Query
from mozdef_core.window import Window

UNKNOWN: Final = "unknown"


class RuleOptions(Options):
    """What every rule accepts in ``[alerts.<rule>]`` (detections.md A5)."""

    schedule: Literal["stream"] = Field(
        "stream", description="when the rule looks: 'stream' is as events arrive"
    )
    severity: Severity | None = Field(None, description="severity of its alerts, instead of the rule's own")
    tags_add: list[str] = Field([], description="tags added to the rule's own")
    channel: str = Field("", description="where notifiers send its alerts, instead of their default")
    notify: bool | None = Field(None, description="whether notifiers send its alerts; unset: by severity")
    url: str = Field("", description="run-book link stored with each alert")
    group_for: Duration | None = Field(
        None, description="how long after its last event an open alert is extended instead of a new one made"
    )
    suppress_by: list[str] = Field([], description="fields whose values tell alerts apart within group_for")


RuleOptionsType = TypeVar("RuleOptionsType", bound=RuleOptions)


class Rule(ABC, Generic[RuleOptionsType]):
    """A detection. Its name is that of its entry point, and the core puts it on every alert.

    :cvar severity: of its alerts; ``category`` and ``tags`` likewise.
    :cvar attack: MITRE ATT&CK technique ids, such as ``T1110``.
    :cvar version: changes whenever the rule may find something else than before.
    """

    Options: ClassVar[type[RuleOptions]] = RuleOptions
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = ""
    tags: ClassVar[Sequence[str]] = ()
    attack: ClassVar[Sequence[str]] = ()
    version: ClassVar[str] = "1"

    def __init__(self, options: RuleOptionsType) -> None:
        self.options = options

    @property
    def inactive(self) -> str | None:
        """Why the rule can find nothing as it is configured, such as an empty list; None when it can."""
        return None

    @hookimpl
    @abstractmethod
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Find what is worth an alert in the window."""


class EventRule(Rule[RuleOptionsType]):
    """A rule that looks at one event at a time: one alert for each that matches, unless ``group_for`` is set.

    Declare ``query``, or override :meth:`condition` where it depends on the options.
    """

    query: ClassVar[Query]
    group_for: ClassVar[timedelta] = timedelta(0)

    def __init__(self, options: RuleOptionsType) -> None:
        super().__init__(options)
        self._condition = self.condition() if self.inactive is None else None

    def condition(self) -> Query:
        """Return the query that an event must match; called once, when the rule is made, unless it is inactive."""
        return self.query

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

    @staticmethod
    def value(event: Event, path: str) -> str:
        """Return what stands at a path as text for a summary, ``unknown`` where there is nothing."""
        found = [str(value) for value in event.values(path)] if event.exists(path) else []
        return ", ".join(found) or UNKNOWN

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
        return Alert(
            rule="",
            rule_version=self.version,
            summary=self.summary(event)[:SUMMARY_LIMIT],
            first=moment,
            last=moment,
            severity=options.severity or self.severity,
            category=self.category,
            tags=(*self.tags, *options.tags_add),
            attack=tuple(self.attack),
            events=(event,),
            group=group,
            group_for=self.group_for if options.group_for is None else options.group_for,
            details=self.details(event),
            url=options.url,
            channel=options.channel,
            notify=options.notify,
        )
