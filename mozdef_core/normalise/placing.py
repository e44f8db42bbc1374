"""The placing: each member of the top level becomes a canonical field or a detail (event-format.md 5.2 and 5.3)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Final

from mozdef_core.normalise import aliases
from mozdef_core.normalise.details import add_field, as_object
from mozdef_core.normalise.draft import SAYS_NOTHING, Draft, is_absent
from mozdef_core.normalise.keys import same
from mozdef_core.normalise.severity import read_facility, read_severity, whole
from mozdef_core.normalise.summary import one_line
from mozdef_core.normalise.tags import as_text

TEXT_FIELDS: Final = (
    "summary",
    "hostname",
    "category",
    "source",
    "processid",
    "processname",
    "eventsource",
)
_PROCESS: Final = re.compile(r"(.*?)((?:\[\d+\]|:|\s)*)", re.DOTALL)
_NUMBER: Final = re.compile(r"\[(\d+)\]")


def place_all(draft: Draft) -> None:
    """Find the place of every member of the top level but the time, which was taken before."""
    top = draft.top
    _take_details(draft)
    if "tags" in top:
        draft.tags.append(top.pop("tags"))
    _take_severity(draft)
    for field in TEXT_FIELDS:
        _take_text(draft, field, aliases.SCALARS[field])
    _take_facility(draft)
    for field, names in aliases.DETAILS.items():
        _take_detail(draft, field, names)
    if "domain" in top and "sourcemoduletype" in top:
        _take_nxlog(draft)
    for name, value in top.items():
        draft.put(name[1:] if name[0] == "_" and len(name) > 1 and name != "_empty" else name, value)


def _take_details(draft: Draft) -> None:
    """Merge ``details``, ``fields`` and the members that are named like their members; ``details`` wins."""
    top, sent = draft.top, draft.details
    draft.details = as_object("details", top.pop("details", None), draft.problems)
    if "fields" in top:
        for name, value in as_object("fields", top.pop("fields"), draft.problems).items():
            add_field(draft.details, name, value)
    for key in [key for key in top if key.startswith(("details.", "fields."))]:
        head, _, name = key.partition(".")
        if head == "details":
            draft.keep(name, top.pop(key))
        else:
            add_field(draft.details, name, top.pop(key))
    for name, value in sent.items():
        draft.keep(name, value)


def take_type(draft: Draft) -> None:
    """Set the shape of the document; the sender may name it only where it is trusted."""
    origin, top = draft.item.origin, draft.top
    custom = origin.endpoint if origin.name == "custom" else None
    draft.body["type"] = custom or "event"
    kind = top.get("type")
    if isinstance(kind, str) and kind in aliases.SHAPES:
        if custom or draft.settings.trusted_relay:
            draft.body["type"] = top.pop("type")
        elif kind == "event":
            del top["type"]


def _take_severity(draft: Draft) -> None:
    top = draft.top
    bunyan = "level" in top and all(name in top for name in aliases.BUNYAN)
    found: str | None = None
    unread: list[tuple[str, Any]] = []
    for name in aliases.SEVERITY:
        if name not in top:
            continue
        value = top.pop(name)
        scalar = draft.scalar(name, value)
        if scalar is None:
            continue
        level = read_severity(name, scalar, bunyan=bunyan)
        if level is None:
            unread.append((name, scalar))
            continue
        if name == "priority":
            _take_pri(draft, scalar)
        if found is None:
            found = level
        elif as_text(scalar).upper() != found and not isinstance(value, list):
            draft.put(name, scalar)
    if found is None and unread:
        draft.problems.note("severity-unknown", unread[0][0])
        draft.keep("original_severity", unread.pop(0)[1])
        found = "INFO"
    for name, scalar in unread:
        draft.put(name, scalar)
    if found is not None:
        draft.body["severity"] = found


def _take_pri(draft: Draft, value: Any) -> None:
    """Take the facility of a syslog PRI, where none was sent (RFC 5424 section 6.2.1)."""
    number = whole(value)
    if number is not None and number > 7 and all(is_absent(draft.top.get(name)) for name in aliases.FACILITY):
        draft.top["facility"] = number // 8


def _take_text(draft: Draft, field: str, names: Sequence[str]) -> None:
    """Fill a text field from its names; what loses and differs stays in details."""
    top = draft.top
    found: str | None = None
    for name in names:
        if name not in top:
            continue
        value = top[name]
        if type(value) is str:
            del top[name]
            if value in SAYS_NOTHING or value.strip() in SAYS_NOTHING:
                continue
            scalar = sent = value
        elif name in aliases.STRING_ONLY:
            continue
        else:
            del top[name]
            scalar = draft.scalar(name, value)
            if scalar is None:
                continue
            sent = as_text(scalar)
        text = shaped(draft, field, sent)
        if found is None and text:
            found = text
            draft.under[field] = name
        elif text != found or not text:
            if type(value) is not list:
                draft.put(name, scalar)
        elif name in aliases.PROGRAM_NAMES:
            draft.under[field] = name
    if found is not None:
        draft.body[field] = found


def shaped(draft: Draft, field: str, text: str) -> str:
    """Return a text as its field wants it; empty when it then holds nothing."""
    if field == "summary":
        return one_line(text)
    if field == "processid":
        text = text.strip("[] \t\r\n")
    elif field == "processname" and text[-1:] in ":] \t\r\n":
        match = _PROCESS.fullmatch(text)
        if match is not None and match[1]:
            number = _NUMBER.search(match[2])
            if number is not None:
                draft.body.setdefault("processid", number[1])
            text = match[1]
    return "" if text in SAYS_NOTHING else text


def _take_facility(draft: Draft) -> None:
    for name in aliases.FACILITY:
        if name not in draft.top:
            continue
        value = draft.top.pop(name)
        scalar = draft.scalar(name, value)
        if scalar is None:
            continue
        text = read_facility(scalar) or as_text(scalar)
        if "facility" not in draft.body:
            draft.body["facility"] = text
        elif text != draft.body["facility"] and not isinstance(value, list):
            draft.put(name, scalar)


def _take_detail(draft: Draft, field: str, names: Sequence[str]) -> None:
    """Fill a field of details from its top-level names; what loses and differs keeps its own name."""
    for name in names:
        if name not in draft.top:
            continue
        value = draft.top.pop(name)
        if is_absent(value):
            continue
        if is_absent(draft.details.get(field)):
            draft.details[field] = value
        elif not same(draft.details[field], value):
            draft.put(name, value)


def _take_nxlog(draft: Draft) -> None:
    """Set who and from where, in an event of the Windows event log as nxlog sends it; its fields stay."""
    for name in ("targetusername", "accountname"):
        user = draft.top.get(name)
        if isinstance(user, str) and not is_absent(user) and is_absent(draft.details.get("username")):
            draft.details["username"] = user
    address = draft.top.get("ipaddress")
    if (
        isinstance(address, str)
        and is_absent(draft.details.get("sourceipaddress"))
        and _is_address(address.strip())
    ):
        draft.details["sourceipaddress"] = address.strip()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
