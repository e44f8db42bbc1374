"""The limits of event-format.md section 5.10."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mozdef_core.event import Event
from mozdef_core.normalise import limit, limits


def event(**body):
    return Event("0" * 26, {"summary": "s", "details": {}, "mozdef": {"problems": []}, **body})


def noted(limited):
    return [(note["code"], note["field"]) for note in limited.body["mozdef"]["problems"]]


def nested(depth):
    node = "core"
    for _ in range(depth):
        node = {"a": node}
    return node


@given(
    st.integers(0, 9_000).flatmap(lambda size: st.sampled_from(["x" * size, ["y"] * (size // 8)])),
    st.sampled_from(["k", "k" * 256, "k" * 257, "k" * 200 + '"' + "k" * 200, "\u20ac" * 100]),
    st.sampled_from([0, 2**63 - 1, 2**63, -(2**63), 2**64 - 1]),
    st.integers(0, 25),
    st.sampled_from([0, 3, *range(940, 1_010)]),
)
@example("", "k", 0, 0, 998)
@example("", "k", 0, 0, 997)
@example("", "k" * 200 + '"' + "k" * 200, 0, 0, 0)
def test_the_quick_look_admits_nothing_that_the_walk_does_not(value, key, number, depth, keys):
    one = event(
        details={key: value, "n": number, "deep": nested(depth), **{f"{n:x}": 0 for n in range(keys)}}
    )
    assert limits._fits(one) == limits._fits_on_a_walk(one.body)


def test_an_event_within_the_limits_is_the_same_object():
    one = event(
        summary="s" * 8_192,
        details={"text": "x" * 32_768, "list": [1] * 1_000, "k" * 256: -(2**63), "top": 2**63 - 1},
    )
    assert limit(one) is one
    deep = event(details=nested(19))  # the event itself is the first level
    assert limit(deep) is deep
    many = event(details={f"k{number}": 1 for number in range(997)})
    assert limit(many) is many
    assert "overflow" not in limit(event(summary="s" * 9_000, details=many.body["details"])).body["details"]


@pytest.mark.parametrize(
    ("body", "path", "stored", "code"),
    [
        ({"summary": "s" * 8_193}, "summary", "s" * 8_190 + " …", "value-cut"),
        ({"details": {"a": "x" * 32_769}}, "details.a", "x" * 32_766 + " …", "value-cut"),
        ({"details": {"a": [1] * 1_001}}, "details.a", [1] * 1_000, "array-cut"),
        ({"details": {"k" * 257: 1}}, "details." + "k" * 256, 1, "key-cut"),
        ({"details": {"a": 2**63}}, "details.a", str(2**63), None),
        ({"details": {"a": [2**64]}}, "details.a", [str(2**64)], None),
        ({"details": {"a": "x\x00y"}}, "details.a", "x\ufffdy", "utf8-replaced"),
        ({"details": {"a": "x\ud800y"}}, "details.a", "x\ufffdy", "utf8-replaced"),
    ],
)
def test_what_is_beyond_a_limit_is_cut_and_noted(body, path, stored, code):
    before = event(**body)
    copy = json.loads(json.dumps(before.body))
    limited = limit(before)
    assert limited.get(path) == stored
    assert [one for one, _ in noted(limited)] == ([code] if code else [])
    assert before.body == copy  # an event is never changed
    assert Event.from_bytes(limited.to_bytes()) == limited
    assert limit(limited) is limited


def test_what_is_too_deep_becomes_json_text():
    limited = limit(event(details=nested(25)))
    assert limited.get("details" + ".a" * 19) == json.dumps(nested(6), separators=(",", ":"))
    assert noted(limited) == [("depth-cut", "details" + ".a" * 19)]


def test_json_text_of_a_subtree_holds_what_the_fast_writer_refuses():
    node = {"big": 2**70, "text": "x\ud800"}
    for _ in range(20):
        node = {"a": node}
    limited = limit(event(details=node))
    assert str(2**70) in limited.get("details" + ".a" * 19)
    assert Event.from_bytes(limited.to_bytes()) == limited


def test_keys_beyond_a_thousand_are_kept_as_text():
    sent = {f"k{number}": number for number in range(2_000)} | {"overflow": "mine"}
    limited = limit(event(details=sent))
    assert limit(limited) is limited
    details = limited.to_dict()["details"]
    rest = json.loads(details.pop("overflow"))
    assert {**{f"details.{name}": value for name, value in details.items()}, **rest} == {
        f"details.{name}": value for name, value in sent.items()
    }
    assert len(details) + 1 + len(limited.body) == 1_000  # with overflow, but not what the system notes
    assert ("keys-cut", "details") in noted(limited)


TEXT = st.text(st.characters(), max_size=300)  # halves of surrogate pairs included
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), TEXT, st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXT, inner, max_size=5)),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(TEXT, JSON, max_size=6), st.integers(0, 90))
@example({"": {"\x00": "\x00"}}, 0)
def test_whatever_it_was_it_can_be_stored_and_is_limited_once(details, depth):
    for _ in range(depth):
        details = {"a": details}
    limited = limit(event(details=details))
    assert Event.from_bytes(limited.to_bytes()) == limited
    assert limit(limited) is limited
