from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.query import evaluate, groups
from mozdef_core.query.groups import (
    Counts,
    check_edges,
    check_group_field,
    count_groups,
    count_numbers,
    group_values,
    in_group,
    kinds_of,
    numbers_of,
    value_text,
)
from mozdef_core.query.model import Exists, Range
from mozdef_core.testing_contracts import aggregation_truth
from mozdef_core.testing_contracts.queries import events, group_fields, numbers, scalars, texts
from mozdef_core.testing_contracts.store_events import stored_event


def event_with(value: Any, name: str = "key") -> Event:
    return stored_event(details={name: value})


@given(events(), group_fields)
def test_groups_and_numbers_are_those_of_the_plain_truth(event: Event, field: str) -> None:
    assert group_values(event, field) == aggregation_truth.groups_of(event, field)
    assert numbers_of(event, field) == aggregation_truth.numbers_of(event, field)


@given(
    events(),
    group_fields,
    texts | numbers.map(str) | st.sampled_from(["443.0", "10.0.0.0/8", "1e+16", "::1"]),
)
def test_the_query_for_a_group_matches_the_events_in_it_and_no_other(
    event: Event, field: str, key: str
) -> None:
    mine = group_values(event, field)
    for name in (*mine, key):
        assert evaluate.compile(in_group(field, name))(event) == (name in mine), name


@given(numbers, numbers)
def test_numbers_are_in_one_group_exactly_when_they_are_equal(one: float, other: float) -> None:
    assert (value_text(one) == value_text(other)) == (one == other)


@given(st.floats(allow_nan=False, allow_infinity=False).filter(float.is_integer))
def test_an_integer_is_in_the_group_of_the_float_that_equals_it(number: float) -> None:
    assert value_text(int(number)) == value_text(number)


@given(events(), group_fields)
def test_an_event_with_a_number_is_in_some_group(event: Event, field: str) -> None:
    if numbers_of(event, field):
        assert group_values(event, field)
        assert evaluate.compile(Range(field, gte=-(2**1024)) & Exists(field))(event)


@pytest.mark.parametrize("value", [None, [], {}, [None], {"a": 1}, [{"a": 1}], float("nan"), float("inf")])
def test_null_objects_and_what_is_no_number_make_no_group(value: Any) -> None:
    assert group_values(event_with(value), "details.key") == set()
    assert numbers_of(event_with(value), "details.key") == set()


def test_whole_numbers_are_integers_and_others_are_floats() -> None:
    found = numbers_of(event_with([443.0, "443", "0.5", "1e300", True, "true", "04", "x"]), "details.key")
    assert {(type(number), number) for number in found} == {(int, 443), (float, 0.5), (float, 1e300)}


def test_an_integer_that_no_float_reaches_is_a_group_of_its_digits() -> None:
    assert value_text(10**400) == "1" + "0" * 400


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("summary", "summary: a text makes no groups; search for its words"),
        ("receivedtimestamp", "receivedtimestamp: a time makes no groups; a DateHistogram"),
        ("*", r"groups need the name of a field, got '\*'"),
        ("", "expected the name of a field, got ''"),
        (7, "expected the name of a field, got 7"),
    ],
)
def test_a_field_without_groups_is_refused_with_what_to_use_instead(field: Any, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        check_group_field(field)


@pytest.mark.parametrize("edges", [[1.5, 2], [True, 2], ["1", 2]])
def test_edges_are_whole_numbers(edges: list[Any]) -> None:
    with pytest.raises(QueryError, match="edges: expected whole microseconds"):
        check_edges(edges)


def test_counts_are_bounded_in_number_and_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_CHARACTERS", 10)
    counts: Counts[str] = Counts("details.key")
    for _ in range(5):
        counts.add({"12345", "67890"})
    assert counts == {"12345": 5, "67890": 5}
    with pytest.raises(QueryError, match="distinct values, or 0 MB of them; narrow the query"):
        counts.add({"x"})
    monkeypatch.setattr(groups, "MOST_VALUES", 2)
    flock = [event_with(step) for step in range(3)]
    assert count_groups(flock[:2], "details.key") == {"0": 1, "1": 1}
    for count in (count_groups, count_numbers):
        with pytest.raises(QueryError, match="more than 2 distinct values"):
            count(flock, "details.key")


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9)), max_size=4))
def test_what_is_counted_elsewhere_is_added_as_one_by_one(parts: list[dict[str, int]]) -> None:
    together: Counts[str] = Counts("details.key")
    single: Counts[str] = Counts("details.key")
    for part in parts:
        together.add_counted(part)
        for value, number in part.items():
            single.add({value}, number)
    assert together == single


def test_counts_from_elsewhere_are_bounded_in_number_and_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_CHARACTERS", 10)
    counts: Counts[str] = Counts("details.key")
    for _ in range(5):
        counts.add_counted({"12345": 1, "67890": 1})
    with pytest.raises(QueryError, match="distinct values, or 0 MB of them; narrow the query"):
        counts.add_counted({"x": 1})
    with pytest.raises(QueryError, match="or 0 MB"):
        Counts("details.key").add_counted({"1234567890x": 1})
    monkeypatch.setattr(groups, "MOST_VALUES", 2)
    numbers_counted: Counts[int | float] = Counts("details.key")
    numbers_counted.add_counted({1: 1, 2: 1})
    with pytest.raises(QueryError, match="more than 2 distinct values"):
        numbers_counted.add_counted({1: 1, 3: 1})


@pytest.mark.parametrize(("at_least", "expected"), [(0, "abc"), (1, "abc"), (2, "bc"), (3, "c"), (4, "")])
def test_groups_with_fewer_events_are_left_out(at_least: int, expected: str) -> None:
    assert "".join(groups.frequent({"a": 1, "b": 2, "c": 3}, at_least)) == expected


def test_the_kinds_of_a_field_are_those_of_all_its_values() -> None:
    event = stored_event(
        details={
            "a": [1, "x", {"b.c": True}, None],
            "a.b": {"c": "y"},
            "sourceipaddress": ["::1", "here"],
            "summary": "no text",
            "": 1,
        },
        mozdef={"defaulted": ["hostname"]},
    )
    kinds = kinds_of(event)
    assert kinds["details.a"] == {"number", "string"}
    assert kinds["details.a.b.c"] == {"boolean", "string"}
    assert kinds["details.sourceipaddress"] == {"address", "string"}
    assert kinds["details.summary"] == {"string"}
    assert kinds["details."] == {"number"}
    assert kinds["summary"] == {"text"}
    assert kinds["utctimestamp"] == {"time"}
    assert not {"hostname", "details", "tags", "details.a.b"} & set(kinds)


@given(events())
def test_each_name_that_is_known_exists(event: Event) -> None:
    for name in kinds_of(event):
        assert event.exists(name)


@given(scalars)
def test_a_scalar_is_in_the_group_of_its_own_spelling(value: Any) -> None:
    text = value_text(value)
    assert text is not None
    assert text in group_values(event_with(value), "details.key")
