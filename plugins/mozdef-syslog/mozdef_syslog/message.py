"""One syslog message, read into the names that the normaliser takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from mozdef_core import InvalidItemError
from mozdef_syslog.structured import parse_structured
from mozdef_syslog.traditional import parse_traditional

_PRIORITY = re.compile(r"<(\d{1,3})>\s*")
_STRUCTURED = re.compile(r"[1-9]\d? \d{4}-\d\d-\d\dT")
_COOKIE = re.compile(r"(?:@cee:)?\s*(?=\{)")
_SECOND_RANK = {
    "timestamp": "date",
    "hostname": "logsource",
    "severity": "priority",
    "facility": "syslogfacilityvalue",
    "program": "syslog_identifier",
    "processid": "_pid",
}


def parse_message(raw: bytes, *, json_in_message: bool = False) -> Mapping[str, Any]:
    """Read a message of either RFC, with or without a priority: from the network, or a line of a log file.

    A message of RFC 5424 without a priority, as templates for files write it, is known by its full time.

    Severity and facility are numbers, which the normaliser names. Time, host, program and process number are
    absent where the message does not say them.

    :param json_in_message: read a text that is a JSON object as the event's own fields. The header's values are
        then given under aliases of the lowest rank, so that the object's win over them.
    :raises InvalidItemError: nothing is there beside blanks and a priority.
    """
    text = raw.decode("utf-8", "replace").strip("\ufeff \t\r\n\0")
    priority = _PRIORITY.match(text)
    known = priority is not None and int(priority[1]) <= 191
    if priority is not None and known:
        text = text[priority.end() :]
    if not text:
        raise InvalidItemError("empty-message", "the message is empty, at least a text is required")
    structured = parse_structured(text) if known or _STRUCTURED.match(text) else None
    fields = structured or parse_traditional(text, has_priority=known)
    if priority is not None and known:
        fields["facility"], fields["severity"] = divmod(int(priority[1]), 8)
    if json_in_message and (own := _read_object(fields.get("summary", ""))) is not None:
        return _join(own, fields)
    return fields


def _read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that the text is, behind an optional ``@cee:``, or None."""
    cookie = _COOKIE.match(text)
    if cookie is None:
        return None
    try:
        value = orjson.loads(text[cookie.end() :].encode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _join(own: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    """Return the object's fields with the header's at second rank."""
    details: Mapping[str, Any] = header.get("details", {})
    joined = {f"details.{name}": value for name, value in details.items()}
    joined |= {second: header[name] for name, second in _SECOND_RANK.items() if name in header}
    return joined | own
