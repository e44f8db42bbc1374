"""The rule: what all detections have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Annotated, ClassVar, Generic, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator

from mozdef_core.alert import SUMMARY_LIMIT, Alert, Moment, Severity
from mozdef_core.event import Event
from mozdef_core.markers import hookimpl
from mozdef_core.options import Duration, Field, Items, Options
from mozdef_core.query.model import Query
from mozdef_core.rules.group import UNKNOWN
from mozdef_core.rules.schedule import check_schedule, refuse_stream
from mozdef_core.window import Window

Mode: TypeAlias = Literal["live", "staged", "off"]
Schedule = Annotated[str, AfterValidator(check_schedule)]
SpanSchedule = Annotated[str, AfterValidator(check_schedule), AfterValidator(refuse_stream)]


class RuleOptions(Options):
    """What every rule accepts in ``[alerts.<rule>]`` (detections.md A5)."""

    mode: Mode = Field(
        "live",
        description="'staged': its alerts are shown on the rule's page only and nobody is told; 'off': it does not run",
    )
    schedule: Schedule | None = Field(
        None,
        description="when the rule looks: an interval such as 60s, five crontab fields, or 'stream' (event rules only) "
        "for as events arrive; unset: the rule's own",
    )
    severity: Severity | None = Field(None, description="severity of its alerts, instead of the rule's own")
    tags_add: Items = Field([], description="tags added to the rule's own")
    channel: str = Field("", description="where notifiers send its alerts, instead of their default")
    notify: bool | None = Field(None, description="whether notifiers send its alerts; unset: by severity")
    url: str = Field("", description="run-book link stored with each alert")
    group_for: Duration | None = Field(
        None, description="how long after its last event an open alert is extended instead of a new one made"
    )
    suppress_by: Items = Field([], description="fields whose values tell alerts apart within group_for")


class ScheduledOptions(RuleOptions):
    """What every rule accepts that looks at spans of time rather than at single events."""

    schedule: SpanSchedule | None = Field(
        None,
        description="when the rule looks: an interval such as 60s, or five crontab fields; unset: the rule's own",
    )


RuleOptionsType = TypeVar("RuleOptionsType", bound=RuleOptions)


class Rule(ABC, Generic[RuleOptionsType]):
    """A detection. Its name is that of its entry point, and the core puts it on every alert.

    Some class attributes are defaults of options: ``schedule``, and of other kinds ``window``, ``threshold`` and
    ``samples``. On the object they are what holds: the option where it is set, else what the class says.

    :cvar severity: of its alerts; ``category`` and ``tags`` likewise.
    :cvar attack: MITRE ATT&CK technique ids, such as ``T1110``.
    :cvar version: changes whenever the rule may find something else than before.
    :cvar streams: whether it may be run on single batches as they arrive, since it looks at each event for itself.
    :cvar needs: names of plugins without whose work on the events it cannot find what it should.
    :cvar sources: what must be seen now and then for it to find anything; None: its own query will do.
    """

    Options: ClassVar[type[RuleOptions]] = RuleOptions
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = ""
    tags: ClassVar[Sequence[str]] = ()
    attack: ClassVar[Sequence[str]] = ()
    version: ClassVar[str] = "1"
    streams: ClassVar[bool] = False
    needs: ClassVar[Sequence[str]] = ()
    sources: ClassVar[Query | None] = None
    schedule: str = "60s"

    def __init__(self, options: RuleOptionsType) -> None:
        self.options = options
        if options.schedule is not None:
            self.schedule = options.schedule
        if not self.streams:
            refuse_stream(self.schedule)

    @property
    def inactive(self) -> str | None:
        """Why the rule can find nothing as it is configured, such as an empty list; None when it can."""
        return None

    @property
    def problems(self) -> Sequence[str]:
        """What in its options cannot be used, while the rest can, such as one bad entry of several."""
        return ()

    @property
    def concerns(self) -> Query | None:
        """What an event must match for the rule to make anything of it, so that the stream spares it the others.

        None is for every event.
        """
        return None

    @property
    def looks_for(self) -> Sequence[Query]:
        """What the events must match by which it finds something, as far as queries can say it; empty when they cannot.

        It is for those who ask whether a rule could find anything at all, and for nobody who looks for events.
        """
        return ()

    @property
    def look_back(self) -> timedelta:
        """How far behind the span that it is run over the rule looks: a late event makes so much be run again."""
        return timedelta(0)

    @staticmethod
    def value(event: Event, path: str) -> str:
        """Return what stands at a path as text for a summary, ``unknown`` where there is nothing."""
        found = [str(value) for value in event.values(path)] if event.exists(path) else []
        return ", ".join(found) or UNKNOWN

    def alert(self, summary: str, first: Moment, last: Moment, severity: Severity | None = None) -> Alert:
        """Return an alert with what the rule and its options say of all its alerts; the rest is for the caller to add.

        :param first: the earliest event consumed; ``last`` the latest.
        :param severity: unless the option says it; None for the rule's own.
        """
        options = self.options
        return Alert(
            rule="",
            rule_version=self.version,
            summary=summary[:SUMMARY_LIMIT],
            first=first,
            last=last,
            severity=options.severity or severity or self.severity,
            category=self.category,
            tags=(*self.tags, *options.tags_add),
            attack=tuple(self.attack),
            url=options.url,
            channel=options.channel,
            notify=options.notify,
        )

    @hookimpl
    @abstractmethod
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Find what is worth an alert in the window."""
