from __future__ import annotations

import pytest

from tests.unit.services.web.asking import Asking, recent

FIELDS = "/api/v1/fields"


@pytest.fixture
def asking(make_event, make_store):
    old = make_event(
        "old", utctimestamp="2026-03-01T10:00:00Z", received="2026-03-01T10:00:00Z", details={"gone": 1}
    )
    users = [
        recent(make_event, "login", details={"username": user, "n": 1})
        for user in ["ines", "ines", "max", "ann"]
    ]
    return Asking(make_store([old, *users, recent(make_event, "x", details={"a/b": "c"})]))


def test_fields_are_listed_by_name_with_their_kinds_page_by_page(asking):
    _, whole = asking.get(FIELDS)
    kinds = {field["name"]: field["kinds"] for field in whole["items"]}
    assert kinds["details.username"] == ["string"]
    assert (kinds["details.n"], kinds["summary"], kinds["utctimestamp"]) == (["number"], ["text"], ["time"])
    assert "details.gone" not in kinds
    assert list(kinds) == sorted(kinds)
    assert (whole["total"], whole["next"]) == (len(kinds), None)
    found, cursor = [], {}
    while cursor is not None:
        _, page = asking.get(FIELDS, limit="3", **cursor)
        found += page["items"]
        cursor = None if page["next"] is None else {"cursor": page["next"]}
    assert found == whole["items"]


def test_the_fields_of_another_time(asking):
    _, answer = asking.get(FIELDS, **{"from": "2026-03-01", "to": "2026-03-02"})
    assert "details.gone" in [field["name"] for field in answer["items"]]


def test_a_field_with_its_most_frequent_values(asking):
    status, answer = asking.get(f"{FIELDS}/details.username", top="2")
    assert (status, answer) == (200, {
        "name": "details.username", "kinds": ["string"], "events": 4, "distinct": 3,
        "top": [{"value": "ines", "count": 2}, {"value": "ann", "count": 1}], "others": 1,
    })  # fmt: skip
    _, answer = asking.get(f"{FIELDS}/details.username", query="details.username:max", top="0")
    assert (answer["events"], answer["distinct"], answer["top"], answer["others"]) == (1, 1, [], 1)


def test_a_field_that_only_other_events_have_has_none_here(asking):
    status, answer = asking.get(f"{FIELDS}/details.username", query="summary:x")
    assert (status, answer["events"], answer["distinct"]) == (200, 0, 0)


def test_texts_and_times_have_no_values_that_are_counted(asking):
    _, answer = asking.get(f"{FIELDS}/summary")
    assert (answer["events"], answer["distinct"], answer["top"]) == (5, None, [])
    assert asking.get(f"{FIELDS}/utctimestamp")[1]["distinct"] is None


def test_an_object_and_a_name_with_a_slash_are_fields(asking):
    assert asking.get(f"{FIELDS}/details")[1]["kinds"] == []
    assert asking.get(f"{FIELDS}/details.a/b")[1]["top"] == [{"value": "c", "count": 1}]


def test_a_field_that_no_event_has_is_not_found_and_the_nearest_is_named(asking):
    status, answer = asking.get(f"{FIELDS}/details.usrname")
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (404, "not-found", "name")
    assert "did you mean 'details.username'?" in answer["error"]["message"]
    assert asking.get(f"{FIELDS}/details.gone")[0] == 404


@pytest.mark.parametrize(
    ("address", "code", "field"),
    [
        (f"{FIELDS}/*", "invalid-query", "name"),
        (f"{FIELDS}/hostname?query=%28", "invalid-query", "query"),
        (f"{FIELDS}/hostname?top=1001", "invalid-value", "top"),
        (f"{FIELDS}/hostname?limit=1", "unknown-field", "limit"),
        (f"{FIELDS}?limit=0", "invalid-value", "limit"),
        (f"{FIELDS}?from=x", "invalid-time", "from"),
        (f"{FIELDS}?query=x", "unknown-field", "query"),
    ],
)
def test_what_is_wrong_is_said(asking, address, code, field):
    error = asking.error(address)
    assert (error["code"], error["field"]) == (code, field)
