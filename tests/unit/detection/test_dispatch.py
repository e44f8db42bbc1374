from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core import Alert, Event, EventRule, Match, Query, QueryString, RuleOptions, Term, hookimpl
from mozdef_core.detection import Conditions, Detector
from mozdef_core.detection.dispatch import FEW, Dispatch
from mozdef_core.discovery import as_plugin
from mozdef_core.host import Plugin
from mozdef_core.testing_contracts.queries import events, queries
from mozdef_core.testing_contracts.store_events import stored_event
from mozdef_core.testing_contracts.trial import Trial
from mozdef_core.window import Window

DOOR = stored_event(details={"door": "open"})
SHUT = stored_event(details={"door": "shut"})


class Asking(EventRule[RuleOptions]):
    """Asks for whatever the test says."""

    query: ClassVar[Query] = Term("details.door", "open")
    calls: list[int] = []  # noqa: RUF012 -- a test looks at it

    def matches(self, event: Event) -> bool:
        self.calls.append(1)
        return True

    def summary(self, event: Event) -> str:
        return "asked"


class Broken(Asking):
    """Its query has no meaning, which shows when it is used."""

    query: ClassVar[Query] = QueryString("details.door:[")


class Engine:
    """Finds in its own way, so it is given everything."""

    seen: list[int] = []  # noqa: RUF012 -- a test looks at it

    def __init__(self, options: object) -> None:
        pass

    @hookimpl
    def alert_match(self, window: Window) -> list[Alert]:
        self.seen.append(sum(1 for _ in window))
        return []


def plugin_of(name: str, cls: type[Any]) -> Plugin:
    return as_plugin(name, cls, {}, f"alerts.{name}")


def asking(query: Query) -> type[Asking]:
    return type("Asks", (Asking,), {"query": query})


@settings(max_examples=25)  # a plugin is made of every query
@given(st.lists(queries, max_size=4), st.lists(events(), max_size=6), st.sampled_from([0, FEW]))
def test_a_rule_is_given_exactly_the_events_that_its_query_matches(
    asked: list[Query], given_: list[Event], few: int
) -> None:
    conditions = Conditions()
    rules = [plugin_of(f"rule{number}", asking(query)) for number, query in enumerate(asked)]
    concerned = Dispatch(rules, conditions, few).concerned(given_)
    for rule, query in zip(rules, asked, strict=True):
        assert list(concerned.get(rule.name, ())) == [event for event in given_ if conditions(query)(event)]


def test_a_rule_that_no_event_concerns_is_not_called_and_owed_nothing() -> None:
    host = Trial([Asking])
    detector = Detector(host)
    host.health.suspend("asking", "for the test")
    assert detector.stream(detector.window([SHUT]), SHUT.id, SHUT.id).owed == []
    assert [span.rule for span in detector.stream(detector.window([DOOR]), DOOR.id, DOOR.id).owed] == [
        "asking"
    ]


def test_an_engine_is_given_every_event() -> None:
    Engine.seen.clear()
    detector = Detector(Trial([Engine, Asking]))
    detector.stream(detector.window([SHUT, DOOR]), SHUT.id, DOOR.id)
    assert Engine.seen == [2]


def test_a_query_without_meaning_troubles_its_own_rule_only() -> None:
    detector = Detector(Trial([Broken, Asking]))
    found = detector.stream(detector.window([DOOR]), DOOR.id, DOOR.id)
    assert [span.rule for span in found.owed] == ["broken"]
    assert [alert.rule for alert in found.alerts] == ["asking"]


def test_a_rule_that_overrides_the_hook_is_asked_about_everything() -> None:
    class Own(Asking):
        """Finds in its own way."""

        @hookimpl
        def alert_match(self, window: Window) -> list[Alert]:
            return []

    assert not Dispatch([plugin_of("own", Own)], Conditions()).knows(plugin_of("own", Own))
    assert Dispatch([plugin_of("asks", asking(Match("summary", "x")))], Conditions()).knows(
        plugin_of("asks", Asking)
    )
