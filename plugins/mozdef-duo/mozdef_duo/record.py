"""A record of one of Duo's logs, and the event that it becomes (mappers.md section 9)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from mozdef_duo.settings import Log

_SOURCE: Final = "DuoSecurityAPI"
_TAG: Final = "duosecurity"
_RENAMED: Final = {"event_type": "eventtype", "host": "hostname"}
_ADDRESSES: Final = ("ip", "ip_address", "client_ip")
_TIMES: Final = ("timestamp", "isotimestamp", "ts")
_LOGS: Final = ("administration", "authentication", "telephony")


def wrap_record(log: Log, record: Any) -> bytes:
    """Return a record and the name of its log as one item."""
    return orjson.dumps({"log": log, "record": record})


def read_record(raw: bytes) -> dict[str, Any]:
    """Return what the normaliser takes for an item of :func:`wrap_record`, whatever it holds.

    One that is no record has its text in ``details.raw_event``, and its time, which is absent, noted as a problem.
    """
    try:
        item = orjson.loads(raw)
    except orjson.JSONDecodeError:
        item = None
    log, record = (item.get("log"), item.get("record")) if isinstance(item, dict) else (None, None)
    if log not in _LOGS or not isinstance(record, dict) or not record:
        event: dict[str, Any] = {
            "source": _SOURCE,
            "tags": [_TAG],
            "summary": "a record of Duo's logs that cannot be read",
            "details": {"raw_event": raw.decode("utf-8", "replace"), "error": True},
        }
        return {**event, "category": log} if log in _LOGS else event
    details = _details(record)
    event = {"source": _SOURCE, "tags": [_TAG], "category": log, "details": details}
    event["timestamp"] = next((record[name] for name in _TIMES if record.get(name)), None)
    summary = _summary(log, details)
    return {**event, "summary": summary} if summary else event


def _details(record: dict[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for name, sent in record.items():
        value = _parsed(sent)
        if value is not None and name not in _ADDRESSES:
            details[_RENAMED.get(name, name)] = value
    address = _address(record) or _address(details.get("description"))
    device = details.get("access_device")
    if isinstance(device, dict):
        address = device.get("ip") or address
        if not device.get("hostname"):
            details["access_device"] = {name: value for name, value in device.items() if name != "hostname"}
    if address is not None:
        details["sourceipaddress"] = address
    if isinstance(details.get("result"), str):
        details["success"] = details["result"].lower() == "success"
    user = details.get("user")
    if isinstance(user, dict):
        rest = {name: value for name, value in user.items() if name not in ("name", "key")}
        details |= {
            to: user[name] for name, to in (("name", "username"), ("key", "userkey")) if user.get(name)
        }
        del details["user"]
        if rest:
            details["user"] = rest
    return details


def _address(node: Any) -> Any:
    """Return the address that an object names; the last of its names counts."""
    found = None
    for name in _ADDRESSES:
        found = (node.get(name) if isinstance(node, dict) else None) or found
    return found


def _parsed(value: Any) -> Any:
    """Return what a text holds if it is an object or a list in JSON, anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _summary(log: str, details: dict[str, Any]) -> str:
    if log == "telephony":
        return _text(details.get("context"))
    if log == "authentication":
        parts = [("", "eventtype"), ("", "result"), ("for ", "username"), ("due to ", "reason")]
    else:
        parts = [("", "action"), ("because of ", "error"), ("by ", "username")]
        description = details.get("description")
        if isinstance(description, dict):
            details = {"error": description.get("error"), **details}
    return " ".join(before + text for before, name in parts if (text := _text(details.get(name))))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
