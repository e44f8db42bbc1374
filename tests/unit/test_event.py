"""The event: paths, changes, times, and its way through bytes; and the ids of a batch."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.event import Change, Event, first_id_at, isoformat, microseconds, new_ids

NOW_US = 1_795_514_400_000_000  # 2026-11-24T10:00:00+00:00
DAY_US = 86_400_000_000


def event(**body):
    return Event("0" * 26, body)


def changed(before, remove=(), **change):
    return before.with_change(
        Change({path.replace("__", "."): value for path, value in change.items()}, remove)
    )


# paths


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        ({"a": 1}, "a", 1),
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"a.b": {"c": 1}}, "a.b.c", 1),
        ({"a": {"b.c": 1}}, "a.b.c", 1),
        ({"a.b.c": 1}, "a.b.c", 1),
        ({"a": {"b": {"c": 1}}, "a.b.c": 2}, "a.b.c", 2),
        ({"a": {"b": {"c": 1}, "b.c": 3}, "a.b": {"c": 2}}, "a.b.c", 2),
        ({"a.b": {"x": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 2),
        ({"a": [{"b": 1}, {"b": 2}]}, "a.b", 1),
        ({"a": 1}, "a.b", None),
        ({"a": None}, "a", None),
        ({}, "a", None),
        ({"a": 0}, "a", 0),
        ({"a": False}, "a", False),
        ({"a": ""}, "a", ""),
    ],
)
def test_a_literal_dotted_key_and_a_nested_object_are_the_same_path(body, path, value):
    assert event(**body).get(path) == value
    assert event(**body).get(path, "other") == ("other" if value is None else value)


def test_containers_that_are_read_are_copies():
    one = event(a={"b": [1]}, c=[{"d": 1}])
    one.get("a")["b"].append(2)
    one.get("c")[0]["d"] = 2
    one.to_dict()["a"]["b"].append(3)
    assert one.body == {"a": {"b": [1]}, "c": [{"d": 1}]}


def test_text_is_a_string_or_the_default():
    one = event(a="x", b=5, c=None)
    assert [one.text(name) for name in "abc"] == ["x", "", ""]
    assert one.text("b", "other") == "other"


def test_values_are_all_scalars_through_lists_and_spellings():
    one = event(
        **{"a": [{"b": [1, None, [2]]}, {"b": 3}, "x"], "a.b": 4, "c": [[{"d": 5}]], "e": {"f": {"g": 1}}}
    )
    assert one.values("a.b") == [4, 1, 2, 3]
    assert one.values("c.d") == [5]
    assert one.values("e.f") == []
    assert one.values("none") == []


@pytest.mark.parametrize(
    ("value", "there"),
    [
        (1, True), (0, True), (False, True), ("", True), (None, False), ([], False), ([None], False), ([[1]], True),
        ({}, False), ({"x": None}, True), ([{}], False), ([{"x": 1}], True),
    ],
)  # fmt: skip
def test_a_field_exists_when_it_holds_something(value, there):
    assert event(a=value).exists("a") is there
    assert event(a={"b": value}).exists("a.b") is there
    assert event(**{"a.b": value}).exists("a.b") is there


def test_a_defaulted_field_does_not_exist():
    one = event(hostname="UNKNOWN", mozdef={"defaulted": ["hostname"]})
    assert not one.exists("hostname")
    assert one.get("hostname") == "UNKNOWN"
    for broken in (None, {}, {"defaulted": 5}, []):
        assert event(mozdef=broken).defaulted == ()


def test_the_program_is_that_of_details_or_the_end_of_the_process_name():
    assert event(details={"program": "sshd"}, processname="x").program == "sshd"
    assert event(details={"program": ""}, processname="/usr/sbin/sshd").program == "sshd"
    assert event(details={"program": ["a"]}, processname="cron").program == "cron"
    assert event(processname="UNKNOWN", mozdef={"defaulted": ["processname"]}).program == ""
    assert event().program == ""


# changes


def test_a_change_makes_another_event():
    before = event(a=1, details={"x": {"y": [1]}, "z": 2})
    frozen = copy.deepcopy(before.body)
    after = changed(
        before, details__x__y=5, details__new__deep="n", b=2, remove=["a", "details.z", "nothing.here"]
    )
    assert after.body == {"b": 2, "details": {"x": {"y": 5}, "new": {"deep": "n"}}}
    assert before.body == frozen
    assert after.id == before.id


def test_a_name_is_set_where_its_literal_key_stands():
    assert changed(event(**{"a.b": 1}), a__b=2).body == {"a.b": 2}
    assert changed(event(a={"b.c": 1}), a__b__c=2).body == {"a": {"b.c": 2}}
    assert changed(event(**{"a.b": {"c": 1}}), a__b__d=2).body == {"a.b": {"c": 1, "d": 2}}


def test_what_stands_in_the_way_stays():
    assert changed(event(a=1), a__b=2).body == {"a": 1, "a.b": 2}
    assert changed(event(a={"b": "x"}), a__b__c=2).body == {"a": {"b": "x", "b.c": 2}}
    assert changed(event(a=None), a__b=2).body == {"a": {"b": 2}}


def test_every_spelling_of_a_name_is_removed():
    one = event(**{"a": {"b": 1, "c": 2}, "a.b": 3})
    assert changed(one, remove=["a.b"]).body == {"a": {"c": 2}}


def test_removal_comes_before_setting():
    assert changed(event(a={"b": 1, "c": 2}), remove=["a"], a__b=5).body == {"a": {"b": 5}}


def test_the_change_keeps_its_own_containers():
    mine = {"x": [1]}
    after = changed(event(), a=mine)
    mine["x"].append(2)
    assert after.body == {"a": {"x": [1]}}


NAMES = st.sampled_from(["a", "b", "a.b", "b.c", "a.b.c", "c"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=4)
PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)


@given(BODIES, PATHS, VALUES)
def test_what_was_set_is_what_is_read(body, path, value):
    before = copy.deepcopy(body)
    after = Event("i", body).with_change(Change({path: value}))
    assert body == before
    if value is not None:
        assert after.get(path) == value
    again = after.with_change(Change({path: value}))
    assert again == after


@given(BODIES, PATHS)
def test_what_was_removed_is_gone_except_from_lists(body, path):
    before = copy.deepcopy(body)
    after = Event("i", body).with_change(Change(remove=[path]))
    assert body == before

    def stands(node, parts):
        if not parts:
            return True
        return isinstance(node, dict) and any(
            ".".join(parts[:stop]) in node and stands(node[".".join(parts[:stop])], parts[stop:])
            for stop in range(1, len(parts) + 1)
        )

    assert not stands(after.body, path.split("."))


@given(BODIES, st.text(max_size=26))
def test_an_event_comes_out_of_its_bytes_as_it_went_in(body, event_id):
    one = Event(event_id, body)
    assert Event.from_bytes(one.to_bytes()) == one


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{}", b"[]", b"{", b'{"id": "x"}', b'{"id": "x", "event": {}, "more": 1}'),
        *(b'{"id": 5, "event": {}}', b'{"id": "x", "event": []}'),
    ],
)
def test_other_bytes_are_no_event(raw):
    with pytest.raises(ValueError):
        Event.from_bytes(raw)


# times


@pytest.mark.parametrize(
    ("time_us", "replayed", "expected_us"),
    [
        (NOW_US, False, NOW_US),
        (NOW_US - 1, False, NOW_US - 1),
        (NOW_US + 1, False, NOW_US),
        (NOW_US - 7 * DAY_US, False, NOW_US - 7 * DAY_US),
        (NOW_US - 7 * DAY_US - 1, False, NOW_US),
        (NOW_US - 7 * DAY_US - 1, True, NOW_US - 7 * DAY_US - 1),
        (NOW_US + DAY_US, True, NOW_US),
    ],
)
def test_the_detection_time_is_never_ahead_of_reception_nor_far_behind(time_us, replayed, expected_us):
    one = event(
        utctimestamp=isoformat(time_us), receivedtimestamp=isoformat(NOW_US), mozdef={"replayed": replayed}
    )
    assert (one.time_us, one.received_us, one.detection_us) == (time_us, NOW_US, expected_us)


@given(st.datetimes(min_value=datetime(1, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # the strategy adds the zone
def test_microseconds_and_text_are_the_same_moment(moment):
    text = isoformat(microseconds(moment))
    assert len(text) == len("2026-11-24T10:00:00.000000+00:00")
    assert datetime.fromisoformat(text) == moment
    assert microseconds(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=5)) == 5


# ids


@given(st.integers(0, 2**47), st.integers(0, 2**47), st.integers(1, 50))
def test_ids_sort_by_reception_and_then_by_arrival(one_us, other_us, count):
    ids = new_ids(one_us, count)
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {26}
    assert first_id_at(one_us) <= ids[0]
    others = new_ids(other_us, count)
    if one_us // 1_000 < other_us // 1_000:
        assert ids[-1] < first_id_at(other_us) <= others[0]


def test_ids_of_two_batches_differ_and_one_batch_may_be_large():
    assert not set(new_ids(NOW_US, 100)).intersection(new_ids(NOW_US, 100))
    ids = new_ids(NOW_US, 100_000)
    assert ids == sorted(set(ids))
