"""The rules of event-format.md sections 1.4, 5.1 to 5.9 and 7, one by one."""

from __future__ import annotations

import pytest

from mozdef_core.normalise import EntranceSettings, Normaliser, Recogniser, parse_json
from mozdef_core.normalise.tags import MOST
from mozdef_core.ports import Item, Origin

HTTP = Origin(name="events", kind="http", endpoint="events")
SYSLOG = Origin(name="syslog", kind="syslog", peer="192.0.2.1")
RECEIVED_US = 1_795_514_400_000_000  # 2026-11-24T10:00:00+00:00
RECEIVED = "2026-11-24T10:00:00.000000+00:00"


def normalise(sent, origin=HTTP, recognisers=(), **given):
    item = Item("0" * 26, RECEIVED_US, origin, b"{}", **{k: v for k, v in given.items() if k in _ITEM})
    settings = EntranceSettings(**{k: v for k, v in given.items() if k not in _ITEM})
    decoded = parse_json(sent) if isinstance(sent, bytes) else sent
    return Normaliser("siem1", 7, recognisers).normalise(decoded, item, settings)


_ITEM = {"fields", "sender_id", "replay_of"}


def body(sent, **given):
    return normalise(sent, **given).body


def details(sent, **given):
    return body(sent, **given)["details"]


def codes(event):
    return [note["code"] for note in event.body["mozdef"]["problems"]]


# 1.4


@pytest.mark.parametrize(
    "name",
    ["receivedtimestamp", "mozdefhostname", "mozdef", "alerts", "alert_names", "endpoint", "customendpoint"],
)
def test_a_reserved_name_is_kept_beside_the_system_s_own(name):
    event = normalise({name.upper(): "mine"})
    assert event.body["details"] == {f"sent_{name}": "mine"}
    assert event.body["mozdefhostname"] == "siem1"
    assert event.body["receivedtimestamp"] == RECEIVED


def test_a_trusted_relay_forwards_the_received_time():
    sent = {"receivedtimestamp": "2026-11-20T10:00:00Z", "timestamp": "2026-11-20T09:59:59Z"}
    event = normalise(sent, trusted_relay=True)
    assert event.body["receivedtimestamp"] == "2026-11-20T10:00:00.000000+00:00"
    assert codes(event) == []  # the time is judged by when the relay received it
    assert details({"receivedtimestamp": "soon"}, trusted_relay=True) == {"sent_receivedtimestamp": "soon"}


# 5.1


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("@Foo", "foo"),
        (" Foo ", "foo"),
        ("@@x", "x"),
        ("FOO.Bar", "foo.bar"),
        (".tag.", "tag"),
        (".a.b", "ab"),
        ("a.b.", "ab"),
        ("", "_empty"),
        (".", "_empty"),
        ("@", "_empty"),
        ("Stra\u00dfe", "stra\u00dfe"),
        ("\u1e9e", "\u00df"),
        ("E\u0301", "\u00e9"),
        ("\u03a3\u03c2", "\u03c3\u03c3"),
    ],
)
def test_a_key_has_one_spelling_at_every_depth(sent, stored):
    assert details({"details": {sent: 1}}) == {stored: 1}
    assert details({"outer": [{"inner": {sent: 1}}]}) == {"outer": [{"inner": {stored: 1}}]}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"A": 1, "a": 2, "@a": 3}, [1, 2, 3]),
        ({"A": 1, "a": 1}, 1),
        ({"A": [1, 2], "a": [2, 3]}, [1, 2, 3]),
        ({"A": 1, "a": True, "@a": 1.0}, [1, True, 1.0]),
        ({"A": {"x": 1}, "a": {"x": 2}}, [{"x": 1}, {"x": 2}]),
    ],
)
def test_keys_that_become_equal_share_an_array(sent, stored):
    event = normalise({"details": sent})
    assert event.body["details"]["a"] == stored
    assert repr(event.body["details"]["a"]) == repr(stored)  # 1, True and 1.0 are equal in Python
    assert event.body["mozdef"]["problems"][0] == {"code": "key-collision", "field": "details.a"}


@pytest.mark.parametrize(
    "raw",
    [
        b'{"shop": 1, "shop": 2}',
        b'{"shop" : 1, "shop":2}',
        b'{"shop"\n:1,\t"shop"\t:2}',
        b'{"message": "{\\"a\\": 1}", "shop": 1, "shop": 2}',
        b'{"x\\\\":1, "shop":1, "shop":2}',
        b'{"x": ":", "shop":1, "shop":2, "y":{"shop":3}}',
    ],
)
def test_a_key_that_occurs_twice_keeps_both_values(raw):
    event = normalise(raw)
    assert event.body["details"]["shop"] == [1, 2]
    assert {"code": "key-collision", "field": "shop"} in event.body["mozdef"]["problems"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"message": "\\"a\\":1", "a": {"a": 1}}',
        b'{"a\\\\": 1, "b": ["x:y"]}',
        b'{"a": ":", "b" : ":"}',
        b'{"a": "\\\\\\":"}',
    ],
)
def test_colons_and_quotes_in_text_are_no_collision(raw):
    assert "key-collision" not in codes(normalise(raw))


def test_dotted_names_of_details_and_fields_go_there():
    assert details({"details.a": 1, "fields.b.c": 2, "D.E": 3}) == {"a": 1, "b.c": 2, "d.e": 3}
    assert details({"details": {"a": 1}, "fields.a": 2}) == {"a": 1, "fields": {"a": 2}}
    event = normalise({"details": {"a": 1}, "details.a": 2})
    assert event.body["details"] == {"a": [1, 2]}
    assert "key-collision" in codes(event)


@pytest.mark.parametrize(
    ("name", "sent", "stored"),
    [
        ("x_int", "42", 42),
        ("x_int", " -7 ", -7),
        ("x_int", 3.0, 3),
        ("x_float", "0.42", 0.42),
        ("x_float", 3, 3.0),
        ("x_float", "1e3", 1000.0),
        ("x_int", None, None),
    ],
)
def test_a_name_that_ends_in_a_type_is_converted(name, sent, stored):
    for event in (normalise({f"details.{name}": sent}), normalise({"fields": {name: sent}})):
        value = event.body["details"][name]
        assert (value, type(value)) == (stored, type(stored))
        assert "conversion-failed" not in codes(event)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("x_int", "4.5"),
        ("x_int", "many"),
        ("x_int", True),
        ("x_int", [1]),
        ("x_int", "9" * 19),
        ("x_int", 4.5),
        ("x_float", "nan"),
        ("x_float", "1e999"),
        ("x_float", ""),
        ("x_float", {"a": 1}),
        ("x_int", "1_0"),
    ],
)
def test_what_cannot_be_converted_is_kept_and_noted(name, sent):
    event = normalise({f"fields.{name}": sent})
    assert event.body["details"][name] == sent
    assert {"code": "conversion-failed", "field": f"details.{name}"} in event.body["mozdef"]["problems"]


def test_details_win_over_fields():
    assert details({"details": {"a": 1, "b": 2}, "fields": {"a": 3, "b": 2, "c": 4}}) == {
        "a": 1,
        "b": 2,
        "c": 4,
        "fields": {"a": 3},
    }


# 5.2

ORDERED = {
    "timestamp": ("timestamp", "utctimestamp", "eventtime", "isodate", "time", "datetime", "date"),
    "summary": ("summary", "message", "msg", "short_message", "log", "body", "payload"),
    "hostname": ("hostname", "source_host", "host", "fqdn", "computer", "computername", "logsource"),
    "severity": (
        *("severity", "syslogseverity", "level", "severityvalue"),
        *("syslogseverityvalue", "loglevel", "priority"),
    ),
    "category": ("category", "eventtype", "type"),
    "facility": ("facility", "syslogfacility", "syslogfacilityvalue"),
    "processid": ("processid", "pid", "procid", "process_id", "_pid"),
    "processname": (
        *("processname", "pname", "program", "sourcename"),
        *("appname", "app_name", "syslog_identifier"),
    ),
    "eventsource": ("eventsource", "path", "logger", "file", "filename"),
}
SAMPLES = {
    "timestamp": [f"2026-11-24T09:0{number}:00.000000+00:00" for number in range(7)],
    "severity": ["ERROR", "warning", "notice", "1", "7", "crit", "alert"],
}
STORED = {"severity": ["ERROR", "WARNING", "NOTICE", "DEBUG", "DEBUG", "CRITICAL", "ALERT"]}


@pytest.mark.parametrize("field", ORDERED)
def test_the_first_of_the_names_in_their_order_is_the_field_and_the_others_stay(field):
    names = ORDERED[field]
    values = SAMPLES.get(field, [f"value {number}" for number in range(len(names))])[: len(names)]
    stored = STORED.get(field, values)
    for first in range(len(names)):
        pairs = dict(list(zip(names, values, strict=True))[first:])
        event = normalise(dict(reversed(pairs.items())))
        assert event.body[field] == stored[first], names[first]
        for name, value in list(pairs.items())[1:]:
            kept = event.body["details"].get(name)
            assert kept == value, (names[first], name)


@pytest.mark.parametrize("nothing", [None, "", "-", " ", " - ", {}, []])
def test_a_value_that_says_nothing_leaves_the_field_to_the_next_name(nothing):
    event = normalise({"hostname": nothing, "host": "db4", "username": nothing})
    assert event.body["hostname"] == "db4"
    assert event.body["details"] == {}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *((name, "eventsourceipaddress") for name in ("sourceip", "fromhost_ip", "fromhost-ip")),
        *((name, "sourceipaddress") for name in ("sourceipaddress", "src_ip")),
        *((name, "destinationipaddress") for name in ("destinationipaddress", "dst_ip", "dest_ip")),
        ("username", "username"),
        ("full_message", "full_message"),
    ],
)
def test_some_names_of_the_top_level_are_details(name, field):
    assert details({name: "x"}) == {field: "x"}
    assert body({name: "x", "details": {field: "x"}})["details"] == {field: "x"}
    other = details({name: "x", "details": {field: "y"}})
    assert other == ({field: ["y", "x"]} if name == field else {field: "y", name: "x"})


def test_log_and_body_are_a_summary_only_as_text():
    assert body({"log": "line"})["summary"] == "line"
    assert details({"body": {"a": 1}}) == {"body": {"a": 1}}


def test_the_facility_has_a_name_and_stands_in_for_the_source():
    for sent in (4, "4"):
        assert body({"facility": sent})["facility"] == "auth"
    assert [body({"facility": n})["facility"] for n in (0, 10, 13, 15, 16, 23)] == [
        "kern",
        "authpriv",
        "audit",
        "clock",
        "local0",
        "local7",
    ]
    event = body({"facility": "authpriv", "eventsource": "auth.log"})
    assert (event["source"], event["mozdef"]["defaulted"].count("source")) == ("authpriv", 0)
    assert body({"eventsource": "auth.log"})["source"] == "auth.log"
    assert body({"facility": 99})["facility"] == "99"


def test_type_is_a_category_unless_it_is_a_shape_from_someone_trusted():
    custom = Origin(name="custom", kind="http", endpoint="inventory")
    assert (body({"type": "nsm"})["type"], body({"type": "nsm"})["category"]) == ("event", "nsm")
    assert body({"type": "nsm"}, trusted_relay=True)["type"] == "nsm"
    assert body({"type": "nsm"}, origin=custom)["type"] == "nsm"
    assert body({"type": "other"}, origin=custom)["type"] == "inventory"
    assert body({"type": "other"}, origin=custom)["category"] == "other"


@pytest.mark.parametrize(
    ("sent", "severity", "facility"),
    [
        ({"priority": "warn"}, "WARNING", None),
        ({"priority": 3}, "ERROR", None),
        ({"priority": "86"}, "INFO", "authpriv"),
        ({"priority": 191}, "DEBUG", "local7"),
        ({"priority": 8}, "EMERGENCY", "user"),
        ({"priority": 86, "facility": "mail"}, "INFO", "mail"),
        ({"priority": 192}, "INFO", None),
    ],
)
def test_priority_is_a_word_a_level_or_a_syslog_pri(sent, severity, facility):
    event = body(sent)
    assert (event["severity"], event.get("facility")) == (severity, facility)


TENS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL", 60: "EMERGENCY"}
BUNYAN = {10: "DEBUG", 20: "DEBUG", 30: "INFO", 40: "WARNING", 50: "ERROR", 60: "CRITICAL"}
NXLOG = {1: "DEBUG", 2: "INFO", 3: "WARNING", 4: "ERROR", 5: "CRITICAL"}


@pytest.mark.parametrize(
    ("sent", "severity"),
    [
        *(({"level": n}, s) for n, s in TENS.items()),
        *(({"level": n, "pid": 1, "hostname": "h", "v": 0}, s) for n, s in BUNYAN.items()),
        ({"level": 4}, "WARNING"),
        ({"level": "30"}, "WARNING"),
        ({"level": "fatal"}, "CRITICAL"),
        *(({"severityvalue": n}, s) for n, s in NXLOG.items()),
        ({"syslogseverityvalue": 5}, "NOTICE"),
    ],
)  # fmt: skip
def test_each_name_of_the_severity_has_its_scale(sent, severity):
    event = body(sent)
    assert event["severity"] == severity
    assert "original_severity" not in event["details"]


@pytest.mark.parametrize(
    ("sent", "name", "number"),
    [
        ({"pid": "[881]"}, "UNKNOWN", "881"),
        ({"pid": 881}, "UNKNOWN", "881"),
        ({"processname": "sshd[12]:"}, "sshd", "12"),
        ({"processname": "sshd:"}, "sshd", "UNKNOWN"),
        ({"processname": "sshd[12]", "pid": 13}, "sshd", "13"),
        ({"processname": "a[1][2]:"}, "a", "1"),
    ],
)
def test_process_name_and_number_are_told_apart(sent, name, number):
    event = body(sent)
    assert (event["processname"], event["processid"]) == (name, number)


def test_a_windows_event_of_nxlog_keeps_its_fields():
    sent = {
        "Domain": "LAB", "SourceModuleType": "im_msvistalog", "EventID": 4625, "Channel": "Security",
        "AccountName": "svc", "TargetUserName": "ines", "IpAddress": "192.0.2.7", "SourceName": "Security-Auditing",
    }  # fmt: skip
    found = details(sent)
    assert (found["username"], found["sourceipaddress"]) == ("ines", "192.0.2.7")
    assert (found["eventid"], found["channel"], found["accountname"]) == (4625, "Security", "svc")
    assert details({**sent, "TargetUserName": "-", "IpAddress": "-"})["username"] == "svc"
    assert "sourceipaddress" not in details({**sent, "IpAddress": "LOCAL"})
    assert "username" not in details({"targetusername": "ines"})


def test_additional_fields_of_gelf_lose_their_underscore():
    sent = {"version": "1.1", "host": "h", "short_message": "hello", "_shop": 17, "_pid": 5, "level": 4}
    event = body(sent)
    assert (event["summary"], event["processid"], event["severity"]) == ("hello", "5", "WARNING")
    assert event["details"] == {"version": "1.1", "shop": 17}


def test_an_unknown_name_is_kept_and_shares_its_place():
    event = normalise({"shop": 17, "details": {"shop": 18, "x": None}, "x": 1})
    assert event.body["details"] == {"shop": [18, 17], "x": 1}
    assert codes(event)[0] == "key-collision"


# 5.2a

ZEEK = Recogniser(members=("_path", "ts"), category="bro", source_from="_path", name="bro")
ZOOM = Recogniser(
    members=("event",),
    objects=("payload",),
    any_of=(("event_ts", "payload.account_id"),),
    tags=("zoom",),
    name="zoom",
)
DUTY = Recogniser(
    members=("detail",), equal={"detail-type": "Finding"}, category="guardduty", source="guardduty"
)
RECOGNISERS = (ZEEK, ZOOM, DUTY)
CONN = {"_path": "conn", "ts": 1.5, "host": "h", "Service": "ssl", "tags": ["x"], "details": {"a": 1}}


def test_a_product_s_own_record_is_kept_whole():
    event = normalise(CONN, recognisers=RECOGNISERS)
    assert (event.body["category"], event.body["source"]) == ("bro", "conn")
    assert event.body["details"] == {
        "_path": "conn", "ts": 1.5, "host": "h", "service": "ssl", "tags": ["x"], "details": {"a": 1},
    }  # fmt: skip
    assert event.body["hostname"] == "UNKNOWN"
    assert codes(event) == []  # its mapper knows the time


def test_a_record_is_recognised_by_groups_values_and_objects():
    assert body({"event": "x", "payload": {"account_id": 1}}, recognisers=RECOGNISERS)["tags"] == ["zoom"]
    assert (
        body({"event": "x", "payload": "text", "event_ts": 1}, recognisers=RECOGNISERS)["summary"] == "text"
    )
    assert body({"event": "x", "payload": {}}, recognisers=RECOGNISERS)["tags"] == []
    duty = {"detail-type": "Finding", "detail": {"id": 1}}
    assert body(duty, recognisers=RECOGNISERS)["source"] == "guardduty"
    assert body({**duty, "detail-type": "Other"}, recognisers=RECOGNISERS)["source"] == "UNKNOWN"


def test_an_entrance_forces_a_record_or_forbids_all():
    assert body(CONN, recognisers=RECOGNISERS, record="none")["hostname"] == "h"
    assert body({"host": "h"}, recognisers=RECOGNISERS, record="zoom")["details"] == {"host": "h"}
    assert body({"host": "h"}, recognisers=RECOGNISERS, record="bro")["category"] == "bro"


# 5.3


def test_known_members_of_objects_are_lifted():
    sent = {
        "host": {"name": "db4"},
        "process": {"name": "sshd", "pid": 12},
        "log": {"level": "warn", "file": {"path": "/var/log/a"}},
        "event": {"category": ["authentication", "x"], "original": "raw line"},
        "user": {"name": "ines"},
        "source": {"address": "192.0.2.7", "port": "51544"},
        "destination.ip": "192.0.2.8",
        "destination": {"port": 22},
        "user_agent": {"original": "cli/4"},
        "url": {"full": "https://shop.example/"},
    }
    event = body(sent)
    expected = {
        "hostname": "db4", "processname": "sshd", "processid": "12", "severity": "WARNING",
        "eventsource": "/var/log/a", "category": "authentication", "summary": "raw line", "source": "/var/log/a",
    }  # fmt: skip
    assert {name: event[name] for name in expected} == expected
    found = event["details"]
    assert (found["username"], found["useragent"]) == ("ines", "cli/4")
    assert (found["sourceipaddress"], found["sourceport"]) == ("192.0.2.7", 51544)
    assert (found["destinationipaddress"], found["destinationport"]) == ("192.0.2.8", 22)
    assert found["destinationuri"] == "https://shop.example/"
    assert found["host"] == {"name": "db4"}  # the objects stay


def test_what_was_sent_goes_before_what_is_lifted():
    sent = {"hostname": "a", "host": {"name": "b"}, "username": "x", "user": {"name": "y"}}
    event = body(sent)
    assert (event["hostname"], event["details"]["username"]) == ("a", "x")
    assert body({"host": {"hostname": "c"}})["hostname"] == "c"


def test_of_an_array_the_first_scalar_is_used_and_the_array_kept():
    event = body({"host": [{"a": 1}, "", "db4", "db5"], "severity": ["warn", "x"], "time": [1_795_514_000]})
    assert (event["hostname"], event["severity"]) == ("db4", "WARNING")
    assert event["timestamp"] == "2026-11-24T09:53:20.000000+00:00"
    assert event["details"]["host"] == [{"a": 1}, "", "db4", "db5"]
    assert event["details"]["severity"] == ["warn", "x"]


@pytest.mark.parametrize(("sent", "stored"), [(True, "true"), (3, "3"), (0.5, "0.5"), (False, "false")])
def test_other_scalars_become_text(sent, stored):
    event = body({"hostname": sent, "category": sent, "source": sent, "summary": sent})
    assert {event[name] for name in ("hostname", "category", "source", "summary")} == {stored}


# 5.4, the rest is in test_times


def test_a_missing_time_is_the_received_one():
    event = normalise({})
    assert event.body["timestamp"] == event.body["utctimestamp"] == RECEIVED
    assert codes(event) == ["timestamp-missing"]
    assert "timestamp" in event.body["mozdef"]["defaulted"]


def test_an_unreadable_time_is_kept():
    event = normalise({"timestamp": "yesterday", "date": "noon"})
    assert event.body["timestamp"] == RECEIVED
    assert event.body["details"] == {"original_timestamp": "yesterday", "date": "noon"}
    assert codes(event) == ["timestamp-unreadable"]
    other = body({"timestamp": "yesterday", "time": 1_795_514_000})
    assert other["timestamp"] == "2026-11-24T09:53:20.000000+00:00"
    assert other["details"] == {"timestamp": "yesterday"}


def test_the_offset_is_kept():
    event = body({"timestamp": "2026-11-24T11:00:00+02:00"})
    assert (event["utctimestamp"], event["mozdef"]["utcoffset"]) == ("2026-11-24T09:00:00.000000+00:00", 120)
    assert "utcoffset" not in body({"timestamp": "2026-11-24T09:00:00Z"})["mozdef"]
    assert "utcoffset" not in body({"timestamp": "2026-11-24T09:00:00"}, timezone="Europe/Lisbon")["mozdef"]


@pytest.mark.parametrize(
    ("sent", "expected", "tags"),
    [
        ("2026-11-24T10:10:00Z", [], []),
        ("2026-11-24T10:10:00.000001Z", ["timestamp-future"], ["clock-skew"]),
        ("2026-11-23T10:00:00Z", [], []),
        ("2026-11-23T09:59:59.999999Z", ["timestamp-old"], []),
    ],
)
def test_a_time_far_from_reception_is_noted(sent, expected, tags):
    event = normalise({"timestamp": sent})
    assert (codes(event), event.body["tags"]) == (expected, tags)
    assert codes(normalise({"timestamp": sent}, max_future="2h", max_age="2d")) == []


# 5.5

WORDS = {
    "EMERGENCY": "emergency emerg panic 0",
    "ALERT": "alert 1",
    "CRITICAL": "critical crit fatal 2",
    "ERROR": "error err failure high 3",
    "WARNING": "warning warn medium audit_failure 4",
    "NOTICE": "notice note low 5",
    "INFO": "info information informational inform normal default audit_success 6",
    "DEBUG": "debug trace verbose fine finer finest 7",
}


@pytest.mark.parametrize(
    ("word", "level"), [(w, level) for level, words in WORDS.items() for w in words.split()]
)
def test_every_word_and_number_has_its_level(word, level):
    for sent in (word, word.upper(), word.title(), f" {word} ", int(word) if word.isdigit() else word):
        event = normalise({"severity": sent, "timestamp": RECEIVED})
        assert event.body["severity"] == level
        assert event.body["details"] == {}
        assert codes(event) == []


@pytest.mark.parametrize("sent", ["loud", 8, -1, 2.5, True, "9"])
def test_an_unknown_severity_is_info_and_kept(sent):
    event = normalise({"severity": sent})
    assert event.body["severity"] == "INFO"
    assert event.body["details"] == {"original_severity": sent}
    assert "severity-unknown" in codes(event)
    assert "severity" not in event.body["mozdef"]["defaulted"]
    assert "severity" in body({})["mozdef"]["defaulted"]


# 5.6


@pytest.mark.parametrize(
    ("sent", "tags"),
    [
        ("vault, keys,,vault", ["vault", "keys"]),
        (["B", " a ", "B", "c,d"], ["B", "a", "c,d"]),
        ([1, True, None, "", [2, ["x"]], {"k": "v", "n": 1, "o": {}}], ["1", "true", "2", "x", "k=v", "n=1"]),
        ({"k": "v", "b": False}, ["k=v", "b=false"]),
        (5, ["5"]),
        (None, []),
    ],
)
def test_tags_are_distinct_texts(sent, tags):
    event = body({"tags": sent})
    assert event["tags"] == tags
    assert ("tags" in event["mozdef"]["defaulted"]) is (not tags)


def test_the_tags_of_all_spellings_are_united():
    event = normalise({"Tags": "a,b", "tags": ["b", "c"], "@TAGS": "d"})
    assert event.body["tags"] == ["a", "b", "c", "d"]
    assert "key-collision" not in codes(event)
    assert body(b'{"tags": "a,b", "tags": "c"}')["tags"] == ["a", "b", "c"]


def test_tags_are_cut_but_never_those_of_the_system():
    many = [str(number) for number in range(MOST + 1)]
    event = normalise({"tags": many, "timestamp": "2027-01-01T00:00:00Z"}, tags=["mine"])
    assert len(event.body["tags"]) == MOST
    assert event.body["tags"][-2:] == ["mine", "clock-skew"]
    assert "tags-cut" in codes(event)
    event = normalise({"tags": ["x" * 257]})
    assert event.body["tags"] == ["x" * 256]
    assert "tags-cut" in codes(event)


# 5.7


@pytest.mark.parametrize("name", ["details", "fields"])
def test_details_that_are_no_object(name):
    assert details({name: None}) == {}
    assert details({name: '{"A": 1, "a": 2}'}) == {"a": [1, 2]}
    for sent in ("text", 5, [1], True, "{broken", "[1]"):
        event = normalise({name: sent})
        assert event.body["details"] == {"message": sent}
        assert {"code": "details-not-object", "field": name} in event.body["mozdef"]["problems"]


@pytest.mark.parametrize(
    ("sent", "program"),
    [
        ({"program": "sshd"}, "sshd"),
        ({"sourcename": "C:\\Windows\\svc.EXE"}, "svc"),
        ({"appname": "/usr/sbin/cron[12]:"}, "cron"),
        ({"app_name": "a/"}, "a"),
        ({"syslog_identifier": "su"}, "su"),
        ({"processname": "/usr/bin/x"}, None),
        ({"processname": "/usr/bin/x", "category": "SysLog"}, "x"),
        ({"processname": "a", "program": "a"}, "a"),
        ({"processname": "a", "program": "b"}, "b"),
        ({"program": "a", "details": {"program": "c"}}, "c"),
    ],
)
def test_the_program_is_known_for_all_that_came_through_syslog(sent, program):
    assert details(sent).get("program") == program


def test_the_program_is_known_at_a_syslog_entrance():
    assert details({"processname": "/usr/bin/x"}, origin=SYSLOG)["program"] == "x"
    assert "program" not in details({}, origin=SYSLOG)


@pytest.mark.parametrize(
    ("sent", "success", "error"),
    [
        *((one, True, True) for one in (True, "true", "YES", "1", 1)),
        *((one, False, False) for one in (False, "False", "no", "0", 0)),
        ("success", True, False),
        ("Failure", False, True),
        ("maybe", "maybe", "maybe"),
        (2, 2, 2),
    ],
)
def test_success_and_error_are_booleans(sent, success, error):
    found = details({"details": {"success": sent, "error": sent}})
    assert (found["success"], found["error"]) == (success, error)
    assert (type(found["success"]), type(found["error"])) == (type(success), type(error))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("22", 22), ("0", 0), ("65535", 65535), ("65536", "65536"), ("x", "x"), (70000, 70000), ("", "")],
)
def test_ports_are_integers(sent, stored):
    found = details({"details": {"sourceport": sent, "destinationport": sent}})
    assert found == {"sourceport": stored, "destinationport": stored}


# 5.8


@pytest.mark.parametrize(
    ("sent", "summary"),
    [
        ({"details": {"message": " ", "msg": "m", "action": "a"}}, "m"),
        ({"details": {"event": {"original": "o"}, "eventname": "e"}}, "o"),
        ({"details": {"eventname": "e", "action": "a"}}, "e"),
        ({"details": {"action": "a"}}, "a"),
        (
            {"details": {"a": 1, "b": True, "c": {}, "d": None, "e": "x", "f": 0.5, "g": 5, "h": 6}},
            "a=1 b=true e=x f=0.5 g=5",
        ),
        ({"details": {"a": "x" * 300}}, "a=" + "x" * 254),
        ({}, "UNKNOWN"),
        ({"message": " one\r\ntwo\nthree\u2028four\tfive\x07 "}, "one two three four\ufffdfive\ufffd"),
    ],
)  # fmt: skip
def test_the_summary_is_one_line_of_something(sent, summary):
    assert body(sent)["summary"] == summary


# 5.9 and 7


def test_every_mandatory_field_is_there_and_the_defaults_are_listed():
    event = body({})
    assert event == {
        "timestamp": RECEIVED, "utctimestamp": RECEIVED, "receivedtimestamp": RECEIVED,
        "hostname": "UNKNOWN", "category": "UNKNOWN", "source": "UNKNOWN", "processname": "UNKNOWN",
        "processid": "UNKNOWN", "summary": "UNKNOWN", "severity": "INFO", "tags": [], "type": "event",
        "details": {}, "mozdefhostname": "siem1", "mozdef": event["mozdef"],
    }  # fmt: skip
    assert sorted(event["mozdef"]["defaulted"]) == sorted(
        [
            *("timestamp", "hostname", "category", "source", "processname", "processid"),
            *("summary", "severity", "tags", "details"),
        ]
    )  # fmt: skip


def test_the_peer_is_the_host_of_a_syslog_event_without_one():
    event = body({}, origin=SYSLOG)
    assert (event["hostname"], "hostname" in event["mozdef"]["defaulted"]) == ("192.0.2.1", True)
    assert body({}, origin=Origin(name="e", kind="http", peer="192.0.2.1"))["hostname"] == "UNKNOWN"
    event = body({}, origin=SYSLOG, fields={"hostname": "relay"})
    assert (event["hostname"], "hostname" in event["mozdef"]["defaulted"]) == ("relay", True)


def test_what_the_entrance_knows_is_added_where_the_sender_is_silent():
    fields = {
        "category": "syslog", "details.peer": "p", "details.sd.a.b": "deep", "tags": "q1,q2", "severity": "warn",
        "timestamp": 1_795_514_000, "processname": "x[5]:", "other": {"A": 1}, "source": None,
    }  # fmt: skip
    event = body({"details": {"peer": "mine"}, "tags": ["t"]}, fields=fields)
    assert (event["category"], event["severity"], event["processname"]) == ("syslog", "WARNING", "x")
    assert (event["processid"], event["timestamp"]) == ("5", "2026-11-24T09:53:20.000000+00:00")
    assert event["tags"] == ["t", "q1", "q2"]
    assert event["details"] == {"peer": "mine", "sd.a.b": "deep", "other": {"a": 1}, "program": "x"}
    assert not {"category", "severity", "timestamp"}.intersection(event["mozdef"]["defaulted"])
    mine = {"category": "mine", "severity": "err", "processname": "y", "timestamp": RECEIVED}
    event = body(mine, fields=fields)
    assert {name: event[name] for name in ("category", "severity", "processname")} == {
        "category": "mine", "severity": "ERROR", "processname": "y",
    }  # fmt: skip
    assert event["timestamp"] == RECEIVED


def test_fields_of_the_wrong_type_from_the_entrance_cost_nothing():
    fields = {"timestamp": "soon", "severity": "loud", "hostname": ["h"], "type": "squid"}
    event = normalise({}, fields=fields)
    assert "normaliser-error" not in codes(event)
    assert event.body["details"] == {"timestamp": "soon", "severity": "loud", "hostname": ["h"]}
    assert event.body["type"] == "squid"


def test_the_books_say_where_it_came_from():
    origin = Origin(name="bulk", kind="http", endpoint="_bulk", index="logs", peer="192.0.2.1", token="shop")
    book = body({}, origin=origin, sender_id="s1", replay_of="d1")["mozdef"]
    assert book["input"] == {
        "name": "bulk", "kind": "http", "endpoint": "_bulk", "index": "logs", "peer": "192.0.2.1",
        "sender_id": "s1", "token": "shop",
    }  # fmt: skip
    assert (book["worker"], book["replayed"], book["plugins"]) == ({"host": "siem1", "process": 7}, True, [])
    assert "replayed" not in body({})["mozdef"]
    assert body({})["mozdef"]["input"] == {"name": "events", "kind": "http", "endpoint": "events"}


def test_what_is_not_utf_8_is_replaced_and_noted():
    event = normalise(b'{"summary": "caf\xe9"}')
    assert event.body["summary"] == "caf\ufffd"
    assert "utf8-replaced" in codes(event)
    for raw in (b'{"shop": "a\\u0000b"}', b'{"shop": "a\\ud800b"}'):
        event = normalise(raw)
        assert event.body["details"]["shop"] == "a\ufffdb"
        assert {"code": "utf8-replaced", "field": "shop"} in event.body["mozdef"]["problems"]


def test_values_that_json_does_not_know_become_text():
    event = normalise({"a": b"caf\xc3\xa9", 5: "five", "t": (1, 2), "n": float("nan"), "big": 2**63})
    assert event.body["details"] == {
        "a": "caf\u00e9",
        "5": "five",
        "t": [1, 2],
        "n": "nan",
        "big": str(2**63),
    }
    assert codes(event) == ["timestamp-missing"]


class _Trap(dict):
    def items(self):
        raise RuntimeError("broken")


def test_an_internal_failure_is_an_event_with_the_raw_item(caplog):
    normaliser = Normaliser("siem1", 7)
    item = Item("0" * 26, RECEIVED_US, HTTP, b'{"a": "\xff"}')
    for _ in range(2):
        event = normaliser.normalise(_Trap(a=1), item, EntranceSettings())
    assert event.body["details"] == {"raw": '{"a": "\ufffd"}'}
    assert event.body["mozdef"]["problems"] == [{"code": "normaliser-error"}]
    assert normaliser.failures == 2
    assert len(caplog.records) == 1
    assert event.received_us == RECEIVED_US
