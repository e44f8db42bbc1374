from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_aws import GuardDuty
from mozdef_aws.fields import TYPES
from mozdef_aws.finding import details_of, finding_in, parts_of

INTERFACE = {
    "networkInterfaceId": "eni-1",
    "privateDnsName": "ip-10-0-0-1.ec2.internal",
    "privateIpAddress": "10.0.0.1",
    "publicDnsName": "ec2-198-51-100-1.compute.example",
    "publicIp": "198.51.100.1",
    "subnetId": "subnet-1",
    "vpcId": "vpc-1",
}
INSTANCE = {
    "instanceId": "i-1",
    "instanceType": "t3.small",
    "launchTime": "2026-01-01T00:00:00Z",
    "platform": None,
    "iamInstanceProfile": {"arn": "arn:aws:iam::111122223333:instance-profile/web", "id": "AIPA1"},
    "tags": [{"key": "Name", "value": "Web-1"}, {"key": "Team", "value": "Shop"}],
    "instanceState": "running",
    "availabilityZone": "eu-west-1a",
    "imageId": "ami-1",
    "imageDescription": "Linux",
    "networkInterfaces": [INTERFACE, {"publicIp": "203.0.113.99"}],
}


def probe(address, port, name):
    return {
        "localPortDetails": {"port": port, "portName": name},
        "remoteIpDetails": {"ipAddressV4": address, "country": {"countryName": "X"}},
    }


PROBE = {
    "schemaVersion": "2.0",
    "accountId": "111122223333",
    "region": "eu-west-1",
    "partition": "aws",
    "id": "f1",
    "arn": "arn:aws:guardduty:eu-west-1:111122223333:detector/d1/finding/f1",
    "type": "Recon:EC2/PortProbeUnprotectedPort",
    "resource": {"resourceType": "Instance", "instanceDetails": INSTANCE},
    "service": {
        "serviceName": "guardduty",
        "detectorId": "d1",
        "action": {
            "actionType": "PORT_PROBE",
            "portProbeAction": {
                "blocked": False,
                "portProbeDetails": [probe("203.0.113.5", 22, "SSH"), probe("203.0.113.6", 3389, "RDP")],
            },
        },
        "resourceRole": "TARGET",
        "eventFirstSeen": "2026-01-02T02:00:00+01:00",
        "eventLastSeen": "2026-01-02T02:30:00.5Z",
        "archived": False,
        "count": 2,
    },
    "severity": 2,
    "createdAt": "2026-01-02T02:40:00.000Z",
    "updatedAt": "2026-01-02T02:45:00.000Z",
    "title": "Unprotected port on EC2 instance i-1 is being probed.",
    "description": "...",
}
BRIDGE = {
    "version": "0",
    "id": "e1",
    "detail-type": "GuardDuty Finding",
    "source": "aws.guardduty",
    "account": "111122223333",
    "time": "2026-01-02T02:50:00Z",
    "region": "eu-west-1",
    "resources": [],
    "detail": PROBE,
}


def finding(kind, action, resource=None, **service):
    made = copy.deepcopy(PROBE)
    made["type"] = kind
    made["service"]["action"] = action
    made["service"].update(service)
    if resource is not None:
        made["resource"] = resource
    return made


def connection(direction, remote="203.0.113.5", local=None):
    return {
        "actionType": "NETWORK_CONNECTION",
        "networkConnectionAction": {
            "connectionDirection": direction,
            "protocol": "TCP",
            "remoteIpDetails": {"ipAddressV4": remote},
            "remotePortDetails": {"port": 4000},
            **({"localIpDetails": {"ipAddressV4": local}} if local else {}),
            "localPortDetails": {"port": 22},
        },
    }


@pytest.fixture
def host(make_host):
    return make_host(GuardDuty)


def only(host, document):
    (event,) = host.process(document).events
    assert event.body["mozdef"]["problems"] == []
    return event


@pytest.mark.parametrize(
    "document",
    [
        BRIDGE,
        PROBE,
        {
            "source": "guardduty",
            "category": PROBE["type"],
            "timestamp": "2026-01-02T02:50:00Z",
            "details": PROBE,
        },
        {
            "source": "guardduty",
            "category": PROBE["type"],
            "details": {**{k: v for k, v in PROBE.items() if k != "service"}, "finding": PROBE["service"]},
        },
        {"source": "guardduty", "category": "guardduty", "message": json.dumps(BRIDGE)},
    ],
    ids=["bridge", "bucket", "envelope", "ancestor", "text"],
)
def test_a_finding_about_two_probes_becomes_two_events_in_every_shape(document, host):
    done = host.process(document)
    assert not done.dead_letters
    assert [event.id[-2:] for event in done.events] == ["-1", "-2"]
    found = [event.get("details") for event in done.events]
    assert [one["sourceipaddress"] for one in found] == ["203.0.113.5", "203.0.113.6"]
    assert [one["destinationport"] for one in found] == [22, 3389]
    assert [one["proto"] for one in found] == ["SSH", "RDP"]
    for event in done.events:
        assert event.get("source") == event.get("category") == "guardduty"
        assert event.get("tags")[:2] == ["aws", "guardduty"]
        assert event.get("severity") == "NOTICE"
        assert event.get("summary") == PROBE["title"]
        assert event.get("hostname") == INTERFACE["publicDnsName"]
        assert event.get("details.type") == "port_probe"
        assert event.body["mozdef"]["problems"] == []


def test_the_details_of_a_probe_are_exactly_these(host):
    event = host.process(BRIDGE).events[0]
    assert event.get("details") == {
        "type": "port_probe",
        "finding": "Recon:EC2/PortProbeUnprotectedPort",
        "resourcerole": "target",
        "findingid": "f1",
        "arn": PROBE["arn"],
        "awsaccountid": "111122223333",
        "awsregion": "eu-west-1",
        "resourcetype": "Instance",
        "detectorid": "d1",
        "gdeventcreatedts": "2026-01-02T02:40:00+00:00",
        "gdeventupdatedts": "2026-01-02T02:45:00+00:00",
        "gdeventfirstseents": "2026-01-02T01:00:00+00:00",
        "gdeventlastseents": "2026-01-02T02:30:00.500000+00:00",
        "instanceid": "i-1",
        "instancetype": "t3.small",
        "launchtime": "2026-01-01T00:00:00Z",
        "iamprofilearn": "arn:aws:iam::111122223333:instance-profile/web",
        "iamprofileid": "AIPA1",
        "state": "running",
        "az": "eu-west-1a",
        "imageid": "ami-1",
        "imagedesc": "Linux",
        **{name.lower(): value for name, value in INTERFACE.items()},
        "direction": "INBOUND",
        "sourceipaddress": "203.0.113.5",
        "destinationipaddress": "198.51.100.1",
        "destinationport": 22,
        "proto": "SSH",
        "gdseverity": 2,
        "awstags": ["name", "web-1", "team", "shop"],
    }
    assert event.get("timestamp") == "2026-01-02T02:50:00.000000+00:00"


@pytest.mark.parametrize(
    ("document", "timestamp"),
    [
        ({**BRIDGE, "time": None}, "2026-01-02T02:45:00.000000+00:00"),
        (PROBE, "2026-01-02T02:45:00.000000+00:00"),
        (
            {"source": "guardduty", "timestamp": "2026-01-02T01:00:00Z", "details": PROBE},
            "2026-01-02T01:00:00.000000+00:00",
        ),
    ],
)
def test_the_time_is_that_of_the_envelope_else_of_the_update(document, timestamp, host):
    assert host.process(document).events[0].get("timestamp") == timestamp


@pytest.mark.parametrize(
    ("number", "word"), [(1, "NOTICE"), (4, "WARNING"), (6.9, "WARNING"), (7, "CRITICAL"), (9.5, "ALERT")]
)
def test_the_number_of_a_finding_decides_its_severity(number, word, host):
    event = host.process({**BRIDGE, "detail": {**PROBE, "severity": number}}).events[0]
    assert (event.get("severity"), event.get("details.gdseverity")) == (word, number)


def test_an_inbound_brute_force_names_the_attacker_and_the_machine(host):
    event = only(
        host, finding("UnauthorizedAccess:EC2/SSHBruteForce", connection("INBOUND", local="10.0.0.1"))
    )
    assert event.get("details.sourceipaddress") == "203.0.113.5"
    assert event.get("details.destinationipaddress") == "198.51.100.1"
    assert event.get("details.destinationport") == 22
    assert event.get("details.net.publicip") == "198.51.100.1"


@pytest.mark.parametrize(
    ("kind", "source"), [("SSHBruteForce", "198.51.100.1"), ("RDPBruteForce", "10.0.0.1")]
)
def test_an_outbound_brute_force_has_its_ends_exchanged(kind, source, host):
    action = connection("OUTBOUND", local="10.0.0.1")
    event = only(host, finding(f"UnauthorizedAccess:EC2/{kind}", action))
    assert event.get("details.sourceipaddress") == source
    assert event.get("details.destinationipaddress") == "203.0.113.5"
    assert not event.exists("details.sourceport")
    assert not event.exists("details.destinationport")


def test_an_outbound_connection_starts_at_the_machine(host):
    event = only(host, finding("Trojan:EC2/BlackholeTraffic", connection("OUTBOUND", local="10.0.0.1")))
    assert event.get("details.sourceipaddress") == "198.51.100.1"
    assert event.get("details.destinationipaddress") == "203.0.113.5"
    assert (event.get("details.sourceport"), event.get("details.destinationport")) == (22, 4000)


def test_a_dns_finding_tells_what_was_asked(host):
    action = {"actionType": "DNS_REQUEST", "dnsRequestAction": {"domain": "evil.example", "protocol": "UDP"}}
    assert (
        only(host, finding("Backdoor:EC2/C&CActivity.B!DNS", action)).get("details.query") == "evil.example"
    )
    event = only(
        host, finding("Trojan:EC2/DGADomainRequest.B", action, additionalInfo={"domain": "worse.example"})
    )
    assert event.get("details.query") == "worse.example"


KEYS = {
    "resourceType": "AccessKey",
    "accessKeyDetails": {
        "accessKeyId": "AKIA1",
        "principalId": "P1",
        "userName": "joe",
        "userType": "IAMUser",
    },
}
CALL = {
    "actionType": "AWS_API_CALL",
    "awsApiCallAction": {
        "api": "ListBuckets",
        "serviceName": "s3.amazonaws.com",
        "remoteIpDetails": {"ipAddressV4": "", "ipAddressV6": "2001:db8::7"},
    },
}


def test_a_finding_about_calls_becomes_one_event_for_each(host):
    info = {"recentApiCalls": [{"api": "ListBuckets", "count": 2}, {"api": "GetUser", "count": 1}]}
    document = finding("UnauthorizedAccess:IAMUser/ConsoleLogin", CALL, KEYS, additionalInfo=info)
    events = host.process(document).events
    assert [event.get("details.apiname") for event in events] == ["ListBuckets", "GetUser"]
    for event in events:
        assert event.get("details.username") == "joe"
        assert event.get("details.usertype") == "IAMUser"
        assert event.get("details.accesskeyid") == "AKIA1"
        assert event.get("details.sourceipaddress") == "2001:db8::7"
        assert event.get("details.type") == "aws_api_call"


@pytest.mark.parametrize(
    ("kind", "info", "name"),
    [
        ("PenTest:IAMUser/KaliLinux", {}, "ListBuckets"),
        ("PenTest:IAMUser/KaliLinux", {"apiCalls": [{"api": "GetUser"}]}, "GetUser"),
        ("Recon:IAMUser/UserPermissions", {"apiCalls": [{"name": "GetUser", "count": 3}]}, "GetUser"),
        ("Exfiltration:IAMUser/AnomalousBehavior", {}, "ListBuckets"),
    ],
)
def test_the_name_of_a_call_comes_from_where_the_finding_has_it(kind, info, name, host):
    assert only(host, finding(kind, CALL, KEYS, additionalInfo=info)).get("details.apiname") == name


def test_a_finding_without_an_action_or_an_interface_is_kept(host):
    document = finding(
        "Execution:EC2/MaliciousFile",
        None,
        {"resourceType": "Instance", "instanceDetails": {"networkInterfaces": []}},
    )
    event = only(host, document)
    assert event.get("details.type") == "unknown"
    assert event.get("details.finding") == "Execution:EC2/MaliciousFile"
    assert event.get("details.direction") == "INBOUND"
    assert event.get("hostname") == "UNKNOWN"
    bare = only(host, {**BRIDGE, "detail": {"title": "odd"}})
    assert (bare.get("details.finding"), bare.get("summary")) == ("unknown", "odd")


def test_probes_that_are_none_leave_one_event(host):
    action = {"actionType": "PORT_PROBE", "portProbeAction": {"portProbeDetails": []}}
    event = only(host, finding("Recon:EC2/PortProbeUnprotectedPort", action))
    assert event.get("details.destinationipaddress") == "198.51.100.1"


def test_mapping_what_was_mapped_changes_nothing(host):
    event = host.process(BRIDGE).events[0]
    assert host.answer("on_event", event=event) is None


def test_an_event_that_only_talks_of_guardduty_is_left_alone(host, make_event):
    document = {
        "summary": "guardduty",
        "tags": ["guardduty"],
        "details": {"finding": {"action": {}}, "username": "guardduty"},
    }
    (event,) = host.process(document).events
    assert event.get("details") == make_event(document).get("details")
    assert event.body["mozdef"]["plugins"] == []


def test_the_table_has_the_56_types_of_the_specification():
    assert len(TYPES) == 56
    assert TYPES["Backdoor:EC2/DenialOfService.Dns"]["query"] == "finding.action.dnsrequestaction.domain"
    assert "sourceipaddress" not in TYPES["Recon:EC2/Portscan"]
    assert "direction" not in TYPES["Policy:IAMUser/RootCredentialUsage"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["action", "actiontype", "portprobeaction", "additionalinfo", "apicalls", "tags"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    kind=st.sampled_from(sorted(TYPES)) | st.text(),
    action=st.sampled_from(["PORT_PROBE", "AWS_API_CALL", "DNS_REQUEST"]) | JSON,
    service=st.dictionaries(st.text(max_size=4), JSON, max_size=3),
    resource=JSON,
    severity=JSON,
)
def test_no_finding_makes_the_mapper_raise_or_loses_the_finding(kind, action, service, resource, severity):
    details = {
        "service": {**service, "action": {"actiontype": action}},
        "resource": {"instancedetails": resource},
        "severity": severity,
        "type": kind,
    }
    before = copy.deepcopy(details)
    parts = parts_of(finding_in(details, ""))
    assert parts
    for part in parts:
        assert details_of(part)["finding"] == (kind or "unknown")
    assert repr(details) == repr(before)


def test_the_plugin_keeps_the_contract(run_contract, make_event):
    documents = (BRIDGE, {"source": "guardduty", "details": PROBE})
    run_contract(GuardDuty, events=[make_event(one, recognisers=GuardDuty.recognisers) for one in documents])
