"""Remarks about rules: each code has a rule that earns it and one that nearly does."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.alert import Severity
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.event import Event
from mozdef_core.exemptions import Exemption
from mozdef_core.host import Plugin
from mozdef_core.query.lists import GivenLists
from mozdef_core.query.members import TextMembers
from mozdef_core.query.model import Exists, Prefix, Query, QueryString, Regexp, Term, Wildcard
from mozdef_core.rules import AggregationOptions, AggregationRule, EventRule, Group, RuleOptions
from mozdef_core.services.rule_lint import CODES, SOON, Surroundings, begins_literally, lint
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

DAY_US = 86_400_000_000
SOON_US = SOON // timedelta(microseconds=1)


class Good(EventRule[RuleOptions]):
    query: ClassVar[Query] = Term("details.program", "vaultd")
    severity, category, tags = Severity.WARNING, "access", ("vault",)
    attack = ("T1078",)

    def summary(self, event: Event) -> str:
        return "seen"


class Bare(EventRule[RuleOptions]):
    query = Term("details.program", "vaultd")

    def summary(self, event: Event) -> str:
        return "seen"


class Needing(Good):
    needs = ("linux", "geoip")


class Inactive(Good):
    inactive = "users is empty"


class Long(AggregationRule[AggregationOptions]):
    query = Term("details.program", "vaultd")
    by = "details.user"
    window = timedelta(days=30)
    category, attack = "access", ("T1078",)
    severity = Severity.WARNING

    def summary(self, group: Group) -> str:
        return "long"


def plugin(cls: type[Any], query: Query | None = None, **options: Any) -> Plugin:
    kind = cls if query is None else type("Asking", (cls,), {"query": query})
    return Plugin("r", kind(cls.Options(**options)))


def remarks(rule: Plugin, *, events: bool = True, **more: Any) -> list[tuple[str, str]]:
    store = MemoryStore()
    if events:
        store.write([stored_event(BASE_US, details={"program": "vaultd", "user": "ines"})])
    values: dict[str, Any] = {
        "store": store,
        "between": (BASE_US - 1, BASE_US + 1),
        "plugins": ("linux",),
        "examples": lambda _name: (1, 1),
        "now_us": BASE_US,
        **more,
    }
    found = lint([rule], Surroundings(**values))
    assert {remark.code for remark in found} <= CODES.keys()
    assert all(remark.to_dict()["rule"] == remark.rule for remark in found)
    return [(remark.code, remark.message) for remark in found]


def test_a_good_rule_earns_no_remark() -> None:
    assert remarks(plugin(Good)) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            Wildcard("details.user", "*ines"),
            ("leading-wildcard", "the pattern '*ines' begins with a wildcard"),
        ),
        (Wildcard("details.user", "?nes*"), ("leading-wildcard", "'?nes*'")),
        (~Wildcard("details.user", "*x"), ("leading-wildcard", "'*x'")),
        (QueryString("details.user:*x"), ("leading-wildcard", "'*x'")),
        (Wildcard("*", "*x"), ("leading-wildcard", "*: the pattern")),
        (Wildcard("details.user", "*"), None),
        (Wildcard("details.user", r"\*x*"), None),
        (Prefix("details.user", "x"), None),
        (Regexp("details.user", ".*x"), ("costly-regex", "'.*x' begins with no literal text")),
        (Regexp("details.user", "x.*"), None),
        (Exists("details.usr"), ("unknown-field", "'details.usr'; did you mean 'details.user'?")),
        (~Exists("details.usr"), ("unknown-field", "details.usr")),
        (QueryString("details.usr:x"), ("unknown-field", "details.usr")),
        (Exists("details"), None),
        (QueryString("details.user:@boss"), ("unknown-list", "no list @boss; did you mean @bosses?")),
        (QueryString("details.user:@bosses"), None),
        (QueryString("details.user:("), ("invalid-query", "")),
    ],
)
def test_a_query_is_looked_at(query: Query, expected: tuple[str, str] | None) -> None:
    found = remarks(plugin(Good, query), lists=GivenLists({"bosses": TextMembers([("ines", None)])}))
    if expected is None:
        assert found == []
    else:
        ((code, message),) = found
        assert code == expected[0]
        assert expected[1] in message


def test_without_stored_events_fields_are_not_looked_at() -> None:
    assert [code for code, _ in remarks(plugin(Good), events=False)] == ["no-events"]


def test_a_rule_says_what_its_alerts_are() -> None:
    assert [code for code, _ in remarks(plugin(Bare))] == ["no-technique", "no-category", "no-severity"]
    assert [code for code, _ in remarks(plugin(Bare, severity="ERROR"))] == ["no-technique", "no-category"]


@pytest.mark.parametrize(
    ("counts", "codes"),
    [
        ((0, 1), ["no-example-fires"]),
        ((1, 0), ["no-example-nearly"]),
        ((0, 0), ["no-example-fires", "no-example-nearly"]),
    ],
)
def test_a_rule_has_examples_of_both_kinds(counts: tuple[int, int], codes: Sequence[str]) -> None:
    assert [code for code, _ in remarks(plugin(Good), examples=lambda _name: counts)] == codes


def test_what_a_rule_needs_is_enabled_and_it_can_find_something() -> None:
    assert remarks(plugin(Needing)) == [("needs-plugin", "it needs the plugin geoip, which is not enabled")]
    assert remarks(plugin(Inactive)) == [
        ("inactive", "it can find nothing as it is configured: users is empty")
    ]


@pytest.mark.parametrize(
    ("retention", "remarked"),
    [(timedelta(days=29), True), (timedelta(days=30), False), (None, False)],
)
def test_a_window_is_no_longer_than_events_are_kept(retention: timedelta | None, remarked: bool) -> None:
    found = remarks(plugin(Long), retention=retention)
    assert [code for code, _ in found] == ["window-too-long"] * remarked
    if found:
        assert found[0][1] == "it looks back 30 days, 0:00:00, but events are kept for 29 days, 0:00:00"


@pytest.mark.parametrize(
    ("scope", "target", "ends_us", "remarked"),
    [
        ("rule", "r", SOON_US, True),
        ("tag", "vault", DAY_US, True),
        ("all", "", DAY_US, True),
        ("tag", "night", DAY_US, True),
        ("rule", "r", SOON_US + 1, False),
        ("rule", "r", 0, False),
        ("rule", "other", DAY_US, False),
        ("tag", "other", DAY_US, False),
    ],
)
def test_an_exception_that_ends_soon_is_told_of(
    scope: Any, target: str, ends_us: int, remarked: bool
) -> None:
    exemption = Exemption("e1", scope, target, "details.user:x", 0, BASE_US + ends_us)
    found = remarks(plugin(Good, tags_add=["night"]), exemptions=[exemption])
    assert [code for code, _ in found] == ["exception-ending"] * remarked


@pytest.mark.parametrize(
    ("expression", "literal"),
    [
        ("abc", True),
        (r"\.x", True),
        ("a+", True),
        ("a", True),
        ("", False),
        (".*", False),
        ("(ab)c", False),
        ("[ab]c", False),
        (r"\d+", False),
        ("a*b", False),
        ("a?b", False),
        ("a{0,3}b", False),
        ("ab|cd", False),
        ("^ab", False),
    ],
)
def test_an_expression_begins_with_literal_text_or_not(expression: str, literal: bool) -> None:
    assert begins_literally(expression) is literal


@given(st.text("ab\\.d[]()*?+|", max_size=6), st.data())
def test_all_values_that_match_begin_alike_if_the_expression_begins_literally(
    expression: str, data: st.DataObject
) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(expression)
    except re.error:
        return
    if begins_literally(expression):
        values = st.from_regex(expression, fullmatch=True)
        assert data.draw(values)[0] == data.draw(values)[0]
