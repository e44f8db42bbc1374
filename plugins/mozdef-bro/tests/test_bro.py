from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_bro import Bro
from mozdef_bro.logs import LOGS, read_log
from mozdef_bro.members import Parts, rename_connection
from mozdef_bro.record import read_record
from mozdef_bro.times import as_iso, as_moment

from mozdef_core.testing_contracts.trial import Trial

NOTICE = {
    "ts": 1_767_323_000.5,
    "note": "SSH::Password_Guessing",
    "msg": "10.1.2.3 appears to be guessing",
    "src": "10.1.2.3",
    "actions": ["Notice::ACTION_LOG"],
}


def one(make_host, document, **origin):
    (event,) = make_host(Bro).process(document, **origin).events
    return event


def test_what_the_shipper_adds_stays_out_of_the_record_and_names_its_sensor(make_host):
    event = one(
        make_host,
        {
            "category": "bro",
            "source": "bro_notice",
            "message": json.dumps(NOTICE),
            "host_from": "nsm3.lab.example",
            "tags": ["bro", "site7"],
            "file_name": "notice.log",
            "legacy_msghdr": "x",
        },
    )
    assert event.get("hostname") == "nsm3.lab.example"
    assert event.get("tags") == ["bro", "site7"]
    assert event.get("source") == "notice"
    assert event.get("details") == {
        "ts": 1_767_323_000.5,
        "note": "SSH::Password_Guessing",
        "msg": "10.1.2.3 appears to be guessing",
        "sub": "",
        "actions": ["Notice::ACTION_LOG"],
        "sourceipaddress": "10.1.2.3",
        "sourceipv4address": "10.1.2.3",
        "indicators": ["10.1.2.3"],
    }


def test_members_of_the_record_are_no_shipper_s(make_host):
    record = {"ts": 1.5, "file_name": "a", "message": "b", "host_from": "c"}
    event = one(make_host, {"category": "zeek", "source": "zeek_site", "message": json.dumps(record)})
    assert event.get("details") == record
    assert "hostname" in event.defaulted


@pytest.mark.parametrize("endpoint", ["bro", "zeek"])
def test_the_custom_endpoint_says_what_it_is(endpoint, make_host):
    event = one(make_host, {"source": "bro_conn", "message": '{"ts": 1700000000}'}, endpoint=endpoint)
    assert event.get("category") == "bro"
    assert event.get("source") == "conn"


@pytest.mark.parametrize(
    ("sent", "log"),
    [
        ({"source": "bro_conn"}, "conn"),
        ({"source": "ZEEK_Conn"}, "conn"),
        ({"source": "conn"}, "conn"),
        ({"source": "/opt/zeek/logs/current/conn.log"}, "conn"),
        ({"source": "sensor7", "details": {"_path": "dns"}}, "dns"),
        ({"details": {"_path": "dns"}}, "dns"),
        ({"source": "bro_"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_log_has_a_name_or_is_unknown(sent, log, make_host):
    event = one(make_host, {"category": "bro", "details": {"ts": 1}, **sent})
    assert event.get("source") == log


@pytest.mark.parametrize(
    "text", ["#fields\tts\tuid", '{"ts": 1700000000, "uid": "C', "1700000000.1 C1", '{"ts": NaN}', '["ts"]']
)
def test_text_that_is_no_record_is_kept_and_noted(text, make_host):
    event = one(
        make_host,
        {"category": "bro", "source": "bro_conn", "summary": text, "host_from": "n1", "resp_cc": "PT"},
    )
    sent = " ".join(text.split()) if "\t" not in text else event.get("summary")
    assert event.get("details") == {"raw": sent}
    assert event.get("summary") == sent
    assert (event.get("type"), event.get("source"), event.get("hostname")) == ("nsm", "conn", "n1")
    (note,) = [note for note in event.get("mozdef.problems") if "plugin" in note]
    assert note["code"] == "conversion-failed"
    assert "conn" in note["message"]


def test_the_text_of_a_decoded_record_is_no_record_of_its_own(make_host):
    forged = '{"note": "Nothing::Here", "src": "203.0.113.5"}'
    for document in (
        {"_path": "notice", **NOTICE, "msg": forged},
        {"category": "bro", "source": "notice", "details": {**NOTICE, "msg": forged, "message": forged}},
    ):
        event = one(make_host, document)
        assert event.get("details.note") == "SSH::Password_Guessing"
        assert event.get("details.sourceipaddress") == "10.1.2.3"
        assert event.get("details.msg") == forged


def test_a_record_without_a_time_happened_when_it_came(make_host):
    document = {
        "category": "bro",
        "source": "bro_ftp",
        "timestamp": "2020-01-01T00:00:00Z",
        "message": '{"a": 1}',
    }
    event = one(make_host, document)
    assert event.get("utctimestamp") == event.get("timestamp") == event.get("receivedtimestamp")


def test_numbers_that_come_as_text_are_read(make_host):
    record = {"ts": "1700000000.123456", "id.orig_p": "50123", "id.resp_p": "99999", "id.orig_h": "10.0.0.1"}
    event = one(make_host, {"category": "bro", "source": "bro_conn", "message": json.dumps(record)})
    assert event.get("utctimestamp") == "2023-11-14T22:13:20.123456+00:00"
    assert event.get("details.sourceport") == 50_123
    assert event.get("details.destinationport") == "99999"


@pytest.mark.parametrize(
    "document",
    [
        {"category": "suricata", "source": "bro_conn", "summary": '{"ts": 1}'},
        {"category": "syslog", "summary": "bro", "details": {"username": "zeek", "ts": 5}},
        {"path": "conn", "ts": 1},
    ],
)
def test_an_event_of_another_category_is_untouched(document, make_host):
    with_it, without = one(make_host, document), make_host().process(document).events[0]
    with_it.body["mozdef"].pop("worker"), without.body["mozdef"].pop("worker")
    assert with_it.body == without.body
    assert with_it.get("mozdef.plugins") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("ts", "uid", "id", "id.orig_h", "id.orig_p"),
        *("id.resp_h", "id.resp_p", "_path", "host_from", "message"),
        *("source", "resp_cc", "src", "dst", "sub"),
        *("actions", "p", "note", "rx_hosts", "tx_hosts"),
        *("uri", "mac", "tls", "seen", "seen.indicator"),
        *("service", "version", "version.major", "parsed_version", "ntlm"),
        *("username", "times", "times.created", "smbtimes", "get_requests"),
        *(
            "get_bulk_requests",
            "certificate",
            "certificate.serial",
            "certificate.not_valid_after",
            "basic_constraints",
        ),
        *("basic_constraints.ca", "auth_success", "history", "filesource"),
    ]
)
RECORDS = st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=12)
HOST = Trial([Bro])


@given(log=st.sampled_from([*LOGS, "weird"]), record=RECORDS)
def test_no_record_costs_an_event_its_mapping(log, record):
    for document in (
        {"category": "bro", "source": f"bro_{log}", "details": record},
        {"category": "zeek", "source": f"zeek_{log}", "message": json.dumps(record, default=str)},
    ):
        (event,) = HOST.process(json.loads(json.dumps(document), parse_constant=str)).events
        assert event.get("mozdef.plugins") == ["bro"]
        assert not [note for note in event.get("mozdef.problems") if note["code"].startswith("plugin")]
        event.to_json()


@given(record=RECORDS, log=st.sampled_from([*LOGS]))
def test_members_that_a_log_does_not_name_stay_as_they_are(record, log):
    record = {f"x_{name.replace('.', '_')}": value for name, value in record.items()}
    before = json.dumps(record, sort_keys=True)
    changed = json.loads(before, parse_constant=str)
    rename_connection(changed)
    read_log(log, changed)
    assert json.loads(before, parse_constant=str).items() <= changed.items() or not record


@given(st.text())
def test_text_is_a_record_or_it_is_not(text):
    assert read_record(text) is None or text.startswith("{")


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_names_are_in_lower_case_at_every_depth(record):
    def keys(node):
        if isinstance(node, dict):
            yield from node
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from keys(child)

    text = json.dumps(record)
    found = read_record(text)
    if "NaN" in text or "Infinity" in text:
        return
    assert all(key and (key == key.lower() or not key.isascii()) for key in keys(found))


def test_equal_names_share_a_list():
    assert read_record('{"A": 1, "a": 2, "b": [1], "B": 1, "@C.": 3, "": 4}') == {
        "a": [1, 2], "b": [1], "c": 3, "_empty": 4,
    }  # fmt: skip
    assert read_record('{"a": 1, "A": 1}') == {"a": 1}


def test_numbers_that_an_event_cannot_hold_stay_text():
    assert read_record('{"a": 1e999, "b": ' + "9" * 5_000 + "}") == {"a": "1e999", "b": "9" * 5_000}
    assert read_record('{"a":' * 95 + "1" + "}" * 95) is None


@given(us=st.integers(1_000_000, 4_102_444_800_000_000))
def test_a_time_keeps_its_microseconds(us):
    seconds = f"{us // 1_000_000}.{us % 1_000_000:06d}"
    text = as_iso(seconds)
    assert as_moment(text) == text
    assert as_iso(text.replace("+00:00", "Z")) == text
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    assert int((fraction or "0").ljust(6, "0")) == us % 1_000_000
    assert len(whole) == 19


@pytest.mark.parametrize(
    "value", [None, True, "", "-", "yesterday", [], {}, 10**14, float("nan"), "2026-13-01T00:00:00Z"]
)
def test_what_is_no_time_is_none(value):
    assert as_iso(value) is None
    assert as_moment(0) is None


def test_a_part_of_a_line_is_one_scalar():
    parts = Parts({"a": ["x", "y"], "b": {}, "c": [[1]], "d": None, "e": False, "f": []})
    assert [parts[name] for name in "abcdef"] == ["x", *["unknown"] * 3, "false", "unknown"]


def test_the_plugin_keeps_the_contract(run_contract, make_event):
    run_contract(Bro, events=[make_event(category="bro", source="notice", details=NOTICE)])
