"""Exceptions from rules (detections.md A5), called exemptions in code, where an exception is an error.

An exemption removes the events that match its query before a rule counts them, if they were received while it was in
force, whenever the rule runs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from mozdef_core.alert import Consumed
from mozdef_core.event import Event, now_us
from mozdef_core.query import evaluate
from mozdef_core.query.lists import NO_LISTS, Lists, resolve
from mozdef_core.query.model import All, Query, QueryString
from mozdef_core.query.plain import plain
from mozdef_core.window import RuleMemory, Window

SAMPLES: Final = 20
"""So many of the events that it removed are known of each exemption: the last ones."""

_NONE: Final = timedelta(0)

Scope: TypeAlias = Literal["all", "tag", "rule"]


@dataclass(frozen=True, slots=True)
class Exemption:
    """An exception from some rules.

    :param target: the tag or the name of the rule that it is for; empty for all rules.
    :param query: a search string.
    :param starts_us: it is in force for events received from then on, microseconds since 1970.
    :param expires_us: and before then.
    """

    id: str
    scope: Scope
    target: str
    query: str
    starts_us: int
    expires_us: int

    def concerns(self, rule: str, tags: Collection[str]) -> bool:
        """Return whether it is for a rule with these tags."""
        if self.scope == "all":
            return True
        return self.target in tags if self.scope == "tag" else self.target == rule

    def in_force(self, us: int) -> bool:
        """Return whether it holds for what was received at a time."""
        return self.starts_us <= us < self.expires_us


class Sample(NamedTuple):
    """An event that was removed, and when."""

    event_id: str
    at_us: int
    rule: str


@dataclass(slots=True)
class Removed:
    """How many events an exemption has removed, and the last of them."""

    count: int = 0
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def add(self, other: Removed) -> None:
        """Add what was removed later."""
        self.count += other.count
        self.samples.extend(other.samples)


Tally: TypeAlias = dict[str, Removed]
"""What was removed, by the id of the exemption."""

_Test: TypeAlias = Callable[[Event], bool]


class Screen:
    """What the exemptions leave a rule of its events, in one run; made by :meth:`Exemptions.screen`.

    An event that several remove is counted for the first, and however often it is asked for once.

    :param tests: the exemptions that concern the rule, each with its query compiled.
    :param sampled: is told of each removal that counts.
    """

    def __init__(
        self, rule: str, tests: Sequence[tuple[Exemption, _Test]], sampled: Callable[[str, Sample], None]
    ) -> None:
        self._rule = rule
        self._tests = tests
        self._sampled = sampled
        self._counted: set[str] = set()
        self._removed: dict[str, int] = {}

    @property
    def removed(self) -> Mapping[str, int]:
        """How many events each exemption has removed, by its id."""
        return self._removed

    def __call__(self, event: Event, counted: bool = True, /) -> bool:
        """Return whether an event stays.

        :param counted: whether a removal counts; not for what a rule only looks back at.
        """
        received_us = event.received_us
        for exemption, matches in self._tests:
            if exemption.in_force(received_us) and matches(event):
                if counted and event.id not in self._counted:
                    self._counted.add(event.id)
                    self._removed[exemption.id] = self._removed.get(exemption.id, 0) + 1
                    self._sampled(exemption.id, Sample(event.id, now_us(), self._rule))
                return False
        return True


class Exemptions:
    """All exemptions there are; threads share it. It is what detection asks for the exceptions of a rule.

    :param lists: what ``field:@name`` in their queries means.
    :param tags: the tags of each rule, by its name.
    :param silences: names of the rules that look for silence: of them no event is removed, they are muted.
    """

    def __init__(
        self,
        lists: Lists = NO_LISTS,
        tags: Mapping[str, Collection[str]] | None = None,
        silences: Collection[str] = (),
    ) -> None:
        self._lists = lists
        self._lists_version = lists.version
        self._tags = tags or {}
        self._silences = frozenset(silences)
        self._all: tuple[Exemption, ...] = ()
        self._tests: dict[str, _Test] = {}
        self._lock = threading.Lock()
        self._tally: Tally = {}

    def replace(self, exemptions: Iterable[Exemption]) -> None:
        """Have these from now on, and no others."""
        with self._lock:
            self._all = tuple(exemptions)
            self._tests = {}

    def renew(self, tags: Mapping[str, Collection[str]], silences: Collection[str]) -> None:
        """Know other rules from now on, by their tags, and which of them look for silence."""
        self._tags, self._silences = tags, frozenset(silences)

    def __call__(self, rule: str, /) -> Screen | None:
        """Return what decides about the events of a rule in one run; None when no exemption concerns it.

        :raises QueryError: one has no meaning, such as by a list that was deleted; then the rule cannot be run, for
            without the exemption it would tell people what it must not.
        """
        if rule in self._silences:
            return None
        tags = self._tags.get(rule, ())
        mine = [one for one in self._all if one.concerns(rule, tags)]
        return Screen(rule, [(one, self._test(one)) for one in mine], self._sampled) if mine else None

    def _test(self, exemption: Exemption) -> _Test:
        with self._lock:
            if self._lists.version != self._lists_version:
                self._tests = {}
                self._lists_version = self._lists.version
            key = exemption.query
            known = self._tests.get(key)
        if known is None:
            known = evaluate.compile(resolve(QueryString(exemption.query), self._lists))
            with self._lock:
                self._tests[key] = known
        return known

    def mutes(self, rule: str, at_us: int) -> Exemption | None:
        """Return what forbids a dead-man rule to tell anybody at a time; its alert is kept all the same.

        A silence has no events to match, so of exemptions for all rules or a tag only those for every event count.
        """
        for one in self._all:
            if not (one.in_force(at_us) and one.concerns(rule, self._tags.get(rule, ()))):
                continue
            if one.scope == "rule" or plain(QueryString(one.query)) == All():
                return one
        return None

    def note(self, screen: Screen) -> None:
        """Count what a run on the stream removed, when it has succeeded; the ledger counts for runs on a schedule."""
        with self._lock:
            for exemption_id, count in screen.removed.items():
                self._tally.setdefault(exemption_id, Removed()).count += count

    def _sampled(self, exemption_id: str, sample: Sample) -> None:
        with self._lock:
            self._tally.setdefault(exemption_id, Removed()).samples.append(sample)

    def give_back(self, tally: Tally) -> None:
        """Keep what :meth:`take` returned and nobody could write down."""
        with self._lock:
            for exemption_id, removed in tally.items():
                removed.add(self._tally.get(exemption_id, Removed()))
                self._tally[exemption_id] = removed

    def take(self) -> Tally:
        """Return what was counted and sampled since the last call."""
        with self._lock:
            taken, self._tally = self._tally, {}
        return taken


class ScreenedWindow(Window):
    """A window without the events that exemptions remove; only those that a rule asks for are counted.

    :param screen: of the rule that it is given to.
    """

    __slots__ = ("_screen", "_whole")

    def __init__(self, whole: Window, screen: Screen) -> None:
        super().__init__(whole.start_us, whole.end_us)
        self._whole = whole
        self._screen = screen

    def search(self, query: Query, *, before: timedelta = _NONE) -> Iterator[Event]:
        """Yield every event that matches and stays."""
        start_us = self.start_us
        found = self._whole.search(query, before=before) if before else self._whole.search(query)
        return (event for event in found if self._screen(event, event.detection_us >= start_us))

    def compiled(self, query: Query) -> Callable[[Event], bool]:
        """Return a query as a function of an event, whatever exemptions say of it."""
        return self._whole.compiled(query)

    def __iter__(self) -> Iterator[Event]:
        """Yield every event that stays."""
        return (event for event in self._whole if self._screen(event))

    def fresh(self, query: Query) -> Iterator[Event]:
        """Yield the new events that match and stay."""
        return (event for event in self._whole.fresh(query) if self._screen(event))

    def consumed(self, before: timedelta) -> Mapping[str, Sequence[Consumed]]:
        """Return what earlier alerts have consumed."""
        return self._whole.consumed(before)

    @property
    def memory(self) -> RuleMemory:
        """What the rule remembers."""
        return self._whole.memory

    def last(
        self, query: Query, *, since_us: int | None = None, before_us: int | None = None
    ) -> Event | None:
        """Return the last match; an exemption does not make a silence."""
        return self._whole.last(query, since_us=since_us, before_us=before_us)

    def first(self, query: Query, *, since_us: int, before_us: int | None = None) -> Event | None:
        """Return the first match; an exemption does not make a silence."""
        return self._whole.first(query, since_us=since_us, before_us=before_us)

    def listened(self, start_us: int, end_us: int) -> Sequence[int]:
        """Return the minutes in which MozDef was listening."""
        return self._whole.listened(start_us, end_us)
