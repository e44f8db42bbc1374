from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.query import evaluate
from mozdef_core.query.fields import any_value, exists
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    Query,
    QueryString,
    Regexp,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.testing_contracts.queries import digits, events, fields, numbers, queries, scalars, texts
from mozdef_core.testing_contracts.store_events import stored_event


def holds(query: Query, event: Event) -> bool:
    return evaluate.compile(query)(event)


def event_with(value: Any, name: str = "key") -> Event:
    return stored_event(details={name: value})


@given(events(), queries)
def test_evaluation_answers_yes_or_no_for_every_event(event: Event, query: Query) -> None:
    assert holds(query, event) in (True, False)


@given(events(), queries, queries)
def test_de_morgan_holds(event: Event, one: Query, other: Query) -> None:
    assert holds(~(one & other), event) == holds(~one | ~other, event)
    assert holds(~(one | other), event) == holds(~one & ~other, event)


@given(events(), queries, queries, queries)
def test_bool_is_all_of_must_none_of_must_not_and_any_of_should(
    event: Event, one: Query, other: Query, third: Query
) -> None:
    a, b, c = (holds(query, event) for query in (one, other, third))
    assert holds(one & other, event) == (a and b)
    assert holds(one | other, event) == (a or b)
    assert holds(~one, event) == (not a)
    assert holds(Bool(must=[one], should=[other, third]), event) == (a and (b or c))
    assert holds(Bool(must=[one, other, third]), event) == (a and b and c)
    assert holds(Bool(must_not=[one, other]), event) == (not a and not b)
    assert holds(Bool(), event)
    assert holds(one & All(), event) == a


@given(scalars, scalars)
def test_equality_is_symmetric(one: Any, other: Any) -> None:
    assert holds(Term("details.key", one), event_with(other)) == holds(
        Term("details.key", other), event_with(one)
    )


@given(scalars)
def test_every_value_equals_itself(value: Any) -> None:
    assert holds(Term("details.key", value), event_with(value))
    assert holds(Term("details.key", value, case_insensitive=True), event_with(value))


@given(numbers)
def test_a_number_equals_its_digits_and_nothing_else(number: float) -> None:
    text = str(number or 0)  # minus zero is zero
    assert holds(Term("details.key", text), event_with(number))
    assert holds(Term("details.key", number), event_with(text))
    assert not holds(Term("details.key", number), event_with(f"0{text}"))
    assert not holds(Term("details.key", bool(number)), event_with(number))


@given(events(), fields, st.lists(scalars | digits, max_size=4), st.booleans())
def test_terms_is_any_of_its_terms(event: Event, field: str, values: list[Any], fold: bool) -> None:
    assert holds(Terms(field, values, fold), event) == any(
        holds(Term(field, value, fold), event) for value in values
    )


@given(texts)
def test_ignoring_case_is_blind_to_upper_and_lower(text: str) -> None:
    swapped = text.swapcase()
    if len(swapped) == len(text):  # as long as it is one character for one
        assert holds(Term("details.key", text, case_insensitive=True), event_with(swapped))


@given(events(), fields)
def test_values_are_found_as_the_event_itself_finds_them(event: Event, field: str) -> None:
    found: list[Any] = []
    any_value(field, lambda value: bool(found.append(value)), lambda value: bool(found.append(value)))(event)
    assert sorted(map(repr, found)) == sorted(map(repr, event.values(field)))
    assert exists(field)(event) == event.exists(field)


@pytest.mark.parametrize(
    "body",
    [
        {"details": {"a": {"b": "x"}}},
        {"details": {"a.b": "x"}},
        {"details.a": {"b": "x"}},
        {"details.a.b": "x"},
        {"details": [{"a": [{"b": ["y", "x"]}]}]},
    ],
)
def test_each_spelling_of_a_path_is_looked_at(body: dict[str, Any]) -> None:
    event = stored_event(**body)
    assert holds(Term("details.a.b", "x"), event)
    assert holds(Exists("details.a.b"), event)
    assert not holds(Term("details.a", "x"), event)


@pytest.mark.parametrize("body", [{"details": {"a": "x"}}, {"details.a": "x"}, {"details": [{"a": ["x"]}]}])
def test_each_spelling_of_a_short_path_is_looked_at(body: dict[str, Any]) -> None:
    event = stored_event(**body)
    assert holds(Term("details.a", "x"), event)
    assert holds(Exists("details.a"), event)
    assert not holds(Term("details.a", "y"), event)


@pytest.mark.parametrize("value", [None, [], [None], {}, [[], [None]]])
def test_emptiness_does_not_exist(value: object) -> None:
    assert not holds(Exists("details.key"), event_with(value))
    assert not holds(Exists("tags"), stored_event(tags=value))


@pytest.mark.parametrize("value", ["", 0, False, [{"a": 1}], {"a": 1}, [None, "x"]])
def test_something_exists(value: object) -> None:
    assert holds(Exists("details.key"), event_with(value))


def test_a_defaulted_field_has_its_value_but_does_not_exist() -> None:
    event = stored_event(
        details={"port": 1}, mozdef={"defaulted": ["hostname", "details.port"]}, hostname="UNKNOWN"
    )
    assert holds(Term("hostname", "UNKNOWN"), event)
    assert not holds(Exists("hostname"), event)
    assert not holds(Exists("details.port"), event)


def test_an_expression_that_is_slow_elsewhere_is_fast_here() -> None:
    assert not holds(Regexp("details.key", "(a+)+b"), event_with("a" * 30_000))


@pytest.mark.parametrize("expression", ["(", "(?=a)", r"(a)\1", "a{2000}", "[z-a]"])
def test_an_expression_that_re2_does_not_know_is_named_in_the_error(expression: str) -> None:
    with pytest.raises(QueryError, match="RE2") as caught:
        evaluate.compile(Regexp("details.key", expression))
    assert repr(expression) in str(caught.value)


@given(texts, st.booleans())
def test_a_wildcard_matches_as_its_expression_does(text: str, fold: bool) -> None:
    event = event_with(text)
    for start in range(len(text) + 1):
        literal = text[:start].replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
        assert holds(Wildcard("details.key", literal + "*", fold), event)
        assert holds(Wildcard("details.key", literal + "?" * (len(text) - start), fold), event)
        assert not holds(Wildcard("details.key", literal + "?" * (len(text) - start + 1), fold), event)
        assert holds(Wildcard("details.key", "*" + "?" * start, fold), event)


def test_a_word_without_a_field_is_a_token_of_the_summary_or_a_whole_string() -> None:
    event = stored_event(summary="Failed login", details={"list": [{"user": "Root"}], "text": "two words"})
    assert holds(Match("*", "failed"), event)
    assert holds(Match("*", "Root"), event)
    assert not holds(Match("*", "root"), event)
    assert not holds(Match("*", "words"), event)
    assert holds(Match("*", "two words"), event)


def test_a_search_string_stands_for_what_it_says() -> None:
    event = event_with("10.1.2.3", "sourceipaddress")
    assert holds(QueryString('details.sourceipaddress:"10.0.0.0/8" AND NOT tags:vpn'), event)
    assert not holds(QueryString('details.sourceipaddress:"11.0.0.0/8"'), event)


def test_one_address_has_many_spellings_on_an_address_field_only() -> None:
    assert holds(
        Term("details.sourceipaddress", "2001:DB8:0::9"), event_with("2001:db8::9", "sourceipaddress")
    )
    assert not holds(Term("details.client", "2001:DB8:0::9"), event_with("2001:db8::9", "client"))


def test_a_list_of_networks_may_be_long() -> None:
    inside = evaluate.compile(
        Subnet("details.key", [f"10.{number % 256}.{number // 256}.0/25" for number in range(5000)])
    )
    assert inside(event_with("10.7.3.127"))
    assert not inside(event_with("10.7.3.128"))
    assert not inside(event_with("10.7.200.1"))


def test_a_query_that_is_nested_too_deep_is_refused_and_a_long_one_is_not() -> None:
    deep: Query = All()
    for _ in range(5000):
        deep = ~deep
    with pytest.raises(QueryError, match="deep"):
        evaluate.compile(deep)
    long: Query = Term("details.key", 0)
    for number in range(1, 3000):
        long |= Term("details.key", number)
    assert holds(long, event_with(2999))
