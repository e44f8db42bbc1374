"""The terms of the index, documents, and compiled queries."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.event import Event
from mozdef_core.query import evaluate
from mozdef_core.query.dsl import compile as dsl
from mozdef_core.query.dsl import document
from mozdef_core.query.dsl import expressions as lucene
from mozdef_core.query.dsl.clauses import EVERYTHING, NOTHING, both, either, negated
from mozdef_core.query.dsl.document import Layout
from mozdef_core.query.dsl.template import mapping
from mozdef_core.query.dsl.tokens import (
    LONGEST,
    behind,
    number_term,
    path_term,
    read_number_term,
    text_term,
    word_term,
)
from mozdef_core.query.model import Exists, Match, Query, Regexp, Term, Wildcard
from mozdef_core.query.plain import plain
from mozdef_core.testing_contracts import queries
from mozdef_core.testing_contracts.store_events import LONG, ZOO, stored_event

MOST_BYTES = 32_766
"""The longest term that Lucene takes."""

whole = st.integers(-(2**64) + 1, 2**64 - 1)
numbers = whole | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(numbers, min_size=2, max_size=6))
def test_numbers_stand_in_their_order(found: list[int | float]) -> None:
    for first, second in pairwise(found):
        one, other = number_term(first), number_term(second)
        assert (one < other) == (first < second)
        assert (one == other) == (first == second)


@given(numbers)
def test_a_number_is_read_as_it_was_written(number: int | float) -> None:
    assert read_number_term(number_term(number)) == number


@given(st.integers(-(10**400), 10**400), whole)
def test_a_bound_of_any_size_is_ordered_rightly(bound: int, number: int) -> None:
    if bound != number and not -(2**64) < bound < 2**64:
        assert (number_term(bound) < number_term(number)) == (bound < number)


paths = st.text("ab.=~#$:@^{\\ \x02", max_size=5)


@given(paths, paths, st.sampled_from("=~#$:@^{"), st.text(max_size=3))
def test_no_terms_of_one_path_lie_among_those_of_another(one: str, other: str, kind: str, value: str) -> None:
    start, end = path_term(one) + kind, path_term(one) + behind(kind)
    term = path_term(other) + kind + value
    assert (start <= term < end) == (one == other)


@given(st.text(max_size=3).map(lambda text: text * 1000), st.text(max_size=3).map(lambda text: text * 1000))
def test_no_two_strings_share_a_term(one: str, other: str) -> None:
    for term in (text_term, word_term, path_term):
        assert (term(one) == term(other)) == (one == other)


def terms_of(document: dict[str, Any]) -> list[str]:
    return [
        term
        for name, value in document.items()
        if name != "event" and isinstance(value, list)
        for term in value
    ]


@given(queries.events())
def test_every_field_of_a_document_is_in_the_mapping(event: Event) -> None:
    document = Layout().document(event)
    assert set(document) <= set(mapping()["properties"])
    assert document["event"] is event.body
    assert all(isinstance(term, str) for term in terms_of(document))


@pytest.mark.parametrize(
    "details", [{"k" * 70_000: "\U0001f600" * 70_000}, {"k=" * 500: "x" * LONGEST}, {"s": LONG}]
)
def test_no_term_is_longer_than_an_engine_takes(details: dict[str, str]) -> None:
    for event in (stored_event(details=details), stored_event(summary=" ".join(["w" * 5_000, *details]))):
        for term in terms_of(Layout().document(event)):
            assert len(term.encode()) <= MOST_BYTES
    words = Layout().document(stored_event(summary="w" * 5_000))["summary"][0].split()
    assert all(len(word) <= 255 for word in words)


def test_a_layout_remembers_paths_and_not_events() -> None:
    layout = Layout()
    events = [stored_event(**fields) for fields in ZOO.values()]
    first = [orjson.dumps(_sorted(layout.document(event))) for event in events]
    assert [orjson.dumps(_sorted(layout.document(event))) for event in events] == first
    assert [orjson.dumps(_sorted(Layout().document(event))) for event in events] == first


def _sorted(document: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, list) else value for name, value in document.items()}


@pytest.mark.parametrize("field", ["utctimestamp", "receivedtimestamp"])
@pytest.mark.parametrize("value", ["never", None, 7, "2026-01-01T00:00:00", {}])
def test_an_event_without_times_has_no_document(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Layout().document(stored_event(**dict[str, Any]({field: value})))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ines", "ines"),
        ("in?es@.*", "in?es\\@.*"),
        ("^a|b$", None),
        ("^ab$", "ab"),
        ("(?:a|b)+?", "(a|b)+"),
        (r"\d{2,3}x", "[0-9]{2,3}x"),
        (r"[^a-f\d-]", r"[^a-f0-9\-]"),
        ("(?i)a", None),
        (r"\bword", None),
        (r"\p{Han}", None),
        ("a||b", None),
        ("[[:alpha:]]", None),
        ("a{2}{3}", None),
        ("a\\", None),
        ("x" * 201, None),
    ],
)
def test_an_expression_is_translated_or_left(expression: str, expected: str | None) -> None:
    assert lucene.translate(expression) == expected


@pytest.mark.parametrize(
    ("query", "exact"),
    [
        (Term("details.a", 1), True),
        (Exists("details.a"), True),
        (Match("summary", "failed login"), True),
        (Match("*", "10.0.0.1"), True),
        (Wildcard("details.a", "a*b?"), False),
        (Regexp("details.a", "(?i)a"), False),
    ],
)
def test_a_query_says_what_it_finds_for_certain(query: Query, exact: bool) -> None:
    for one in (query, ~query):
        compiled = dsl.compile(plain(one))
        assert compiled.exact == exact
        assert (compiled.doubtful == NOTHING) == exact


@given(queries.queries)
def test_every_query_is_compiled_to_json(query: Query) -> None:
    evaluate.compile(query)
    compiled = dsl.compile(plain(query))
    assert orjson.loads(orjson.dumps(compiled.sure)) == compiled.sure
    assert orjson.loads(orjson.dumps(compiled.possible)) == compiled.possible


def test_clauses_that_decide_nothing_are_left_out() -> None:
    one = {"term": {"a": {"value": "b"}}}
    assert either([one, NOTHING]) == both([one, EVERYTHING]) == negated(negated(one)) == one
    assert either([one, EVERYTHING]) == negated(NOTHING) == both([]) == EVERYTHING
    assert both([one, NOTHING]) == negated(EVERYTHING) == either([]) == NOTHING


def test_a_layout_remembers_a_bounded_number_of_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_MOST_REMEMBERED", 300)
    layout = Layout()
    events = [stored_event(details={f"k{key}": f"V{number}" for key in range(20)}) for number in range(100)]
    fresh = [Layout().document(event) for event in events]
    most = 0
    for event, expected in zip(events, fresh, strict=True):
        made = layout.document(event)
        assert {
            name: sorted(value) if isinstance(value, list) else value for name, value in made.items()
        } == {name: sorted(value) if isinstance(value, list) else value for name, value in expected.items()}
        most = max(most, remembered(layout._root))
    assert 200 < most < 400


def remembered(node: document._Node) -> int:
    return len(node.known) + sum(1 + remembered(child) for child in node.children.values())
