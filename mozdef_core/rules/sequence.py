"""The sequence rule: several steps by one entity, in order or not, within a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, TypeVar

from mozdef_core.event import Event
from mozdef_core.query.lists import names_in
from mozdef_core.query.model import Bool, Query
from mozdef_core.rules.grouped import GroupedOptions, GroupedRule
from mozdef_core.walk import Finding, Trigger
from mozdef_core.window import Window

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence.

    :param query: what an event must match.
    :param at_least: how many occurrences make the step.
    """

    query: Query
    at_least: int = 1

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise ValueError(f"Step.at_least: expected 1 or more, got {self.at_least}")


class SequenceOptions(GroupedOptions):
    """What every sequence rule accepts."""


SequenceOptionsType = TypeVar("SequenceOptionsType", bound=SequenceOptions)


class SequenceRule(GroupedRule[SequenceOptionsType]):
    """Several steps by one entity within a window, such as failed logins and then one that succeeds.

    Declare ``steps``, or override :meth:`path` where they depend on the options, and ``by`` and ``window``. A finding
    is all events of the group that match any step, from the window before the last on; none is in two findings. Further
    ones within ``group_for`` extend the alert. In order, events of the same time count as in any order, for many
    clocks tell whole seconds, and an event is in one place only; without order an event counts for each step that it
    matches.

    :cvar ordered: whether the steps must come one after the other.
    """

    class Options(SequenceOptions):
        """Options of a sequence rule: subclass it, and name there what the rule has of its own."""

    steps: ClassVar[Sequence[Step]]
    ordered: ClassVar[bool] = True

    def __init__(self, options: SequenceOptionsType) -> None:
        super().__init__(options)
        self._steps = tuple(self.path()) if self.inactive is None else ()
        for step in self._steps:
            _check(step.query)
        if not self._steps and self.inactive is None:
            raise ValueError(f"{type(self).__name__}.steps: expected at least one step")

    def path(self) -> Sequence[Step]:
        """Return the steps; called once, when the rule is made, unless it is inactive."""
        return self.steps

    @property
    def looks_for(self) -> Sequence[Query]:
        """The condition of each step, and the fields that make the group."""
        return [self._in_a_group(step.query) for step in self._steps]

    def _triggers(self, window: Window) -> Callable[[], Trigger]:
        tests = [window.compiled(step.query) for step in self._steps]
        least = [step.at_least for step in self._steps]
        if self.ordered:
            return lambda: InOrder(tests, least, self.window)
        return lambda: Together(tests, least)

    def _findings(self, window: Window) -> Iterator[Finding]:
        query = Bool(should=tuple(step.query for step in self._steps))
        return self._walk(window, window.search(query, before=self.window))


def _check(query: Query) -> None:
    """Refuse a step without a meaning when the rule is made, as far as it looks into no list.

    :raises QueryError: it has none.
    """
    from mozdef_core.query import evaluate  # 60 ms of grammar: only for who has sequences

    if not names_in(query):  # what a list holds is only known when it runs
        evaluate.compile(query)


class InOrder(Trigger):
    """Each step so many times, one step after the other.

    For each step it keeps the last occurrences that make it, each with the latest moment at which the steps before it
    can have begun. So the latest possible beginning of the whole is known after every event, and nothing is searched.

    :param tests: whether an event matches a step.
    :param least: how many occurrences make it.
    """

    __slots__ = ("_begun", "_counts", "_least", "_moment", "_occurrences", "_tests", "_window_us")
    together: ClassVar[bool] = True

    def __init__(
        self, tests: Sequence[Callable[[Event], bool]], least: Sequence[int], window: timedelta
    ) -> None:
        self._tests = tests
        self._least = least
        self._window_us = window // _MICROSECOND
        self.reset()

    def reset(self) -> None:
        """Begin before the first step."""
        self._moment: list[tuple[list[int], int, int]] = []
        self._occurrences: list[deque[tuple[int, int]]] = [deque() for _ in self._tests]
        self._counts = [0] * len(self._tests)
        self._begun: list[int | None] = [None] * len(self._tests)

    def add(self, event: Event, us: int, count: int) -> None:
        """Keep the event until all of its moment are known."""
        places = [place for place, test in enumerate(self._tests) if test(event)]
        if places:
            self._moment.append((places, us, count))

    def drop(self, event: Event, count: int) -> None:
        """Do nothing: a beginning that the window has left behind is one that is too early."""

    def met(self, us: int) -> bool:
        """Take the events of a moment in the order of their steps, and return whether the last step is made."""
        self._moment.sort(key=lambda one: (one[0][-1], one[0][0]))
        for places, moment_us, count in self._moment:
            for place in reversed(places):
                self._step(place, moment_us, count)
        self._moment.clear()
        begun_us = self._begun[-1]
        return begun_us is not None and us - begun_us <= self._window_us

    def _step(self, place: int, us: int, count: int) -> None:
        begun_us = us if place == 0 else self._begun[place - 1]
        if begun_us is None:
            return
        occurrences, least = self._occurrences[place], self._least[place]
        occurrences.append((count, begun_us))
        total = self._counts[place] + count
        while total - occurrences[0][0] >= least:
            total -= occurrences.popleft()[0]
        self._counts[place] = total
        if total >= least:
            self._begun[place] = occurrences[0][1]


class Together(Trigger):
    """Each step so many times, in any order.

    :param tests: whether an event matches a step.
    :param least: how many occurrences make it.
    """

    __slots__ = ("_counts", "_least", "_places", "_tests")

    def __init__(self, tests: Sequence[Callable[[Event], bool]], least: Sequence[int]) -> None:
        self._tests = tests
        self._least = least
        self.reset()

    def reset(self) -> None:
        """Begin at nothing."""
        self._counts = [0] * len(self._tests)
        self._places: deque[list[int]] = deque()

    def add(self, event: Event, us: int, count: int) -> None:
        """Count the event for each step that it matches."""
        places = [place for place, test in enumerate(self._tests) if test(event)]
        self._places.append(places)
        for place in places:
            self._counts[place] += count

    def drop(self, event: Event, count: int) -> None:
        """Take the event off again."""
        for place in self._places.popleft():
            self._counts[place] -= count

    def met(self, us: int) -> bool:
        """Return whether every step is made."""
        return all(count >= least for count, least in zip(self._counts, self._least, strict=True))
