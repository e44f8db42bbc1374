"""The finishing: what the entrance knows, what follows from other fields, and the defaults (event-format.md 5.9)."""

from __future__ import annotations

from typing import Any, Final

from mozdef_core.normalise import aliases
from mozdef_core.normalise.details import look_up, short_program
from mozdef_core.normalise.draft import Draft, is_absent
from mozdef_core.normalise.keys import clean_value
from mozdef_core.normalise.moments import finish_times, read_moment
from mozdef_core.normalise.placing import TEXT_FIELDS, shaped
from mozdef_core.normalise.severity import read_severity
from mozdef_core.normalise.summary import fallback
from mozdef_core.normalise.tags import as_text, read_tags, tag_texts

UNKNOWN: Final = "UNKNOWN"
FILLED: Final = ("hostname", "category", "source", "processname", "processid", "summary")
"""Fields that hold UNKNOWN where nothing better is known."""

_TEXTS: Final = frozenset({*TEXT_FIELDS, "facility"})


def add_entrance_fields(draft: Draft) -> None:
    """Add what the entrance knows, where the sender has not said it."""
    for path, sent in draft.item.fields.items():
        value = sent if type(sent) is str else clean_value(sent, draft.problems, path)
        head, _, name = path.partition(".")
        if head == "details" and name:
            if is_absent(look_up(draft.details, name)):
                draft.details[name] = value
        elif path == "tags":
            draft.added_tags.extend(tag for tag in tag_texts(value) if tag)
        else:
            _add_field(draft, path, value)
    draft.added_tags.extend(draft.settings.tags)


def _add_field(draft: Draft, name: str, value: Any) -> None:
    body = draft.body
    if is_absent(value) or (name in body and name != "type"):
        return
    if name in _TEXTS and not isinstance(value, dict | list):
        text = shaped(draft, name, as_text(value))
        if text:
            body[name] = text
            if name == "hostname" and draft.item.origin.kind == "syslog":
                draft.defaulted.append(name)  # the peer stands in for the sender (event-format.md 5.9)
        return
    if name in ("timestamp", "utctimestamp") and "timestamp" not in body:
        instant = read_moment(draft, value)
        if instant is not None:
            body["timestamp"] = instant.us
            return
    if name == "severity":
        level = read_severity(name, value)
        if level is not None:
            body[name] = level
            return
    if name == "type" and isinstance(value, str):
        if body.get("type", "event") == "event":
            body["type"] = value
        return
    draft.details.setdefault(name, value)


def derive_program(draft: Draft) -> None:
    """Set ``details.program`` of all that came through syslog, by whatever shipper (event-format.md 5.7)."""
    body = draft.body
    name = body.get("processname")
    if name is None or not is_absent(draft.details.get("program")):
        return
    if (
        draft.under.get("processname") in aliases.PROGRAM_NAMES
        or draft.item.origin.kind == "syslog"
        or body.get("category", "").lower() == "syslog"
    ):
        program = short_program(name)
        if program:
            draft.details["program"] = program


def finish(draft: Draft) -> None:
    """Fill every mandatory field."""
    body, details, defaulted = draft.body, draft.details, draft.defaulted
    finish_times(draft)
    if "source" not in body:
        known = body.get("facility") or body.get("eventsource")
        if known:
            body["source"] = known
    if "summary" not in body:
        text = fallback(details)
        if text:
            body["summary"] = text
    origin = draft.item.origin
    if "hostname" not in body and origin.kind == "syslog" and origin.peer:
        body["hostname"] = origin.peer
        defaulted.append("hostname")
    for field in FILLED:
        if field not in body:
            body[field] = UNKNOWN
            defaulted.append(field)
    if "severity" not in body:
        body["severity"] = "INFO"
        defaulted.append("severity")
    body.setdefault("type", "event")
    body["tags"] = read_tags(draft.tags, draft.problems, draft.added_tags)
    body["details"] = details
    for field in ("tags", "details"):
        if not body[field]:
            defaulted.append(field)
