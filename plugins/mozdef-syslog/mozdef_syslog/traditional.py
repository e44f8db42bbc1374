"""Messages in the manner of RFC 3164, which describes a custom and not a format: every part may be absent.

The odd forms are those of Python's ``SysLogHandler`` (neither time nor host), of glibc's ``syslog()`` (no host),
of rsyslog (ISO time), of Cisco's IOS and ASA (sequence numbers, marks before the time, a year, a zone, the host
before the time or with a colon, ``%FACILITY-SEVERITY-MNEMONIC`` instead of a program), of Meraki (version 1 and
seconds since 1970) and of the files that BusyBox writes (``authpriv.info`` between host and program).
"""

from __future__ import annotations

import re
from typing import Any

_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_ZONE = r"(?:UTC|GMT|[ECMP][SD]T|CES?T|EES?T|WES?T|BST|MSK|JST|IST|AE[SD]T)"
_TIME = re.compile(
    r"(?:(?:\d{1,10}: ){1,2}(?:([\w.\-]+): )?|([\w.\-]+): (?=[*.]))?[*.]?"
    rf"((?:\d{{4}} )?{_MONTH} [ 0-3]?\d (?:\d{{4}} )?{_CLOCK}(?: \d{{4}}(?= |: ))?"
    rf"(?: {_ZONE}(?=:)| [+-]\d\d:?\d\d(?=[ :]))?"
    rf"|\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?:Z| ?[+-]\d\d:?\d\d| UTC)?)(?:: ?| |\Z)"
)
_EPOCH = re.compile(r"1 (\d{10}(?:\.\d{1,9})?) (\S+) ")
_SEQUENCE = re.compile(r"(?:\d{1,10}: ){1,2}(?=%)")
_FORWARDED = re.compile(r"Message forwarded from ([^\s:]+): ")
_REPEATED = re.compile(r"(?:last )?message repeated \d+ times")
_HOST = re.compile(r"([\w.:\-@/%]+) +")
_HOST_COLON = re.compile(r"([\w.\-]+) ?: *(?=%)")
_LEVEL = re.compile(
    r"(kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local[0-7])"
    r"\.(emerg|alert|crit|err|warn|warning|notice|info|debug) +(?=\S)"
)
_CISCO = re.compile(r"%([A-Z0-9_]+(?:-[A-Z0-9_]+)*?)-([0-7])-([A-Z0-9_]+)(?=:)")
_TAG = re.compile(r'([^\s\[:="{}]+(?::+[^\s\[:="{}]+)*)(?:\[([^\]\s]*)\](?::\s?|\s|\Z)|:(?:\s|\Z))')
_TAG_TIGHT = re.compile(r"([A-Za-z][\w.\-]{0,31})(?:\[(\d+)\])?:(?![:/])")


def parse_traditional(text: str, *, has_priority: bool) -> dict[str, Any]:
    """Read what follows the priority, or the whole message when it had none. Every text means something."""
    fields: dict[str, Any] = {}
    if epoch := _EPOCH.match(text):
        fields["timestamp"], fields["hostname"] = epoch.groups()
        fields["summary"] = text[epoch.end() :]
        return fields
    if time := _TIME.match(text):
        fields["timestamp"] = time[3]
        text = text[time.end() :].lstrip(" ")
        if host := time[1] or time[2]:
            fields["hostname"] = host
        text = _take_host(text, fields)
        if not has_priority and (level := _LEVEL.match(text)):
            fields["facility"], fields["severity"] = level.groups()
            text = text[level.end() :]
    elif sequence := _SEQUENCE.match(text):
        text = text[sequence.end() :]
    if time or has_priority:
        text = _take_program(text, fields)
    if text:
        fields["summary"] = text
    return fields


def _take_host(text: str, fields: dict[str, Any]) -> str:
    """Take the host name from the front, unless what stands there is the program or the text, and return the rest."""
    if "hostname" in fields or _REPEATED.match(text):
        return text
    if forwarded := _FORWARDED.match(text):
        fields["hostname"] = forwarded[1]
        return text[forwarded.end() :]
    host = _HOST_COLON.match(text)
    if host is None and _TAG.match(text) is None:
        host = _HOST.match(text)
    if host is None:
        return text
    fields["hostname"] = host[1]
    return text[host.end() :]


def _take_program(text: str, fields: dict[str, Any]) -> str:
    """Take program and process number from the front and return the rest.

    A Cisco mnemonic stays in the text, which products are recognised by.
    """
    if cisco := _CISCO.match(text):
        fields["program"] = cisco[1]
        fields["details"] = {"msgid": cisco[0].removeprefix("%")}
        fields["severity"] = int(cisco[2])
        return text
    tag = _TAG.match(text) or _TAG_TIGHT.match(text)
    if tag is None:
        return text
    fields["program"] = tag[1]
    if tag[2]:
        fields["processid"] = tag[2]
    return text[tag.end() :].lstrip(" ")
