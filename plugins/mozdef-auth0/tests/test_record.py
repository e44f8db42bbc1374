"""What a record of Auth0's log becomes."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_auth0.codes import CODES, LEVELS
from mozdef_auth0.record import read_record

WRONG_PASSWORD = {
    "_id": "90020211201185132572079310688835925971249535794074878050",
    "date": "2026-01-02T03:00:00.123Z",
    "type": "fp",
    "description": "Wrong email or password.",
    "connection": "Username-Password-Authentication",
    "connection_id": "con_1",
    "client_id": "9Ztev",
    "client_name": "Shop",
    "ip": "2001:db8::7",
    "user_agent": "Chrome 120.0.0 / Linux",
    "details": {"error": {"message": "Wrong email or password."}},
    "user_id": "auth0|5ee1",
    "user_name": "ines@lab.example",
    "strategy": "auth0",
    "log_id": "90020211201185132572079310688835925971249535794074878050",
}
OPERATION = {
    "_id": "9003",
    "date": "2026-01-02T03:00:00.000Z",
    "type": "sapi",
    "description": None,
    "client_id": "9Ztev",
    "ip": "192.0.2.7",
    "details": {
        "request": {"method": "patch"},
        "response": {
            "statusCode": 200,
            "body": {
                "name": "Joe",
                "email": "joe@lab.example",
                "multifactor": ["guardian"],
                "ldap_groups": ["ops"],
                "last_ip": "192.0.2.9",
                "last_login": "2026-01-01T00:00:00.000Z",
                "secret": "not copied",
            },
        },
    },
}


def read(record):
    return dict(read_record(orjson.dumps(record)))


def test_a_wrong_password_gives_what_the_rules_read(make_event):
    event = make_event(read(WRONG_PASSWORD))
    details = event.get("details")
    assert json.loads(details.pop("raw_event")) == WRONG_PASSWORD
    assert details == {
        "messageid": WRONG_PASSWORD["_id"],
        "sourceipaddress": "2001:db8::7",
        "userid": "auth0|5ee1",
        "username": "ines@lab.example",
        "useragent": "Chrome 120.0.0 / Linux",
        "clientname": "Shop",
        "clientid": "9Ztev",
        "connection": "Username-Password-Authentication",
        "description": "Wrong email or password.",
        "eventname": "Failed Login (wrong password)",
        "success": False,
    }
    top = {name: event.get(name) for name in ("source", "category", "severity", "tags")}
    assert top == {"source": "auth0", "category": "authentication", "severity": "ERROR", "tags": ["auth0"]}
    assert event.get("timestamp") == "2026-01-02T03:00:00.123000+00:00"
    assert event.get("summary") == (
        "Failed Login (wrong password) Wrong email or password. by ines@lab.example to: Shop"
    )
    assert event.body["mozdef"]["problems"] == []


def test_an_operation_tells_of_the_user_that_it_was_about():
    event = read(OPERATION)
    details = event["details"]
    assert event["category"] == "administration"
    assert event["summary"] == "Success API Operation account: joe@lab.example"
    assert details["description"] == ""
    assert details["action"] == "Joe"
    assert details["mfa_provider"] == ["guardian"]
    assert details["ldap_groups"] == ["ops"]
    assert details["user_last_known_ip"] == "192.0.2.9"
    assert details["user_last_login"] == "2026-01-01T00:00:00.000Z"
    assert details["success"] is True
    assert "username" not in details


def test_a_body_that_is_a_list_says_nothing_about_a_user():
    record = {**OPERATION, "details": {"response": {"body": [{"name": "Joe"}]}}}
    assert "action" not in read(record)["details"]


@pytest.mark.parametrize(
    ("names", "authtype"),
    [
        (["authenticate"], "valid session cookie"),
        (["lock-password-authenticate", "login"], "valid password"),
        (["authenticate", "lock-password-authenticate"], "valid password"),
        (["login"], None),
    ],
)
def test_a_prompt_says_how_somebody_was_known(names, authtype):
    record = {**WRONG_PASSWORD, "type": "s", "details": {"prompts": [{"name": name} for name in names]}}
    assert read(record)["details"].get("authtype") == authtype


@pytest.mark.parametrize(
    ("code", "category", "success", "severity"),
    [
        ("seacft", "authorization", True, "INFO"),
        ("slo", "authentication", True, "INFO"),
        ("fu", "authentication", False, "ERROR"),
        ("fapi", "administration", False, "ERROR"),
        ("gd_unenroll", "administration", None, "WARNING"),
        ("gd_auth_succeed", "authentication", None, "INFO"),
        ("pwd_leak", "administration", None, "CRITICAL"),
        ("cs", "authentication", None, "DEBUG"),
        ("depnote", None, None, "INFO"),
    ],
)
def test_a_name_decides_category_and_success_and_its_level_the_severity(code, category, success, severity):
    event = read({**WRONG_PASSWORD, "type": code})
    assert event.get("category") == category
    assert event["details"].get("success") is success
    assert event["severity"] == severity


def test_a_code_that_nobody_knows_is_its_own_name():
    event = read({**WRONG_PASSWORD, "type": "brand_new"})
    assert event["details"]["eventname"] == "brand_new"
    assert "severity" not in event
    assert event["summary"].startswith("brand_new Wrong email")


def test_the_table_has_the_codes_of_the_specification():
    counted = [sum(meaning.level == level for meaning in CODES.values()) for level in range(len(LEVELS))]
    assert counted == [6, 40, 4, 39, 9]


@pytest.mark.parametrize("raw", [b"", b"torn", b'"text"', b"[1]", b"{}", b'{"a": 1}', b"\xff"])
def test_a_record_that_cannot_be_read_is_kept_as_its_text_with_a_problem_noted(raw, make_event):
    event = make_event(dict(read_record(raw)))
    assert event.text("details.raw_event") == raw.decode("utf-8", "replace")
    assert event.get("details.error") is True
    assert [note["code"] for note in event.body["mozdef"]["problems"]] == ["timestamp-missing"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["response", "body", "prompts", "name", "$date"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(record=st.dictionaries(st.sampled_from(sorted(WRONG_PASSWORD)), JSON, max_size=8))
def test_no_record_makes_the_decoder_raise_or_is_lost(record):
    raw = orjson.dumps(record)
    event = read_record(raw)
    assert event["details"]["raw_event"] == raw.decode()
    assert event["source"] == "auth0"
    json.dumps(event)


@given(raw=st.binary())
def test_no_bytes_make_the_decoder_raise(raw):
    assert read_record(raw)["tags"] == ["auth0"]
