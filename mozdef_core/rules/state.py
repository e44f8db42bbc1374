"""The state rule: a detection that remembers something from run to run, and is given each event once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from mozdef_core.alert import Alert, Moment, Severity, weight
from mozdef_core.event import Event
from mozdef_core.options import Field
from mozdef_core.rules.rule import Rule, ScheduledOptions


class StateOptions(ScheduledOptions):
    """What every state rule accepts."""

    samples: int | None = Field(
        None, ge=0, le=100, description="events kept with each alert; unset: the rule's own"
    )


StateOptionsType = TypeVar("StateOptionsType", bound=StateOptions)


class StateRule(Rule[StateOptionsType]):
    """A rule with a memory: :meth:`Window.fresh` gives it each event once, late ones too, ``window.memory`` is kept.

    What it changes in its memory is written together with its alerts, or not at all: a run that fails is made again
    with the memory as it was. It runs up to where everything received is stored.

    :ivar samples: how many events an alert keeps.
    :cvar group_for: how long after its last event an open alert of the same group is extended.
    """

    class Options(StateOptions):
        """Options of a state rule: subclass it, and name there what the rule has of its own."""

    remembers: ClassVar[bool] = True
    samples: int = 10
    group_for: ClassVar[timedelta] = timedelta(0)

    def __init__(self, options: StateOptionsType) -> None:
        super().__init__(options)
        if options.samples is not None:
            self.samples = options.samples

    @property
    def warm_up(self) -> timedelta:
        """How much history a backtest must have seen before its span."""
        return timedelta(0)

    def raised(
        self,
        events: Sequence[Event],
        group: tuple[str, str],
        summary: str,
        details: Mapping[str, Any],
        *,
        severity: Severity | None = None,
        staged: bool = False,
        extends: str = "",
    ) -> Alert:
        """Return an alert about some events, all of which it consumes.

        :param group: grouping field and value.
        :param severity: unless the option says it; None for the rule's own.
        :param staged: nobody is told, for the rule does not know enough yet.
        :param extends: id of the open alert that these only add to.
        """
        ordered, options = sorted(events, key=Moment.of), self.options
        return replace(
            self.alert(summary, Moment.of(ordered[0]), Moment.of(ordered[-1]), severity),
            events=tuple(ordered[: max(1, self.samples)]),  # by one the book knows when they were received
            samples=self.samples,
            count=sum(map(weight, ordered)),
            group=group,
            group_for=self.group_for if options.group_for is None else options.group_for,
            details=details,
            staged=staged,
            extends=extends,
        )
