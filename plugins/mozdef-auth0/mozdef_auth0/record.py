"""A record of Auth0's log, and the event that it becomes (mappers.md section 9)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from mozdef_auth0.codes import CODES, LEVELS

_MEMBERS: Final = {
    "messageid": "_id",
    "sourceipaddress": "ip",
    "userid": "user_id",
    "username": "user_name",
    "useragent": "user_agent",
    "clientname": "client_name",
    "clientid": "client_id",
    "connection": "connection",
}
_OF_BODY: Final = {
    "action": "name",
    "email": "email",
    "mfa_provider": "multifactor",
    "ldap_groups": "ldap_groups",
    "user_last_known_ip": "last_ip",
    "user_last_login": "last_login",
}
"""What the body of the answer that the log tells of may say about the user."""

_PROMPTS: Final = {
    "lock-password-authenticate": "valid password",
    "authenticate": "valid session cookie",
}
"""Prompts that tell how a user was known, the one that tells more first."""

_CATEGORIES: Final = (
    (
        "authentication",
        (
            "Login",
            "Logout",
            "Silent",
            "Enrollment",
            "OTP",
            "Recovery",
            "Authentication",
            "Code",
            "Signup",
            "Push",
        ),
    ),
    ("authorization", ("Authorization", "Access", "Delegation")),
    (
        "administration",
        (
            *(
                "API",
                "Operation",
                "Change",
                "Update",
                "Deleted",
                "unenrolled",
                "updated",
                "CORS",
                "Connector",
            ),
            *("Blocked", "Breached", "Deletion", "block", "User", "released"),
        ),
    ),
)
"""Words in an event's name, and the category that they speak for; the last that fits counts."""


def read_record(raw: bytes) -> dict[str, Any]:
    """Return what the normaliser takes for a record, whatever it holds.

    One that is no record has its text in ``details.raw_event``, and its time, which is absent, noted as a problem.
    """
    try:
        record = orjson.loads(raw)
    except orjson.JSONDecodeError:
        record = None
    if not isinstance(record, dict) or not (record.get("type") or record.get("date")):
        return {
            "source": "auth0",
            "tags": ["auth0"],
            "summary": "a record of Auth0's log that cannot be read",
            "details": {"raw_event": raw.decode("utf-8", "replace"), "error": True},
        }
    details = _details(record)
    details["raw_event"] = raw.decode("utf-8", "replace")
    event: dict[str, Any] = {
        "source": "auth0",
        "tags": ["auth0"],
        "timestamp": _moment(record),
        "details": details,
    }
    code = record.get("type")
    name = ""
    if isinstance(code, str):
        meaning = CODES.get(code)
        name = details["eventname"] = code if meaning is None else meaning.name
        if meaning is not None:
            event["severity"] = LEVELS[meaning.level]
    for category, words in _CATEGORIES:
        if any(word in name for word in words):
            event["category"] = category
    if "Failed" in name:
        details["success"] = False
    elif "Success" in name:
        details["success"] = True
    event["summary"] = _summary(details)
    return event


def _details(record: dict[str, Any]) -> dict[str, Any]:
    details = {name: record[member] for name, member in _MEMBERS.items() if record.get(member) is not None}
    details["description"] = "" if record.get("description") is None else record["description"]
    body = _inside(record, "details", "response", "body")
    if isinstance(body, dict):
        details |= {name: body[member] for name, member in _OF_BODY.items() if body.get(member) is not None}
    prompts = _inside(record, "details", "prompts")
    if isinstance(prompts, list):
        seen = [prompt.get("name") for prompt in prompts if isinstance(prompt, dict)]
        for name, meaning in _PROMPTS.items():
            if name in seen:
                details["authtype"] = meaning
                break
    return details


def _inside(node: Any, *names: str) -> Any:
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _moment(record: dict[str, Any]) -> Any:
    date = record.get("date")
    return date.get("$date", date) if isinstance(date, dict) else date


def _summary(details: dict[str, Any]) -> str:
    parts = [details.get("eventname"), details.get("description")]
    parts += [
        f"{before}{details[name]}" if details.get(name) else None
        for before, name in (("by ", "username"), ("account: ", "email"), ("to: ", "clientname"))
    ]
    return " ".join(str(part) for part in parts if part)
