"""Detection: run the rules over the events just accepted, and over spans of the store that are owed to a rule."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, NamedTuple

from mozdef_core.alert import Alert, Moment
from mozdef_core.detection.dispatch import Dispatch
from mozdef_core.detection.traits import traits_of
from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.exemptions import Exemptions, ScreenedWindow
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import AlertBook, EventStore, OwedSpan
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.query.lists import NO_LISTS, Lists, names_in, resolve
from mozdef_core.query.model import Query
from mozdef_core.window import Window

log = logging.getLogger(__name__)

_NONE: Final = timedelta(0)

OWED_RETRY_S: Final = (5, 60, 600, 3_600)
"""How long a span waits after its first, second, third and every further failure."""


class _Renewed:
    """A compiled query that looks into lists: the same object holds whatever they hold later."""

    __slots__ = ("problem", "test")

    def __init__(self) -> None:
        self.problem: QueryError | None = None
        self.test: Callable[[Event], bool] = _always

    def __call__(self, event: Event) -> bool:
        return self.test(event)


def _always(_event: Event) -> bool:
    return True


class Conditions:
    """Compiled queries, kept for the life of the rules that own them.

    :param lists: what ``field:@name`` means; a change of them is seen after :meth:`renew`.
    """

    def __init__(self, lists: Lists = NO_LISTS) -> None:
        self._lists = lists
        self._version = lists.version
        self._compiled: dict[int, tuple[Query, Callable[[Event], bool]]] = {}

    def __call__(self, query: Query) -> Callable[[Event], bool]:
        """Return the query as a function of an event; a query object is compiled once.

        :raises QueryError: it has no meaning, or looks into a list that does not exist.
        """
        known = self._compiled.get(id(query))
        if known is None or known[0] is not query:
            known = self._compiled[id(query)] = (query, self._compile(query))
        test = known[1]
        if isinstance(test, _Renewed) and test.problem is not None:
            self._renew(query, test)
            if test.problem is not None:
                raise test.problem
        return test

    def renew(self) -> None:
        """Have all queries look into the lists as they are now; to be called between batches.

        A query whose list is gone lets every event pass, so that its rule is called and fails.
        """
        if self._version == self._lists.version:
            return
        self._version = self._lists.version
        for query, test in self._compiled.values():
            if isinstance(test, _Renewed):
                self._renew(query, test)

    def _compile(self, query: Query) -> Callable[[Event], bool]:
        if not names_in(query):
            return compile_query(query)
        renewed = _Renewed()
        self._renew(query, renewed)
        if renewed.problem is not None:
            raise renewed.problem
        return renewed

    def _renew(self, query: Query, renewed: _Renewed) -> None:
        try:
            renewed.test, renewed.problem = compile_query(resolve(query, self._lists)), None
        except QueryError as error:
            renewed.test, renewed.problem = _always, error


class EventsWindow(Window):
    """A window over events in memory.

    :param events: in any order; each has been normalised, mapped, enriched and limited.
    """

    __slots__ = ("_conditions", "_moments", "events")

    def __init__(self, events: Sequence[Event], conditions: Conditions) -> None:
        self._moments = [event.detection_us for event in events]
        super().__init__(min(self._moments, default=0), max(self._moments, default=-1) + 1)
        self.events = events
        self._conditions = conditions

    def search(self, query: Query, *, before: timedelta = _NONE) -> Iterator[Event]:
        """Yield the events that match, in order of (detection time, id); there is nothing before a batch."""
        found = list(filter(self._conditions(query), self.events))
        return iter(found if len(found) < 2 else sorted(found, key=Moment.of))

    def compiled(self, query: Query) -> Callable[[Event], bool]:
        """Return a query as a function of an event; it is kept as long as the rules are."""
        return self._conditions(query)

    def __iter__(self) -> Iterator[Event]:
        """Yield all events, in order of (detection time, id)."""
        return iter(sorted(self.events, key=Moment.of))

    def arrivals(self) -> Counter[int]:
        """Return how many events fall in each minute of detection time (minutes since 1970)."""
        return Counter(moment_us // 60_000_000 for moment_us in self._moments)


class Found(NamedTuple):
    """What the rules made of a batch: the alerts, and the spans that a rule could not look at."""

    alerts: list[Alert]
    owed: list[OwedSpan]


class _Force(NamedTuple):
    """The rules in force, and what is made for them."""

    host: Host
    rules: Mapping[str, Plugin]
    staged: Collection[str]
    conditions: Conditions
    dispatch: Dispatch


def _force(host: Host, lists: Lists) -> _Force:
    traits = {rule: traits_of(rule) for rule in host.table("alert_match").plugins}
    rules = {rule.name: rule for rule, said in traits.items() if said.streams}
    staged = {rule.name for rule, said in traits.items() if said.mode == "staged"}
    conditions = Conditions(lists)
    return _Force(host, rules, staged, conditions, Dispatch(list(rules.values()), conditions))


class Detector:
    """Runs the rules on the stream; a rule that fails, takes too long or is suspended affects only itself.

    :param host: holds the rules; every plugin with ``alert_match`` is one, on the stream unless it says otherwise.
    :param lists: what ``field:@name`` in their queries means.
    :param exemptions: the exceptions from them.
    """

    def __init__(self, host: Host, lists: Lists = NO_LISTS, exemptions: Exemptions | None = None) -> None:
        self._lists = lists
        self._exemptions = Exemptions(lists) if exemptions is None else exemptions
        self._force = _force(host, lists)

    def renew(self, host: Host) -> None:
        """Run the rules of another host from now on; whatever is under way ends with those it began with."""
        self._force = _force(host, self._lists)

    def window(self, events: Sequence[Event]) -> EventsWindow:
        """Return a window over these events that shares compiled queries with every other."""
        return EventsWindow(events, self._force.conditions)

    def stream(self, window: EventsWindow, first: str, last: str) -> Found:
        """Run every rule over those events of a batch just accepted that concern it.

        :param first: least id of the batch's events; ``last`` the greatest: what is owed when a rule fails.
        """
        force, found = self._force, Found([], [])
        force.conditions.renew()
        concerned = force.dispatch.concerned(window.events)
        for rule in force.rules.values():
            if force.dispatch.knows(rule) and rule.name not in concerned:
                continue
            if force.host.suspended(rule):
                found.owed.append(OwedSpan(rule.name, first, last, "the rule was suspended"))
                continue
            events = concerned.get(rule.name)
            given = window if events is None else EventsWindow(events, force.conditions)
            outcome = self._run(force, rule, given)
            if isinstance(outcome, str):
                found.owed.append(OwedSpan(rule.name, first, last, outcome))
            else:
                found.alerts.extend(outcome)
        return found

    def _run(self, force: _Force, rule: Plugin, window: Window) -> list[Alert] | str:
        """Return what a rule found, or why it did not get through."""
        try:
            screen = self._exemptions(rule.name)
        except QueryError as error:
            return f"exception: {error}"
        given = window if screen is None else ScreenedWindow(window, screen)
        outcome = force.host.call(rule, "alert_match", window=given)
        if outcome.problem is not None:
            return f"{outcome.problem[0]}: {outcome.problem[1]}"
        if screen is not None:
            self._exemptions.note(screen)
        staged = rule.name in force.staged
        return [replace(alert, rule=rule.name, staged=staged) for alert in outcome.value or ()]

    def run_owed(self, store: EventStore, book: AlertBook, now_us: int, batch: int = 5_000) -> int:
        """Run rules over what is owed to them, oldest first.

        A span of a rule that is no longer enabled stays: it is run when the rule comes back.

        :returns: how many spans were settled.
        """
        force, settled = self._force, 0
        force.conditions.renew()
        for key, span, failures in book.owed_spans(force.rules.keys(), now_us):
            rule = force.rules[span.rule]
            if force.host.suspended(rule):
                continue
            alerts = self._over_store(force, rule, span, store, batch)
            if isinstance(alerts, str):
                wait_s = OWED_RETRY_S[min(failures, len(OWED_RETRY_S) - 1)]
                log.warning(
                    "rule %s failed on what is owed to it, next try in %d s: %s", rule.name, wait_s, alerts
                )
                book.fail_owed(key, alerts, now_us + wait_s * 1_000_000)
            else:
                book.settle_owed(key, alerts)
                settled += 1
        return settled

    def _over_store(
        self, force: _Force, rule: Plugin, span: OwedSpan, store: EventStore, batch: int
    ) -> list[Alert] | str:
        alerts: list[Alert] = []
        events: list[Event] = []
        for event in store.between_ids(span.first, span.last):
            events.append(event)
            if len(events) == batch:
                found = self._run(force, rule, EventsWindow(events, force.conditions))
                if isinstance(found, str):
                    return found
                alerts.extend(found)
                events = []
        found = self._run(force, rule, EventsWindow(events, force.conditions))
        if isinstance(found, str):
            return found
        return alerts + found
