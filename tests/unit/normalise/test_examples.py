"""Both examples of event-format.md section 1.3, and the four properties that hold for every item."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.event import Event, microseconds
from mozdef_core.normalise import EntranceSettings, Normaliser, limit, parse_json
from mozdef_core.normalise.aliases import RESERVED
from mozdef_core.ports import Item, Origin

NORMALISER = Normaliser("siem1.example", 1)
ORIGIN = Origin(name="http", kind="http", endpoint="events")
SETTINGS = EntranceSettings()


def at(text):
    from datetime import datetime

    return microseconds(datetime.fromisoformat(text))


def normalise(decoded, received="2025-01-01T00:00:02.410221+00:00", settings=SETTINGS, **item):
    raw = orjson.dumps(decoded) if isinstance(decoded, dict) else decoded
    decoded = parse_json(raw) if isinstance(decoded, bytes) else decoded
    return NORMALISER.normalise(decoded, Item("0" * 26, at(received), ORIGIN, raw, **item), settings)


def test_a_ragged_event_becomes_what_the_page_says():
    raw = (
        '{"Host": "gw-7.lab.example", "Program": "vaultd", "PID": "[881]", "Level": "warn", "@timestamp": 1735689599123'
        ","
        '"Message": "seal key rotated by svc-rotate", "Tags": "vault, keys", "details.duration_float": "0.42",'
        '"fields": {"KeyID": "k-20"}, "Cluster": "eu1", "cluster": "eu1b"}'
    )
    event = normalise(raw.encode())
    assert event.body == {
        "timestamp": "2024-12-31T23:59:59.123000+00:00",
        "utctimestamp": "2024-12-31T23:59:59.123000+00:00",
        "receivedtimestamp": "2025-01-01T00:00:02.410221+00:00",
        "hostname": "gw-7.lab.example",
        "processname": "vaultd",
        "processid": "881",
        "severity": "WARNING",
        "summary": "seal key rotated by svc-rotate",
        "category": "UNKNOWN",
        "source": "UNKNOWN",
        "type": "event",
        "tags": ["vault", "keys"],
        "details": {"program": "vaultd", "duration_float": 0.42, "keyid": "k-20", "cluster": ["eu1", "eu1b"]},
        "mozdefhostname": "siem1.example",
        "mozdef": {
            "plugins": [],
            "problems": [{"code": "key-collision", "field": "cluster"}],
            "defaulted": ["category", "source"],
            "input": {"name": "http", "kind": "http", "endpoint": "events"},
            "worker": {"host": "siem1.example", "process": 1},
        },
    }


def test_a_complete_event_needs_no_help():
    sent = {
        "timestamp": "2026-03-29T03:59:58.2+02:00",
        "hostname": "pay2.lab.example",
        "processname": "ledgerd",
        "processid": 7102,
        "severity": "NOTICE",
        "category": "account update",
        "source": "auditlog",
        "summary": "ines changed the payout account of shop 17",
        "tags": ["payments", "audit"],
        "details": {
            "username": "ines",
            "sourceipaddress": "2001:db8:40::9",
            "sourceport": 51544,
            "shop": 17,
            "oldaccount": "…4410",
            "newaccount": "…9923",
            "success": True,
        },
    }
    event = normalise(sent, received="2026-03-29T02:00:00.004120+00:00")
    expected = {
        **sent,
        "timestamp": "2026-03-29T01:59:58.200000+00:00",
        "utctimestamp": "2026-03-29T01:59:58.200000+00:00",
        "receivedtimestamp": "2026-03-29T02:00:00.004120+00:00",
        "processid": "7102",
        "type": "event",
        "mozdefhostname": "siem1.example",
    }
    book = event.body.pop("mozdef")
    assert event.body == expected
    assert book["problems"] == []
    assert book["defaulted"] == []
    assert book["utcoffset"] == 120


KEYS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "timestamp",
            "utctimestamp",
            "Time",
            "summary",
            "Message",
            "msg",
            "payload",
            "host",
            "hostname",
            "severity",
            "level",
            "priority",
            "category",
            "type",
            "source",
            "facility",
            "pid",
            "processname",
            "program",
            "tags",
            "Tags",
            "details",
            "fields",
            "details.x",
            "fields.y",
            "a_int",
            "b_float",
            "log",
            "process",
            "event.category",
            "user",
            "_gelf",
            "mozdef",
            "endpoint",
            "sourceip",
            "src_ip",
            "success",
            "error",
            "sourceport",
            "@x",
            ".y.",
            "path",
            "file",
        ]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        [
            "-",
            "",
            "warn",
            "7",
            "2026-03-29T03:59:58.2+02:00",
            "Nov 24 09:15:02",
            "[81]",
            "sshd[5]:",
            "{}",
            "yes",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=8)


@settings(max_examples=400, deadline=None)
@given(OBJECTS)
def test_no_object_makes_the_normaliser_fail(decoded):
    event = NORMALISER.normalise(
        decoded, Item("0" * 26, at("2026-11-24T10:00:00+00:00"), ORIGIN, b"{}"), SETTINGS
    )
    codes = [note["code"] for note in event.body["mozdef"]["problems"]]
    assert "normaliser-error" not in codes
    limited = limit(event)
    assert Event.from_bytes(limited.to_bytes()) == limited


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_no_json_value_at_all_makes_it_raise(decoded):
    event = NORMALISER.normalise(decoded, Item("0" * 26, 1, ORIGIN, json.dumps(decoded).encode()), SETTINGS)
    assert event.body["details"] is not None


@settings(max_examples=400, deadline=None)
@given(OBJECTS)
def test_normalising_a_normalised_event_again_changes_nothing(decoded):
    received = at("2026-11-24T10:00:00+00:00")
    first = NORMALISER.normalise(decoded, Item("0" * 26, received, ORIGIN, b"{}"), SETTINGS)
    sent = {key: value for key, value in first.to_dict().items() if key not in RESERVED and key != "type"}
    second = NORMALISER.normalise(sent, Item("0" * 26, received, ORIGIN, b"{}"), SETTINGS)
    again = {key: value for key, value in second.to_dict().items() if key not in RESERVED and key != "type"}
    assert again == sent


def scalars(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from scalars(value)
    elif isinstance(node, list):
        for value in node:
            yield from scalars(value)
    elif node is not None:
        yield node


PLAIN = st.text(st.characters(categories=["L", "N"]), min_size=6, max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        KEYS,
        st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(KEYS, PLAIN, max_size=3)),
        max_size=8,
    )
)
def test_every_plain_text_that_went_in_is_found(decoded):
    event = NORMALISER.normalise(
        decoded, Item("0" * 26, at("2026-11-24T10:00:00+00:00"), ORIGIN, b"{}"), SETTINGS
    )
    found = json.dumps(event.to_dict(), ensure_ascii=False)
    numbers = {value for value in scalars(event.to_dict()) if not isinstance(value, str)}
    for value in scalars(decoded):
        converted = value.isdigit() and any(str(number) in (value, value.lstrip("0")) for number in numbers)
        time = value.isascii() and value.isdigit() and "timestamp" not in event.body["mozdef"]["defaulted"]
        float_like = any(
            isinstance(number, float) and str(number).startswith(value.lstrip("0")) for number in numbers
        )
        assert value in found or converted or time or float_like, value


@pytest.mark.parametrize("raw", [b'{"a": NaN}', b'{"a": Infinity}', b"{", b"[" * 10_000 + b"]" * 10_000, b""])
def test_what_is_not_json_is_refused_with_a_reason(raw):
    from mozdef_core.errors import InvalidItemError

    with pytest.raises(InvalidItemError) as caught:
        parse_json(raw)
    assert caught.value.reason


def test_repeated_keys_and_long_integers_survive_parsing():
    event = normalise(b'{"shop": 1, "shop": 2, "big": 123456789012345678901234567890}')
    assert event.get("details.shop") == [1, 2]
    assert event.get("details.big") == "123456789012345678901234567890"
    assert {"code": "key-collision", "field": "shop"} in event.get("mozdef.problems")
