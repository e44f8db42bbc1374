"""The shapes: what some logs change in a record beyond names and defaults, in place (mappers.md section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mozdef_bro.members import address_version, first, take
from mozdef_bro.times import as_iso

_LONGEST_URI: Final = 1_024
_LOGGED: Final = "Notice::ACTION_LOG"
_AROUND: Final = "\"',"
_CERTIFICATE: Final = (
    "exponent",
    "issuer",
    "key_alg",
    "key_length",
    "key_type",
    "sig_alg",
    "subject",
    "version",
)


def files(record: dict[str, Any]) -> None:
    """Who downloaded is the source, who offered the file the destination."""
    for member, name in (("rx_hosts", "sourceipaddress"), ("tx_hosts", "destinationipaddress")):
        host = first(record.get(member))
        if host is not None:
            record[name] = host
    if record.get("filesource") is None:
        source = record.get("source")
        record["filesource"] = "None" if source is None else source


def http(record: dict[str, Any]) -> None:
    """Cut an address that is longer than anybody reads."""
    uri = record["uri"]
    if isinstance(uri, str):
        record["uri"] = uri[:_LONGEST_URI]


def ssl(record: dict[str, Any]) -> None:
    """A server that was not named is known by its address."""
    address = record.get("destinationipaddress")
    if record.get("server_name") is None and address is not None:
        record["server_name"] = address


def dhcp(record: dict[str, Any]) -> None:
    """Write hardware addresses without colons."""
    mac = record.get("mac")
    if isinstance(mac, str):
        record["mac"] = mac.replace(":", "")


def known_services(record: dict[str, Any]) -> None:
    """A service has a name, if only ``Unknown``."""
    if not record.get("service"):
        record["service"] = ["Unknown"]


def notice_ends(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a notice's line calls its ends; those of the record itself go away."""
    source = record.get("src")
    return {"_src": source if address_version(source) else None, "_dst": record.get("dst")}


def notice(record: dict[str, Any]) -> None:
    """Collect the addresses that a notice is about, and name its ends as in every event."""
    indicators: list[Any] = []
    actions, sub = record.get("actions"), record["sub"]
    if isinstance(sub, str) and _LOGGED in (actions if isinstance(actions, list) else [actions]):
        words = (word.strip(_AROUND) for word in sub.split())
        indicators.extend(word for word in words if address_version(word))
    source = record.get("src")
    if address_version(source):
        indicators.append(source)
        _set_end(record, "src", "source")
    if isinstance(record.get("dst"), str):
        _set_end(record, "dst", "destination")
    record["indicators"] = indicators


def _set_end(record: dict[str, Any], member: str, end: str) -> None:
    value = record.pop(member)
    record[f"{end}ipaddress"] = value
    version = address_version(value)
    if version is not None:
        record[f"{end}ipv{version}address"] = value


def software(record: dict[str, Any]) -> None:
    """Put the parts of a version into an object of their own."""
    _gather(record, "version", ("addl", "major", "minor", "minor2", "minor3"), "parsed_version")


def ntlm(record: dict[str, Any]) -> None:
    """Put who asked into an object: a name that a client claims is not that of the event's host or user."""
    names = _object(record, "ntlm")
    for name in ("domainname", "hostname", "username"):
        value = take(record, name)
        if value is not None:
            names[name] = value
        else:
            names.setdefault(name, "unknown")


def smb_files(record: dict[str, Any]) -> None:
    """Put the times of a file into an object, as times."""
    times = _gather(record, "times", ("accessed", "changed", "created", "modified"), "smbtimes")
    _write_times(times, times)


def snmp(record: dict[str, Any]) -> None:
    """Count the questions."""
    total = _count(record["get_bulk_requests"]) + _count(record["get_requests"])
    record["getreqestssum"] = str(total)


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def x509(record: dict[str, Any]) -> None:
    """Put what is known of a certificate into an object."""
    certificate = _gather(
        record, "certificate", (*_CERTIFICATE, "serial", "not_valid_before", "not_valid_after"), "certificate"
    )
    for name in ("ca", "path_len"):
        value = take(record, f"basic_constraints.{name}")
        if value is not None:
            certificate[f"basic_constraints_{name}"] = value
    _write_times(certificate, ("not_valid_before", "not_valid_after"))
    if certificate.get("serial") is None:
        certificate["serial"] = "0"


def _gather(record: dict[str, Any], prefix: str, names: Iterable[str], target: str) -> dict[str, Any]:
    """Move members of an object, written with dots or nested, into another, which is there in any case."""
    found = {name: take(record, f"{prefix}.{name}") for name in names}
    gathered = _object(record, target)
    gathered.update((name, value) for name, value in found.items() if value is not None)
    return gathered


def _object(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object of a name, a new one where there is none; what else stands there becomes its member."""
    value = record.get(name)
    if isinstance(value, dict):
        return value
    inner: dict[str, Any] = {} if value is None else {name: value}
    record[name] = inner
    return inner


def _write_times(times: dict[str, Any], names: Iterable[str]) -> None:
    for name in list(names):
        text = as_iso(times.get(name))
        if text is not None:
            times[name] = text
