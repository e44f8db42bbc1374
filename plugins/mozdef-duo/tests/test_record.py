"""What a record of Duo's logs becomes."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_duo.record import read_record, wrap_record

FRAUD = {
    "access_device": {
        "browser": "Chrome",
        "hostname": None,
        "ip": "2001:db8::7",
        "location": {"city": "Lisbon"},
    },
    "alias": "",
    "application": {"key": "DIY1", "name": "OpenVPN lab"},
    "auth_device": {"ip": "192.0.2.250", "name": "+351..."},
    "email": "ines@lab.example",
    "event_type": "authentication",
    "factor": "duo_push",
    "isotimestamp": "2026-01-02T03:00:00.000000+00:00",
    "ood_software": None,
    "reason": "user_marked_fraud",
    "result": "fraud",
    "timestamp": 1767322800,
    "txid": "340a23e3-23f3-23c1-87dc-1491a23dfdbb",
    "user": {"groups": ["ops"], "key": "DU3", "name": "ines"},
}
ADMIN = {
    "action": "admin_login_error",
    "description": json.dumps(
        {"ip_address": "192.0.2.7", "error": "SAML login is disabled", "email": "joe@lab.example"}
    ),
    "host": "api-12345678.duosecurity.com",
    "isotimestamp": "2026-01-02T03:00:00+00:00",
    "object": None,
    "timestamp": 1767322800,
    "username": "joe",
}
CALL = {
    "context": "enrollment",
    "credits": 0,
    "phone": "+351...",
    "telephony_id": "5bf1a860",
    "ts": "2026-01-02T03:00:00.304526+00:00",
    "type": "sms",
}


def read(log, record):
    return read_record(wrap_record(log, record))


def test_a_push_marked_as_fraud_gives_what_the_rules_read(make_event):
    event = make_event(read("authentication", FRAUD))
    assert event.get("details") == {
        "access_device": {"browser": "Chrome", "ip": "2001:db8::7", "location": {"city": "Lisbon"}},
        "alias": "",
        "application": FRAUD["application"],
        "auth_device": FRAUD["auth_device"],
        "email": "ines@lab.example",
        "eventtype": "authentication",
        "factor": "duo_push",
        "isotimestamp": FRAUD["isotimestamp"],
        "reason": "user_marked_fraud",
        "result": "fraud",
        "success": False,
        "sourceipaddress": "2001:db8::7",
        "timestamp": 1767322800,
        "txid": FRAUD["txid"],
        "username": "ines",
        "userkey": "DU3",
        "user": {"groups": ["ops"]},
    }
    top = {name: event.get(name) for name in ("source", "category", "tags", "summary")}
    assert top == {
        "source": "DuoSecurityAPI",
        "category": "authentication",
        "tags": ["duosecurity"],
        "summary": "authentication fraud for ines due to user_marked_fraud",
    }
    assert event.get("timestamp") == "2026-01-02T03:00:00.000000+00:00"
    assert event.body["mozdef"]["problems"] == []


def test_an_action_of_an_administrator_tells_what_its_description_holds(make_event):
    event = make_event(read("administration", ADMIN))
    assert event.get("category") == "administration"
    assert event.get("summary") == "admin_login_error because of SAML login is disabled by joe"
    assert event.get("details.sourceipaddress") == "192.0.2.7"
    assert event.get("details.description.email") == "joe@lab.example"
    assert event.get("details.hostname") == "api-12345678.duosecurity.com"
    assert event.get("details.username") == "joe"


def test_a_call_is_summed_up_by_what_it_was_for(make_event):
    event = make_event(read("telephony", CALL))
    assert (event.get("category"), event.get("summary")) == ("telephony", "enrollment")
    assert event.get("timestamp") == "2026-01-02T03:00:00.304526+00:00"
    assert event.get("details.phone") == "+351..."


@pytest.mark.parametrize(
    ("result", "success"), [("SUCCESS", True), ("success", True), ("denied", False), (None, None)]
)
def test_only_a_success_is_one(result, success):
    assert read("authentication", {**FRAUD, "result": result})["details"].get("success") is success


@pytest.mark.parametrize("name", ["ip", "ip_address", "client_ip"])
def test_every_name_of_the_address_is_understood_and_the_device_wins(name):
    details = read("authentication", {"timestamp": 1, name: "192.0.2.9"})["details"]
    assert details == {"timestamp": 1, "sourceipaddress": "192.0.2.9"}
    assert read("authentication", {**FRAUD, name: "192.0.2.9"})["details"]["sourceipaddress"] == "2001:db8::7"


def test_a_host_name_of_a_device_that_says_something_stays():
    record = {**FRAUD, "access_device": {"hostname": "laptop"}, "ip": "192.0.2.9"}
    details = read("authentication", record)["details"]
    assert details["access_device"] == {"hostname": "laptop"}
    assert details["sourceipaddress"] == "192.0.2.9"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"torn",
        b"{}",
        b'{"log": "telephony", "record": "torn"}',
        b'{"log": "x", "record": {"a": 1}}',
        b"\xff",
    ],
)
def test_a_record_that_cannot_be_read_is_kept_as_its_text_with_a_problem_noted(raw, make_event):
    event = make_event(dict(read_record(raw)))
    assert event.text("details.raw_event") == raw.decode("utf-8", "replace")
    assert event.get("details.error") is True
    assert [note["code"] for note in event.body["mozdef"]["problems"]] == ["timestamp-missing"]
    assert event.get("category") == ("telephony" if b"telephony" in raw else "UNKNOWN")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["ip", "hostname", "name", "key", "error"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    log=st.sampled_from(["administration", "authentication", "telephony"]),
    record=st.dictionaries(st.sampled_from(sorted({**FRAUD, **ADMIN, **CALL})), JSON, min_size=1, max_size=8),
)
def test_no_record_makes_the_decoder_raise(log, record):
    event = read(log, record)
    assert event["category"] == log
    orjson.dumps(event)


@given(raw=st.binary())
def test_no_bytes_make_the_decoder_raise(raw):
    assert read_record(raw)["tags"] == ["duosecurity"]
