"""A finding of GuardDuty: its shapes, its parts, and the details that each part becomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from mozdef_aws.fields import TIMES, fields_of
from mozdef_aws.members import at, in_utc

_INTERFACES: Final = "networkinterfaces"
_LEVELS: Final = ((4, "NOTICE"), (7, "WARNING"), (9, "CRITICAL"))


def finding_in(details: Mapping[str, Any], category: str) -> dict[str, Any] | None:
    """Return the finding that an event holds, with its service object as ``finding``; None when it holds none.

    :param category: of the event, which is the finding's type where a sender put it into an envelope.
    """
    inner = details.get("detail")
    sent = inner if isinstance(inner, dict) else details
    context = next((sent[name] for name in ("finding", "service") if isinstance(sent.get(name), dict)), None)
    if context is None and not isinstance(sent.get("resource"), dict) and sent is details:
        return None
    finding = {name: value for name, value in sent.items() if name != "service"}
    kinds = (sent.get("type"), category if ":" in category else None, sent.get("category"))
    finding["finding"] = context or {}
    finding["category"] = next((kind for kind in kinds if kind and isinstance(kind, str)), "unknown")
    return finding


def action_of(finding: Mapping[str, Any]) -> str:
    """Return the kind of action that was seen, in capitals; ``UNKNOWN`` where the finding does not say."""
    return str(at(finding, "finding.action.actiontype") or "unknown").upper()


def parts_of(finding: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the finding once for each probe or call that it tells of; others are one part."""
    action = action_of(finding)
    context = finding["finding"]
    if action == "PORT_PROBE":
        return _each(finding, "probeevent", at(context, "action.portprobeaction.portprobedetails"))
    if action != "AWS_API_CALL":
        return [_with_interface(finding)]
    calls = at(context, "additionalinfo.recentapicalls") or at(context, "additionalinfo.apicalls")
    return _each(finding, "apicalls", calls or at(context, "action.awsapicallaction"), as_sent=True)


def _each(
    finding: dict[str, Any], name: str, elements: object, *, as_sent: bool = False
) -> list[dict[str, Any]]:
    base = finding if as_sent else _with_interface(finding)
    found = elements if isinstance(elements, list) else [elements] if elements else []
    if not found:
        return [base]
    return [{**base, "finding": {**base["finding"], name: element}} for element in found]


def _with_interface(finding: dict[str, Any]) -> dict[str, Any]:
    """Return the finding with the first network interface of its machine in place of the list of them."""
    instance = at(finding, "resource.instancedetails")
    interfaces = instance.get(_INTERFACES) if isinstance(instance, dict) else None
    if not isinstance(interfaces, list):
        return finding
    chosen = {_INTERFACES: interfaces[0]} if interfaces else {}
    rest = {name: value for name, value in instance.items() if name != _INTERFACES}
    return {**finding, "resource": {**finding["resource"], "instancedetails": {**rest, **chosen}}}


def severity_of(finding: Mapping[str, Any]) -> tuple[float, str] | None:
    """Return the number that the finding gives its severity, and the word for it; None where it gives none."""
    sent = finding.get("severity")
    try:
        number = float(sent) if isinstance(sent, str | int | float) and not isinstance(sent, bool) else None
    except (ValueError, OverflowError):
        return None
    if number is None or not math.isfinite(number):
        return None
    return number, next((word for limit, word in _LEVELS if number < limit), "ALERT")


def details_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of the event that a part of a finding becomes."""
    kind = part["category"]
    details: dict[str, Any] = {"type": action_of(part).lower(), "finding": kind}
    role = at(part, "finding.resourcerole")
    if isinstance(role, str):
        details["resourcerole"] = role.lower()
    for name, path in fields_of(kind, part).items():
        value = at(part, path)
        if not value and path.endswith(".ipaddressv4"):
            value = at(part, f"{path[:-2]}v6") or value
        if value is not None:
            details[name] = in_utc(value) if name in TIMES else value
    if severity_of(part) is not None:
        details["gdseverity"] = part["severity"]
    domain = at(details, "miscinfo.domain")
    if domain is not None:
        details["query"] = domain
    if "tags" in details:
        details["awstags"] = _flat(details.pop("tags"))
    _complete(details, kind)
    return details


def _complete(details: dict[str, Any], kind: str) -> None:
    """Put source and destination the way that the direction says, and the machine's own address where it is known."""
    direction = details["direction"] = details.get("direction") or "INBOUND"
    if direction == "OUTBOUND" and kind.endswith(("/SSHBruteForce", "/RDPBruteForce")):
        source, destination = (details.pop(f"{end}ipaddress", None) for end in ("source", "destination"))
        if destination is not None:
            details["sourceipaddress"] = destination
        if source is not None:
            details["destinationipaddress"] = source
        details.pop("sourceport", None)
        details.pop("destinationport", None)
    ours = {"INBOUND": "destinationipaddress", "OUTBOUND": "sourceipaddress"}.get(direction)
    if ours is not None and not details.get(ours) and details.get("publicip"):
        details[ours] = details["publicip"]


def _flat(tags: object) -> list[str]:
    """Return all values of a machine's tags in lower case."""
    if isinstance(tags, dict):
        return [text for value in tags.values() for text in _flat(value)]
    if isinstance(tags, list):
        return [text for value in tags for text in _flat(value)]
    return [] if tags is None else [str(tags).lower()]
