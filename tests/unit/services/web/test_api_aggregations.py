from __future__ import annotations

import json

import pytest

from tests.unit.services.web.asking import Asking, recent

DAY = {"from": "2026-03-01", "to": "2026-03-02", "limit": 0}


@pytest.fixture
def asking(make_event, make_store):
    hours = [("10", "ines", 1), ("10", "max", 2), ("12", "ines", "4"), ("12", "ann", 7)]
    return Asking(
        make_store(
            make_event("login", utctimestamp=f"2026-03-01T{hour}:30:00Z", received="2026-03-03T00:00:00Z", details={"username": user, "n": n})
            for hour, user, n in hours
        )
    )  # fmt: skip


def ask(asking, **aggregations):
    status, answer = asking.post({**DAY, "aggregations": aggregations})
    assert status == 200, answer
    return answer["aggregations"]


def test_groups_with_figures_and_events_inside(asking):
    by_user = {"field": "details.username", "size": 1, "sub": {
        "numbers": {"stats": {"field": "details.n"}}, "last": {"top_hits": {}}, "names": {"cardinality": {"field": "details.username"}},
        "middle": {"percentiles": {"field": "details.n", "percents": [50, 99.5]}},
    }}  # fmt: skip
    found = ask(asking, users={"terms": by_user})["users"]
    (bucket,) = found["buckets"]
    (event,) = bucket["sub"].pop("last")["items"]
    assert event["details"] == {"username": "ines", "n": "4"}
    assert found == {"others": 2, "total_groups": 3, "buckets": [{"key": "ines", "count": 2, "sub": {
        "numbers": {"count": 2, "minimum": 1, "maximum": 4, "total": 5, "mean": 2.5}, "names": {"value": 1},
        "middle": {"count": 2, "values": {"50": 2.5, "99.5": pytest.approx(3.985)}},
    }}]}  # fmt: skip


def test_groups_by_name_and_from_a_threshold_on(asking):
    names = {"terms": {"field": "details.username", "order": "key", "size": 2}}
    many = {"terms": {"field": "details.username", "min_count": 2}}
    found = ask(asking, names=names, many=many)
    assert [bucket["key"] for bucket in found["names"]["buckets"]] == ["ann", "ines"]
    assert found["many"] == {
        "buckets": [{"key": "ines", "count": 2, "sub": {}}],
        "others": 0,
        "total_groups": 1,
    }


def test_a_histogram_has_its_times_in_utc_and_the_empty_intervals(asking):
    asked = {"date_histogram": {"interval": "1h", "time_zone": "Asia/Kolkata"}}
    hours = ask(asking, hours=asked)["hours"]["buckets"]
    assert hours[0]["start"] == "2026-02-28T23:30:00.000000+00:00"
    assert {hour["start"][11:16]: hour["count"] for hour in hours if hour["count"]} == {
        "10:30": 2,
        "12:30": 2,
    }
    assert len(hours) == 25
    days = ask(
        asking,
        days={
            "date_histogram": {
                "interval": "day",
                "sub": {"c": {"cardinality": {"field": "details.username"}}},
            }
        },
    )
    assert days["days"]["buckets"] == [
        {"start": "2026-03-01T00:00:00.000000+00:00", "end": "2026-03-02T00:00:00.000000+00:00", "count": 4, "sub": {"c": {"value": 3}}}
    ]  # fmt: skip


def test_figures_without_a_number_are_null(asking):
    found = ask(asking, s={"stats": {"field": "hostname"}}, p={"percentiles": {"field": "hostname"}})
    assert found["s"] == {"count": 0, "minimum": None, "maximum": None, "total": None, "mean": None}
    assert found["p"] == {"count": 0, "values": {"50": None, "95": None, "99": None}}


def test_a_total_beyond_what_a_float_holds_is_a_number_still(make_event, make_store):
    events = [recent(make_event, "x", details={"n": n}) for n in ("1e308", "1.5e308")]
    status, answer = Asking(make_store(events)).request(
        "POST",
        "/api/v1/events/search",
        b'{"aggregations": {"s": {"stats": {"field": "details.n"}}}}',
        parse=json.loads,
    )
    assert (status, answer["aggregations"]["s"]["total"]) == (200, int(1e308) + int(1.5e308))


def test_events_in_buckets_have_the_fields_that_were_asked_for(asking):
    answer = asking.post(
        {
            **DAY,
            "fields": ["details.n"],
            "aggregations": {"first": {"top_hits": {"order": "oldest", "size": 1}}},
        }
    )[1]
    (event,) = answer["aggregations"]["first"]["items"]
    assert set(event) == {"id", "details"}


def nested(depth):
    inner = {}
    for _ in range(depth):
        inner = {"x": {"terms": {"field": "details.username", "size": 1, "sub": inner}}}
    return inner


@pytest.mark.parametrize(
    ("aggregations", "code", "field", "words"),
    [
        ({"x": {}}, "invalid-value", "aggregations.x", "expected one of terms, date_histogram"),
        ({"x": {"stats": {"field": "a"}, "top_hits": {}}}, "invalid-value", "aggregations.x", "got 2"),
        ({"x": {"stats": None}}, "invalid-value", "aggregations.x.stats", "expected an object, got null"),
        ({"x": {"term": {"field": "a"}}}, "unknown-field", "aggregations.x.term", "did you mean 'terms'?"),
        ({"x": {"terms": {"field": "a", "siz": 1}}}, "unknown-field", "aggregations.x.terms.siz", "did you mean 'size'?"),
        ({"x": {"terms": {}}}, "invalid-value", "aggregations.x.terms.field", "required, but not given"),
        ({"x": {"terms": {"field": "summary"}}}, "invalid-query", "aggregations.x.terms", "a text makes no groups"),
        ({"x": {"terms": {"field": "a", "sub": {"y": {"terms": {"field": "*"}}}}}}, "invalid-query", "aggregations.x.terms.sub.y.terms", "'*'"),
        ({"x": {"date_histogram": {"interval": "1x"}}}, "invalid-query", "aggregations.x.date_histogram", "'1x'"),
        ({"x": {"date_histogram": {"interval": "1s"}}}, "invalid-query", "aggregations", "intervals"),
        ({"x": {"date_histogram": {"time_zone": "../etc/passwd"}}}, "invalid-query", "aggregations.x.date_histogram", "time"),
        ({"x": {"percentiles": {"field": "a", "percents": [50, 50]}}}, "invalid-query", "aggregations.x.percentiles", "different"),
        ({"x": {"percentiles": {"field": "a", "percents": [101]}}}, "invalid-value", "aggregations.x.percentiles.percents.0", "at most 100"),
        ({"x": {"percentiles": {"field": "a", "percents": ["1"]}}}, "invalid-value", "aggregations.x.percentiles.percents.0", "a number, got '1'"),
        (nested(7), "invalid-query", "aggregations", "nested more than 5 deep"),
        ({"x": {"terms": {"field": "a", "size": 10_000, "sub": {"y": {"terms": {"field": "b", "size": 11}}}}}},
         "too-many-buckets", "aggregations.x.terms.sub.y.terms", "110,000 buckets"),
        ({"x": {"terms": {"field": "a", "size": 101, "sub": {"y": {"top_hits": {"size": 100}}}}}},
         "too-many-buckets", "aggregations.x.terms.sub.y.top_hits", "10,100 events"),
        ({str(n): {"top_hits": {}} for n in range(21)}, "invalid-value", "aggregations", "at most 20 entries"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_aggregation_is_said_with_its_place(asking, aggregations, code, field, words):
    error = asking.error({**DAY, "aggregations": aggregations})
    assert error["code"] == code, error
    assert error["field"] == field or (field == "aggregations" and error["field"].startswith(field)), error
    assert words in error["message"], error


def test_five_levels_are_answered(asking):
    assert "x" in ask(asking, **nested(5))["x"]["buckets"][0]["sub"]
