"""A CloudTrail record: who called which operation of which service, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mozdef_aws.members import at, is_time

_VERB: Final = re.compile(r"[A-Z][a-z0-9]*")
_READ_ONLY: Final = frozenset({"Describe", "Get", "List"})
_LONGEST_HTML: Final = 4_095


def is_record(node: object) -> bool:
    """Return whether an object is a record, keys in lower case.

    The notifications of S3 have the same members; their source is ``aws:s3``, that of a record a service's address.
    """
    if not isinstance(node, Mapping):
        return False
    name, source = node.get("eventname"), node.get("eventsource")
    return bool(
        name and isinstance(name, str) and source and isinstance(source, str) and source[:4] != "aws:"
    )


def decode(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the event that a record becomes, ``details`` among them."""
    details = dict(record)
    name, service = details["eventname"], details.pop("eventsource")
    moment = details.get("eventtime")
    fields = {
        "source": "cloudtrail",
        "category": "cloudtrail",
        "type": "cloudtrail",
        "severity": "INFO",
        "hostname": service,
    }
    if is_time(moment):
        fields["timestamp"] = details.pop("eventtime")
    address = details.get("sourceipaddress") or "unknown"
    name = details["eventname"] = name[:1].upper() + name[1:]
    fields["summary"] = f"{address} performed {name} in {service}"
    verb = _VERB.search(name)
    if verb is not None:
        details["eventverb"] = verb[0]
    details["eventreadonly"] = verb is not None and verb[0] in _READ_ONLY
    user = _user(record)
    if user is not None and not details.get("username"):
        details["username"] = user
    details["success"] = not details.get("errorcode")
    return {**fields, "details": details}


def _user(record: Mapping[str, Any]) -> str | None:
    """Return who called: the name, else the last part of the ARN, else the kind of identity."""
    for path in ("username", "arn", "type"):
        value = at(record.get("useridentity"), path)
        if value and isinstance(value, str):
            return re.split("[/:]", value)[-1] or value if path == "arn" else value
    return None


def shorten(details: dict[str, Any]) -> None:
    """Cut the HTML of a mail template, which says nothing and may be long."""
    request = details.get("requestparameters")
    if isinstance(request, dict):
        html = request.get("htmlpart")
        if isinstance(html, str) and len(html) > _LONGEST_HTML:
            details["requestparameters"] = {**request, "htmlpart": html[:_LONGEST_HTML]}
