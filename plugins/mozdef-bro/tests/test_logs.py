"""Each of the 28 logs by an example, in every shape that records come in."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from mozdef_bro import Bro
from mozdef_bro.logs import LOGS

FLOW = {"id.orig_h": "10.9.8.7", "id.orig_p": 50_123, "id.resp_h": "2001:db8::25", "id.resp_p": 8443}
ENDS = {
    "sourceipaddress": "10.9.8.7",
    "sourceport": 50_123,
    "destinationipaddress": "2001:db8::25",
    "destinationport": 8443,
}
LINE = "10.9.8.7 -> 2001:db8::25:8443"
MOVED = {"id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"}


TOP = {
    "type": "nsm",
    "category": "bro",
    "eventsource": "nsm",
    "severity": "INFO",
    "source": "",
    "utctimestamp": "2023-11-14T22:13:20.125000+00:00",
}


class Example(NamedTuple):
    """What a record becomes: the members that are new or different, those that go, and the line."""

    log: str
    record: dict[str, Any]
    fields: dict[str, Any]
    gone: set[str]
    summary: str


EXAMPLES = [
    Example(
        "conn",
        {
            **FLOW,
            "proto": "tcp",
            "history": "ShADadFf",
            "orig_ip_bytes": 811,
            "resp_ip_bytes": 4_096,
            "duration": 0.25,
        },
        {**ENDS, "originipbytes": 811, "responseipbytes": 4_096},
        {*MOVED, "orig_ip_bytes", "resp_ip_bytes"},
        "10.9.8.7:50123 -> 2001:db8::25:8443 ShADadFf 811 bytes / 4096 bytes",
    ),
    Example(
        "conn",
        {**FLOW, "resp_cc": "PT", "orig_cc": "FR"},
        {**ENDS, "history": ""},
        {*MOVED, "resp_cc"},
        "10.9.8.7:50123 -> 2001:db8::25:8443  unknown bytes / unknown bytes",
    ),
    Example(
        "files",
        {
            "fuid": "FZ3x",
            "rx_hosts": ["10.9.8.7", "10.9.8.8"],
            "tx_hosts": ["203.0.113.4"],
            "source": "HTTP",
            "mime_type": "application/x-dosexec",
            "total_bytes": 7_001,
            "md5": "0cc175b9c0f1b6a831c399e269772661",
        },
        {
            "sourceipaddress": "10.9.8.7",
            "destinationipaddress": "203.0.113.4",
            "filesource": "HTTP",
            "filename": "unknown",
        },
        set(),
        "10.9.8.7 downloaded (MD5) 0cc175b9c0f1b6a831c399e269772661 MIME application/x-dosexec (7001 bytes) "
        "from 203.0.113.4 via HTTP",
    ),
    Example(
        "files",
        {"fuid": "FZ3y"},
        {
            "mime_type": "unknown",
            "filename": "unknown",
            "total_bytes": "0",
            "md5": "None",
            "filesource": "None",
        },
        set(),
        "unknown downloaded (MD5) None MIME unknown (0 bytes) from unknown via None",
    ),
    Example(
        "dns",
        {**FLOW, "query": "mail.lab.example", "qtype_name": "MX", "aa": False, "answers": ["a", "b"]},
        {**ENDS, "rcode_name": ""},
        MOVED,
        f"DNS MX type query {LINE}",
    ),
    Example(
        "dns",
        FLOW,
        {**ENDS, "qtype_name": "unknown", "query": "", "rcode_name": ""},
        MOVED,
        f"DNS unknown type query {LINE}",
    ),
    Example(
        "http",
        {**FLOW, "method": "PUT", "host": "shop.example", "uri": "/" + "u" * 2_000, "status_code": 201},
        {**ENDS, "uri": "/" + "u" * 1_023},
        MOVED,
        f"HTTP PUT {LINE}",
    ),
    Example(
        "http",
        FLOW,
        {**ENDS, "method": "", "host": "", "uri": "", "status_code": ""},
        MOVED,
        f"HTTP  {LINE}",
    ),
    Example("ssl", {**FLOW, "server_name": "db.example"}, ENDS, MOVED, f"SSL: {LINE}"),
    Example("ssl", FLOW, {**ENDS, "server_name": "2001:db8::25"}, MOVED, f"SSL: {LINE}"),
    Example(
        "dhcp",
        {"mac": "02:00:5e:10:00:01", "assigned_addr": "10.9.8.50", "lease_time": 3_600.0},
        {"mac": "02005e100001"},
        set(),
        "10.9.8.50 assigned to 02005e100001",
    ),
    Example("dhcp", {"msg_types": ["DISCOVER"]}, {}, set(), "unknown assigned to unknown"),
    Example("ftp", {**FLOW, "command": "RETR"}, {**ENDS, "user": ""}, MOVED, f"FTP: {LINE}"),
    Example("pe", {"os": "Windows 10"}, {"subsystem": ""}, set(), "PE file: Windows 10 "),
    Example(
        "smtp",
        {**FLOW, "tls": True, "subject": "minutes"},
        {**ENDS, "tls_encrypted": True},
        {*MOVED, "tls"},
        f"SMTP: {LINE}",
    ),
    Example("ssh", {**FLOW, "auth_success": False}, ENDS, MOVED, f"SSH: {LINE} success false"),
    Example("ssh", {**FLOW, "client": "SSH-2.0-x"}, ENDS, MOVED, f"SSH: {LINE}"),
    Example(
        "tunnel",
        {**FLOW, "tunnel_type": "Tunnel::GRE", "action": "Tunnel::DISCOVER"},
        ENDS,
        MOVED,
        f"{LINE} Tunnel::GRE Tunnel::DISCOVER",
    ),
    Example(
        "intel",
        {
            **FLOW,
            "seen.indicator": "evil.example",
            "seen.indicator_type": "Intel::DOMAIN",
            "seen.where": "DNS::IN_REQUEST",
            "seen.node": "worker-3",
            "sources": ["abuse.ch SSLBL"],
        },
        {
            **ENDS,
            "seenindicator": "evil.example",
            "seenindicatortype": "Intel::DOMAIN",
            "seenwhere": "DNS::IN_REQUEST",
            "seennode": "worker-3",
        },
        {*MOVED, "seen.indicator", "seen.indicator_type", "seen.where", "seen.node", "seen"},
        "Bro intel match of Intel::DOMAIN in DNS::IN_REQUEST",
    ),
    Example("intel", FLOW, {**ENDS, "seenindicator": ""}, MOVED, "Bro intel match of unknown in unknown"),
    Example(
        "known_certs",
        {"host": "10.9.8.7", "port_num": 443},
        {"serial": "0"},
        set(),
        "Certificate X509 seen from: 10.9.8.7:443",
    ),
    Example(
        "known_devices",
        {"mac": "02:00:5e:10:00:02"},
        {"dhcp_host_name": ""},
        set(),
        "New host: 02:00:5e:10:00:02",
    ),
    Example("known_hosts", {"host": "10.9.8.7"}, {}, set(), "New host: 10.9.8.7"),
    Example("known_hosts", {}, {"host": ""}, set(), "New host: "),
    Example(
        "known_services",
        {"host": "10.9.8.7", "port_num": 3306, "port_proto": "tcp", "service": ["MYSQL", "SSL"]},
        {},
        set(),
        "New service: MYSQL on host 10.9.8.7:3306 / tcp",
    ),
    Example(
        "known_services",
        {"service": []},
        {"service": ["Unknown"], "host": "unknown", "port_num": "0", "port_proto": ""},
        set(),
        "New service: Unknown on host unknown:0 / ",
    ),
    Example(
        "notice",
        {
            **FLOW,
            "note": "Scan::Address_Scan",
            "msg": "10.9.8.6 scanned",
            "sub": 'via "192.0.2.7", or 2001:db8::7, not 300.1.1.1',
            "actions": ["Notice::ACTION_LOG", "Notice::ACTION_EMAIL"],
            "src": "10.9.8.6",
            "dst": "2001:db8::9",
            "p": 22,
        },
        {
            **ENDS,
            "sourceipaddress": "10.9.8.6",
            "sourceipv4address": "10.9.8.6",
            "destinationipaddress": "2001:db8::9",
            "destinationipv6address": "2001:db8::9",
            "indicators": ["192.0.2.7", "2001:db8::7", "10.9.8.6"],
        },
        {*MOVED, "src", "dst"},
        "Scan::Address_Scan source 10.9.8.6 destination 2001:db8::9 port 22",
    ),
    Example(
        "notice",
        {"actions": "Notice::ACTION_LOG", "sub": "'192.0.2.7'", "src": "gateway", "dst": "printer"},
        {"note": "", "msg": "", "indicators": ["192.0.2.7"], "destinationipaddress": "printer"},
        {"dst"},
        " source unknown destination printer port unknown",
    ),
    Example(
        "notice",
        {"note": "A::B", "actions": ["Notice::ACTION_NONE"], "sub": "192.0.2.7", "msg": "m"},
        {"indicators": []},
        set(),
        "A::B source unknown destination unknown port unknown",
    ),
    Example("rdp", FLOW, {**ENDS, "cookie": "unknown"}, MOVED, f"RDP: {LINE}"),
    Example(
        "sip",
        {**FLOW, "method": "INVITE", "status_msg": "Ringing"},
        {**ENDS, "uri": "unknown"},
        MOVED,
        f"SIP: {LINE} method INVITE status Ringing",
    ),
    Example(
        "software",
        {
            "host": "10.9.8.7",
            "software_type": "HTTP::SERVER",
            "name": "nginx",
            "version.major": 1,
            "version.minor": 25,
            "version.minor2": 3,
            "version.addl": "rc",
        },
        {"parsed_version": {"major": 1, "minor": 25, "minor2": 3, "addl": "rc"}},
        {"version.major", "version.minor", "version.minor2", "version.addl", "version"},
        "Found HTTP::SERVER software on 10.9.8.7",
    ),
    Example(
        "software",
        {},
        {"name": "unparsed", "software_type": "unknown", "host": "", "parsed_version": {}},
        set(),
        "Found unknown software on ",
    ),
    Example(
        "socks",
        {**FLOW, "version": 5, "status": "succeeded"},
        ENDS,
        MOVED,
        f"SOCKSv5: {LINE} status succeeded",
    ),
    Example(
        "socks",
        FLOW,
        {**ENDS, "version": "0", "status": "unknown"},
        MOVED,
        f"SOCKSv0: {LINE} status unknown",
    ),
    Example(
        "dce_rpc",
        {**FLOW, "endpoint": "samr"},
        {**ENDS, "operation": "unknown"},
        MOVED,
        f"DCERPC: {LINE}",
    ),
    Example(
        "kerberos",
        {**FLOW, "request_type": "TGS", "client": "ines/LAB", "service": "cifs/fs", "success": True},
        {**ENDS, "error_msg": ""},
        MOVED,
        f"{LINE} request TGS success true",
    ),
    Example(
        "kerberos",
        FLOW,
        {**ENDS, "request_type": "unknown", "client": "unknown", "service": "unknown", "error_msg": ""},
        MOVED,
        f"{LINE} request unknown success unknown",
    ),
    Example(
        "ntlm",
        {
            **FLOW,
            "domainname": "LAB",
            "hostname": "WS7",
            "username": "ines",
            "success": False,
            "status": "BAD",
        },
        {**ENDS, "ntlm": {"domainname": "LAB", "hostname": "WS7", "username": "ines"}},
        {*MOVED, "domainname", "hostname", "username"},
        f"NTLM: {LINE} success false status BAD",
    ),
    Example(
        "ntlm",
        FLOW,
        {
            **ENDS,
            "ntlm": {"domainname": "unknown", "hostname": "unknown", "username": "unknown"},
            "status": "unknown",
        },
        MOVED,
        f"NTLM: {LINE} success unknown status unknown",
    ),
    Example(
        "smb_files",
        {
            **FLOW,
            "action": "SMB::FILE_OPEN",
            "path": r"\\fs\share",
            "times.accessed": 1_700_000_000.25,
            "times.changed": "1700000001",
            "times.created": -11_644_473_600,
            "times.modified": "never",
        },
        {
            **ENDS,
            "name": "",
            "smbtimes": {
                "accessed": "2023-11-14T22:13:20.250000+00:00",
                "changed": "2023-11-14T22:13:21+00:00",
                "created": "1601-01-01T00:00:00+00:00",
                "modified": "never",
            },
        },
        {*MOVED, "times.accessed", "times.changed", "times.created", "times.modified", "times"},
        f"SMB file: {LINE} SMB::FILE_OPEN",
    ),
    Example(
        "smb_files",
        FLOW,
        {**ENDS, "path": "", "name": "", "action": "", "smbtimes": {}},
        MOVED,
        f"SMB file: {LINE} ",
    ),
    Example(
        "smb_mapping",
        {**FLOW, "share_type": "DISK"},
        {**ENDS, "path": ""},
        MOVED,
        f"SMB mapping: {LINE} DISK",
    ),
    Example(
        "snmp",
        {**FLOW, "version": "2c", "get_bulk_requests": 3, "get_requests": "4", "get_responses": 7},
        {**ENDS, "set_requests": 0, "getreqestssum": "7"},
        MOVED,
        f"SNMPv2c: {LINE} (7 get / 0 set requests 7 get responses)",
    ),
    Example(
        "x509",
        {
            "basic_constraints.ca": False,
            "basic_constraints.path_len": 0,
            "certificate.exponent": "65537",
            "certificate.issuer": "CN=ca",
            "certificate.key_alg": "rsaEncryption",
            "certificate.key_length": 2_048,
            "certificate.key_type": "rsa",
            "certificate.sig_alg": "sha256WithRSAEncryption",
            "certificate.subject": "CN=x",
            "certificate.version": 3,
            "certificate.serial": "0F",
            "certificate.not_valid_before": 1_700_000_000.0,
            "certificate.not_valid_after": 253_402_300_799.0,
        },
        {
            "certificate": {
                "basic_constraints_ca": False,
                "basic_constraints_path_len": 0,
                "exponent": "65537",
                "issuer": "CN=ca",
                "key_alg": "rsaEncryption",
                "key_length": 2_048,
                "key_type": "rsa",
                "sig_alg": "sha256WithRSAEncryption",
                "subject": "CN=x",
                "version": 3,
                "serial": "0F",
                "not_valid_before": "2023-11-14T22:13:20+00:00",
                "not_valid_after": "9999-12-31T23:59:59+00:00",
            }
        },
        {
            *("basic_constraints.ca", "basic_constraints.path_len", "basic_constraints"),
            *("certificate.exponent", "certificate.issuer", "certificate.key_alg", "certificate.key_length"),
            *("certificate.key_type", "certificate.sig_alg", "certificate.subject", "certificate.version"),
            *("certificate.serial", "certificate.not_valid_before", "certificate.not_valid_after"),
        },
        "X509 certificate seen",
    ),
    Example("x509", {"fingerprint": "ab"}, {"certificate": {"serial": "0"}}, set(), "X509 certificate seen"),
    Example("weird", {**FLOW, "name": "bad_TCP"}, ENDS, MOVED, f"Zeek weird: {LINE}"),
    Example("reporter", {"message": "restarted", "level": "x"}, {}, set(), "Zeek reporter"),
]


def nested(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record whose dotted members are nested instead."""
    made: dict[str, Any] = {}
    for name, value in record.items():
        head, dot, rest = name.partition(".")
        if dot:
            made.setdefault(head, {})[rest] = value
        else:
            made[name] = value
    return made


def shouting(record: dict[str, Any]) -> dict[str, Any]:
    return {name.upper(): value for name, value in record.items()}


SHAPES = {
    "a": lambda log, record: {"category": "bro", "source": f"bro_{log}", "message": json.dumps(record)},
    "a, in capitals": lambda log, record: {
        "category": "Zeek",
        "source": f"zeek_{log}",
        "summary": json.dumps(shouting(record)),
        "file_name": "/var/spool/x",
        "legacy_msghdr": "h",
    },
    "a, nested": lambda log, record: {
        "category": "bro",
        "source": f"bro_{log}",
        "message": json.dumps(nested(record)),
    },
    "b": lambda log, record: {"_path": log, **record},
    "b, nested": lambda log, record: {"_path": log, **nested(record)},
    "c": lambda log, record: {"category": "zeek", "source": log, "details": record},
}


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{n}-{one.log}" for n, one in enumerate(EXAMPLES)])
def test_a_record_gives_its_fields_and_its_line_in_every_shape(example, make_host):
    record = {"ts": 1_700_000_000.125, "uid": "CUID", **example.record}
    documents = [shape(example.log, record) for shape in SHAPES.values()]
    expected = {**record, **example.fields}
    for name in example.gone - example.fields.keys():
        expected.pop(name, None)
    for shape, event in zip(SHAPES, make_host(Bro).process(*documents).events, strict=True):
        path = {"_path": example.log} if shape.startswith("b") else {}
        assert event.get("details") == {**expected, **path}, shape
        assert event.get("summary") == example.summary
        assert {name: event.get(name) for name in TOP} == {**TOP, "source": example.log}
        assert event.get("mozdef.problems") == []
        assert event.get("mozdef.plugins") == ["bro"]


def test_each_of_the_28_logs_has_an_example():
    assert {example.log for example in EXAMPLES} >= LOGS.keys()
    assert len(LOGS) == 28
