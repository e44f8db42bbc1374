"""A rule covers its techniques when it is enabled, tested, and events come in by which it could find something."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.event import Event
from mozdef_core.host import Plugin
from mozdef_core.ports import EventStore
from mozdef_core.query.lists import NO_LISTS
from mozdef_core.query.model import All, Bool, Exists, In, Match, Query, QueryString, Term, Wildcard
from mozdef_core.rules import (
    AggregationOptions,
    AggregationRule,
    Awaited,
    DeadmanOptions,
    DeadmanRule,
    EventRule,
    Group,
    RuleOptions,
    SequenceOptions,
    SequenceRule,
    Step,
)
from mozdef_core.services.listed_store import ListedStore
from mozdef_core.services.rule_coverage import Candidate, coverage, lacking
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

HOUR_US = 3_600_000_000
BETWEEN = (BASE_US - HOUR_US, BASE_US + HOUR_US)


class Seen(EventRule[RuleOptions]):
    query: ClassVar[Query] = Term("details.program", "vaultd")
    attack: ClassVar[Sequence[str]] = ("T1110", "T1078")

    def summary(self, event: Event) -> str:
        return "seen"


class Other(Seen):
    attack = ("T1078",)


class Nameless(Seen):
    attack = ()


class Sourced(Seen):
    query: ClassVar[Query] = Term("details.badge", "7")
    sources = Term("details.program", "doord")


class Needing(Seen):
    needs = ("linux",)


class Inactive(Seen):
    inactive = "users is empty"


class Listing(Seen):
    sources = In("details.user", "nowhere")


class Quiet(DeadmanRule[DeadmanOptions]):
    attack = ("T1562",)

    def awaited(self) -> Sequence[Awaited]:
        return [Awaited("nothing", Term("details.nowhere", "x"))]

    def summary(self, awaited: Awaited, window: timedelta, last_us: int | None) -> str:
        return "quiet"


def made(cls: type[Any], **options: Any) -> Candidate:
    rule = cls(cls.Options(**options))
    return Candidate(cls.__name__, rule.attack, Plugin(cls.__name__, rule))


def store_of(*details: dict[str, Any]) -> EventStore:
    store = MemoryStore()
    store.write([stored_event(BASE_US + number, details=each) for number, each in enumerate(details)])
    return ListedStore(store, NO_LISTS)


STORE = store_of({"program": "vaultd"}, {"program": "doord", "badge": "1"})


def look(*candidates: Candidate, store: EventStore = STORE, failing: Sequence[str] = (), **more: Any) -> Any:
    def tested(name: str) -> Sequence[str]:
        return ["fires 1: expected 1 alerts, got 0: none"] if name in failing else []

    more.setdefault("plugins", ())
    return coverage(candidates, store, BETWEEN, tested=tested, **more)


def reason(candidate: Candidate, **more: Any) -> Any:
    (found,) = look(candidate, **more).rules
    return found.reasons


def test_a_rule_that_counts_covers_its_techniques() -> None:
    found = look(made(Seen), made(Sourced), made(Other, mode="off"))
    assert found.covered == {"T1078": ["Seen", "Sourced"], "T1110": ["Seen", "Sourced"]}
    assert found.uncovered == {}
    assert [rule.reasons for rule in found.rules] == [[], [], ["its mode is 'off'"]]
    document = found.to_dict()
    assert document["rules"][2] == {
        "rule": "Other",
        "attack": ["T1078"],
        "counts": False,
        "reasons": ["its mode is 'off'"],
    }


def test_a_technique_of_which_no_rule_counts_is_uncovered() -> None:
    found = look(made(Other), made(Seen, mode="staged"))
    assert (found.covered, found.uncovered) == ({"T1078": ["Other"]}, {"T1110": ["Seen"]})


@pytest.mark.parametrize(
    ("candidate", "more", "expected"),
    [
        (Candidate("x", ("T1",), None), {}, "it is not enabled"),
        (
            Candidate("x", ("T1",), None, "alerts.x.window: wrong"),
            {},
            "it cannot start: alerts.x.window: wrong",
        ),
        (made(Nameless), {}, "it names no ATT&CK technique"),
        (made(Seen, mode="staged"), {}, "its mode is 'staged', so nobody is told of its alerts"),
        (
            made(Seen),
            {"failing": ["Seen"]},
            "its examples: fires 1: expected 1 alerts, got 0: none",
        ),
        (made(Needing), {}, "it needs the plugin linux, which is not enabled"),
        (made(Inactive), {}, "it can find nothing as it is configured: users is empty"),
        (
            made(Seen),
            {"store": store_of({"user": "x"})},
            "no event of this time has the field details.program",
        ),
        (made(Sourced), {"store": store_of({"badge": "7"})}, "no event of this time is one of its sources"),
        (
            made(Sourced),
            {"store": store_of({"badge": "7"}, {"program": "doord"})},
            "no event of this time of its sources has the field details.badge",
        ),
        (
            made(Listing),
            {},
            "what it looks for cannot be looked up: there is no list @nowhere; there are no lists yet",
        ),
    ],
)
def test_every_rule_that_does_not_count_says_why(
    candidate: Candidate, more: dict[str, Any], expected: str
) -> None:
    assert reason(candidate, **more) == [expected]


def test_what_was_stored_at_another_time_does_not_count() -> None:
    store = MemoryStore()
    store.write([stored_event(BASE_US - 2 * HOUR_US, details={"program": "vaultd"})])
    assert reason(made(Seen), store=store) == ["no event of this time has the field details.program"]


def test_a_rule_about_absence_needs_no_matches_and_one_with_its_plugin_counts() -> None:
    assert reason(made(Quiet)) == []
    assert reason(made(Needing), plugins=["linux"]) == []


HAS = {"a", "b"}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (All(), []),
        (Term("a", 1) & Term("x", 1) & Exists("y"), ["x", "y"]),
        (Term("a", 1) | Term("x", 1), []),
        (Term("x", 1) | (Term("y", 1) & Term("z", 1)), ["x"]),
        (Bool(must=(Term("x", 1),), should=(Term("y", 1), Term("y", 2))), ["x", "y"]),
        (Term("a", 1) & ~Term("x", 1), []),
        (Match("*", "x"), []),
        (Wildcard("x", "*"), ["x"]),
        (QueryString("a:1 AND x:1"), ["x"]),
        (In("x", "list"), ["x"]),
    ],
)
def test_the_fields_are_named_without_which_nothing_can_match(query: Query, fields: list[str]) -> None:
    assert list(lacking(query, HAS.__contains__)) == fields


class Many(AggregationRule[AggregationOptions]):
    query = Term("details.program", "vaultd")
    by: ClassVar[str | Sequence[str]] = "details.user"
    window = timedelta(minutes=1)
    attack = ("T1110",)

    def summary(self, group: Group) -> str:
        return "many"


class Worked(Many):
    def expand(self, event: Event) -> Sequence[str]:
        return ["all"]


class Ordered(SequenceRule[SequenceOptions]):
    steps: ClassVar[Sequence[Step]] = (
        Step(Term("details.program", "vaultd")),
        Step(Term("details.opened", "yes")),
    )
    by = "details.user"
    window = timedelta(minutes=1)
    attack = ("T1110",)

    def summary(self, group: Group) -> str:
        return "ordered"


def test_events_must_have_what_makes_the_group_and_each_step() -> None:
    user, opened = (f"no event of this time has the field details.{name}" for name in ("user", "opened"))
    assert reason(made(Many)) == [user]
    assert reason(made(Worked)) == []
    assert reason(made(Ordered)) == [user, opened]
