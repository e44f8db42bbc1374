from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_aws import CloudTrail
from mozdef_aws.members import at, lowered
from mozdef_aws.polymorphic import PATHS, plan, wrap
from mozdef_aws.record import decode

STOP = {
    "eventVersion": "1.08",
    "userIdentity": {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLE:ines",
        "arn": "arn:aws:sts::111122223333:assumed-role/ops/ines",
        "accountId": "111122223333",
    },
    "eventTime": "2026-01-02T03:00:00Z",
    "eventSource": "cloudtrail.amazonaws.com",
    "eventName": "StopLogging",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "2001:db8::7",
    "userAgent": "aws-cli/2.15",
    "requestParameters": {"name": "arn:aws:cloudtrail:eu-west-1:111122223333:trail/main", "filter": None},
    "responseElements": None,
    "eventID": "b1c5a1d0-0000-4000-8000-000000000001",
    "readOnly": False,
    "recipientAccountId": "111122223333",
}
DENIED = {
    **STOP,
    "eventName": "describeInstances",
    "eventSource": "ec2.amazonaws.com",
    "errorCode": "AccessDenied",
    "userIdentity": {"type": "IAMUser", "userName": "joe", "arn": "arn:aws:iam::111122223333:user/joe"},
    "responseElements": {"credentials": {"accessKeyId": "AKIAEXAMPLE"}, "state": "ok", "other": [1]},
}


@pytest.fixture
def host(make_host):
    return make_host(CloudTrail)


def test_a_record_becomes_an_event_with_what_the_rules_read(host):
    (event,) = host.process(STOP).events
    top = {name: event.get(name) for name in ("source", "category", "type", "severity", "hostname")}
    assert top == {
        **dict.fromkeys(("source", "category", "type"), "cloudtrail"),
        "severity": "INFO",
        "hostname": "cloudtrail.amazonaws.com",
    }
    assert event.get("timestamp") == "2026-01-02T03:00:00.000000+00:00"
    assert event.get("summary") == "2001:db8::7 performed StopLogging in cloudtrail.amazonaws.com"
    details = event.get("details")
    assert details["eventname"] == "StopLogging"
    assert details["eventverb"] == "Stop"
    assert details["eventreadonly"] is False
    assert details["username"] == "ines"
    assert details["success"] is True
    assert details["sourceipaddress"] == "2001:db8::7"
    assert details["requestparameters"] == {
        "name": STOP["requestParameters"]["name"],
        "filter": {"raw_value": "null"},
    }
    assert details["useridentity"]["principalid"] == "AROAEXAMPLE:ines"
    assert "eventsource" not in details
    assert event.body["mozdef"]["problems"] == []
    assert event.body["mozdef"]["plugins"] == ["cloudtrail"]


def test_a_refused_call_says_so_and_answers_are_wrapped(host):
    (event,) = host.process(DENIED).events
    details = event.get("details")
    assert (details["eventname"], details["eventverb"]) == ("DescribeInstances", "Describe")
    assert details["eventreadonly"] is True
    assert (details["username"], details["success"], details["errorcode"]) == ("joe", False, "AccessDenied")
    assert details["responseelements"] == {
        "credentials": {"raw_value": '{"accesskeyid": "AKIAEXAMPLE"}'},
        "state": {"raw_value": '"ok"'},
        "other": [1],
    }


@pytest.mark.parametrize(
    ("identity", "user"),
    [
        ({"type": "Root", "arn": "arn:aws:iam::111122223333:root"}, "root"),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "AWSService"),
        ({}, None),
        ("anonymous", None),
    ],
)
def test_a_caller_without_a_name_is_known_by_the_arn_or_the_kind(identity, user, host):
    (event,) = host.process({**STOP, "userIdentity": identity}).events
    assert event.get("details.username") == user


def test_each_record_of_a_file_becomes_an_event_of_its_own(host):
    done = host.process({"Records": [STOP, DENIED, "torn"]})
    assert [event.get("details.eventname") for event in done.events] == [
        "StopLogging",
        "DescribeInstances",
        None,
    ]
    assert [event.id[-2:] for event in done.events] == ["-1", "-2", "-3"]
    assert done.events[1].get("details.requestparameters.filter") == {"raw_value": "null"}
    assert all(event.get("timestamp").startswith("2026-01-02T03:00") for event in done.events[:2])
    assert all(event.get("details.records") is None for event in done.events[:2])
    assert done.events[2].get("details.records") == ["torn"]


@pytest.mark.parametrize("record", [STOP, {"Records": [STOP]}], ids=["record", "file"])
def test_a_wrapped_record_is_read_from_details_and_from_the_message(record, host):
    wrapped = [
        {"category": "cloudtrail", "source": "cloudtrail", "details": record},
        {"category": "cloudtrail", "message": json.dumps(record), "tags": ["prod"]},
    ]
    events = host.process(*wrapped).events
    assert [event.get("details.eventname") for event in events] == ["StopLogging", "StopLogging"]
    assert [event.get("source") for event in events] == ["cloudtrail", "cloudtrail"]
    assert events[1].get("tags") == ["prod"]
    assert all(event.get("summary").startswith("2001:db8::7 performed") for event in events)


@pytest.mark.parametrize("moment", ["yesterday", "2026-W01-5", "2026-01-02", "20260102T030405Z"])
def test_a_time_that_cannot_be_read_costs_only_the_time(moment, host):
    (event,) = host.process({**STOP, "eventTime": moment}).events
    assert event.get("details.eventverb") == "Stop"
    assert event.get("details.eventtime") == moment
    assert "timestamp" in event.defaulted
    assert event.body["mozdef"]["problems"] == []


def test_the_html_of_a_mail_template_is_cut(host):
    (event,) = host.process({**STOP, "requestParameters": {"htmlPart": "x" * 5_000, "a": 1}}).events
    assert event.get("details.requestparameters") == {"htmlpart": "x" * 4_095, "a": 1}


def test_a_site_adds_its_own_polymorphic_members(make_host):
    host = make_host((CloudTrail, {"polymorphic": ["details.requestParameters.name", "useridentity.arn"]}))
    (event,) = host.process(STOP).events
    assert event.get("details.requestparameters.name").keys() == {"raw_value"}
    assert event.get("details.useridentity.arn").keys() == {"raw_value"}


def test_mapping_what_was_mapped_changes_nothing(host, make_event):
    (once,) = host.process(STOP).events
    assert host.answer("on_event", event=once) is None


@pytest.mark.parametrize(
    "document",
    [
        {"summary": "x", "details": {"records": [{"name": "track 1"}], "username": "cloudtrail"}},
        {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}]},
        {"eventname": "login", "summary": "of another product"},
    ],
)
def test_an_event_of_something_else_is_left_alone(document, host, make_event):
    (event,) = host.process(document).events
    assert event.body["mozdef"]["plugins"] == []
    assert event.get("details") == make_event(document).get("details")


def test_there_are_the_73_paths_of_the_specification():
    assert len(PATHS) == len(set(PATHS)) == 73
    assert sum(path.startswith("requestparameters.") for path in PATHS) == 50
    assert sum(path.startswith("responseelements.") for path in PATHS) == 20


def nested(path, value):
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: not (isinstance(value, dict) and value.keys() == {"raw_value"}))


@given(path=st.sampled_from(PATHS), value=JSON, literal=st.booleans())
def test_whatever_stands_at_a_path_is_kept_as_its_json_text(path, value, literal):
    details = {path: value} if literal else nested(path, value)
    wrap(details, plan(PATHS))
    shortest = next(
        other
        for other in sorted(PATHS, key=len)
        if f"{path}.".startswith(f"{other}.") and (other == path or not literal)
    )
    assert json.loads(at(details, shortest)["raw_value"]) == (
        value if shortest == path else nested(path.removeprefix(f"{shortest}."), value)
    )
    again = json.loads(json.dumps(details))
    wrap(again, plan(PATHS))
    assert again == details


def test_a_path_that_meets_a_list_on_its_way_is_passed_over():
    details = {"requestparameters": {"bucketpolicy": {"statement": [{"principal": {"aws": "*"}}]}}}
    before = json.loads(json.dumps(details))
    wrap(details, plan(PATHS))
    assert details == before


@given(record=st.dictionaries(st.sampled_from([name.lower() for name in STOP]), JSON, max_size=8))
def test_no_record_makes_the_decoder_raise(record):
    fields = decode({**record, "eventname": "x", "eventsource": "y"})
    assert fields["details"]["eventname"] == "X"


def test_keys_of_a_record_in_a_message_follow_the_rules_of_all_keys():
    sent = {"A": [{"B.c": 1}], "a": 2, ".tag.": {"@X": None}, "": 0}
    assert lowered(sent) == {"a": [{"b.c": 1}, 2], "tag": {"x": None}, "_empty": 0}


def test_the_plugin_keeps_the_contract(run_contract, make_event):
    wrapped = make_event({"category": "cloudtrail", "details": DENIED})
    deep = make_event(
        {**STOP, "requestParameters": {"distributionConfig": {"callerReference": "x"}}},
        recognisers=CloudTrail.recognisers,
    )
    run_contract(CloudTrail, events=[wrapped, deep, make_event({"Records": [STOP, None, 3]})])
