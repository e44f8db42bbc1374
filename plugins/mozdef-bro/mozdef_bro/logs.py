"""The logs: what each of 28 changes in its records, and the line that it makes of them (mappers.md section 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mozdef_bro import shapes
from mozdef_bro.members import Parts, take

Shape = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Log:
    """One log.

    :param summary: its line, with members in braces; ``{flow}`` is the connection.
    :param defaults: the values of members that a record lacks.
    :param moves: new names of members.
    :param shape: what else becomes of a record; it is called after the moves and the defaults.
    :param quoted: names that the line uses for what is taken from the record before its shape changes it.
    """

    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    moves: Mapping[str, str] = field(default_factory=dict)
    shape: Shape | None = None
    quoted: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None


LOGS: Final[Mapping[str, Log]] = {
    "conn": Log(
        "{sourceipaddress}:{sourceport} -> {destinationipaddress}:{destinationport} {history} "
        "{originipbytes} bytes / {responseipbytes} bytes",
        {"history": ""},
        {"orig_ip_bytes": "originipbytes", "resp_ip_bytes": "responseipbytes"},
    ),
    "files": Log(
        "{rx_hosts} downloaded (MD5) {md5} MIME {mime_type} ({total_bytes} bytes) from {tx_hosts} via {filesource}",
        {"mime_type": "unknown", "filename": "unknown", "total_bytes": "0", "md5": "None"},
        shape=shapes.files,
    ),
    "dns": Log(
        "DNS {qtype_name} type query {flow}", {"qtype_name": "unknown", "query": "", "rcode_name": ""}
    ),
    "http": Log(
        "HTTP {method} {flow}", {"method": "", "host": "", "uri": "", "status_code": ""}, shape=shapes.http
    ),
    "ssl": Log("SSL: {flow}", shape=shapes.ssl),
    "dhcp": Log("{assigned_addr} assigned to {mac}", shape=shapes.dhcp),
    "ftp": Log("FTP: {flow}", {"command": "", "user": ""}),
    "pe": Log("PE file: {os} {subsystem}", {"os": "", "subsystem": ""}),
    "smtp": Log("SMTP: {flow}", moves={"tls": "tls_encrypted"}),
    "ssh": Log("SSH: {flow}"),
    "tunnel": Log("{flow} {tunnel_type} {action}", {"tunnel_type": "", "action": ""}),
    "intel": Log(
        "Bro intel match of {seenindicatortype} in {seenwhere}",
        {"seenindicator": ""},
        {
            "seen.indicator": "seenindicator",
            "seen.node": "seennode",
            "seen.where": "seenwhere",
            "seen.indicator_type": "seenindicatortype",
        },
    ),
    "known_certs": Log("Certificate X509 seen from: {host}:{port_num}", {"serial": "0"}),
    "known_devices": Log("New host: {mac}", {"mac": "", "dhcp_host_name": ""}),
    "known_hosts": Log("New host: {host}", {"host": ""}),
    "known_services": Log(
        "New service: {service} on host {host}:{port_num} / {port_proto}",
        {"host": "unknown", "port_num": "0", "port_proto": ""},
        shape=shapes.known_services,
    ),
    "notice": Log(
        "{note} source {_src} destination {_dst} port {p}",
        {"sub": "", "msg": "", "note": ""},
        shape=shapes.notice,
        quoted=shapes.notice_ends,
    ),
    "rdp": Log("RDP: {flow}", {"cookie": "unknown"}),
    "sip": Log(
        "SIP: {flow} method {method} status {status_msg}",
        {"status_msg": "unknown", "uri": "unknown", "method": "unknown"},
    ),
    "software": Log(
        "Found {software_type} software on {host}",
        {"name": "unparsed", "software_type": "unknown", "host": ""},
        shape=shapes.software,
    ),
    "socks": Log("SOCKSv{version}: {flow} status {status}", {"version": "0", "status": "unknown"}),
    "dce_rpc": Log(
        "DCERPC: {flow}",
        {"endpoint": "unknown", "operation": "unknown"},
        {"sent_endpoint": "endpoint"},  # what the normaliser makes of a sender's field of that name
    ),
    "kerberos": Log(
        "{flow} request {request_type} success {success}",
        {"request_type": "unknown", "client": "unknown", "service": "unknown", "error_msg": ""},
    ),
    "ntlm": Log("NTLM: {flow} success {success} status {status}", {"status": "unknown"}, shape=shapes.ntlm),
    "smb_files": Log(
        "SMB file: {flow} {action}", {"path": "", "name": "", "action": ""}, shape=shapes.smb_files
    ),
    "smb_mapping": Log("SMB mapping: {flow} {share_type}", {"share_type": "", "path": ""}),
    "snmp": Log(
        "SNMPv{version}: {flow} ({getreqestssum} get / {set_requests} set requests {get_responses} get responses)",
        {
            "version": "Unknown",
            **dict.fromkeys(("get_bulk_requests", "get_requests", "set_requests", "get_responses"), 0),
        },
        shape=shapes.snmp,
    ),
    "x509": Log("X509 certificate seen", shape=shapes.x509),
}


def read_log(name: str, record: dict[str, Any]) -> str:
    """Change a record as its log wants it, in place, and return its line.

    :param name: of the log; one that is not among :data:`LOGS` changes nothing.
    :param record: its connection has the names of events already.
    """
    log = LOGS.get(name)
    if log is None:
        ends = ("sourceipaddress", "destinationipaddress")
        known = any(record.get(end) is not None for end in ends)
        return f"Zeek {name}: {Parts(record)['flow']}" if known else f"Zeek {name}"
    for path, new in log.moves.items():
        value = take(record, path)
        if value is not None:
            record[new] = value
    for member, default in log.defaults.items():
        if record.get(member) is None:
            record[member] = default
    quoted = {} if log.quoted is None else log.quoted(record)
    if log.shape is not None:
        log.shape(record)
    summary = log.summary.format_map(Parts({**record, **quoted} if quoted else record))
    if name == "ssh" and record.get("auth_success") is not None:
        summary += f" success {Parts(record)['auth_success']}"
    return summary
