"""CEF and LEEF, the text forms of ArcSight and QRadar, which this turns into what the normaliser takes."""

from __future__ import annotations

import re
from typing import Any, Final

from mozdef_core.errors import InvalidItemError
from mozdef_core.normalise.parse import parse_json

_START: Final = re.compile(r"(?:^|\s)(CEF|LEEF):\s?(\d+(?:\.\d+)?)\|")
_HEADER: Final = re.compile(r"((?:[^\\|]|\\.)*)(?:\||$)", re.DOTALL)
_CEF_KEY: Final = re.compile(r"(?:^|(?<=\s))([\w.\[\]-]+)=")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_SEVERITIES: Final = ((4, "INFO"), (7, "WARNING"), (9, "ERROR"), (11, "CRITICAL"))
_WORDS: Final = {
    "unknown": "INFO",
    "low": "INFO",
    "medium": "WARNING",
    "high": "ERROR",
    "very-high": "CRITICAL",
}
_NAMES: Final = {
    "src": "sourceipaddress", "spt": "sourceport", "dst": "destinationipaddress", "dpt": "destinationport",
    "srcport": "sourceport", "dstport": "destinationport", "suser": "username", "usrname": "username",
    "requestclientapplication": "useragent", "request": "destinationuri",
}  # fmt: skip
_TIMES: Final = ("rt", "end", "start", "devtime")
_HOSTS: Final = ("dvchost", "deviceaddress", "identhostname")


def decode(raw: bytes) -> object:
    """Return what a CEF or LEEF line says, or a JSON object as it is.

    The device's vendor, product, version and signature go to details; the extension's members too, with the
    names of event-format.md section 1.2 where it has one for them.

    :raises InvalidItemError: neither CEF, LEEF nor JSON.
    """
    if raw.lstrip()[:1] in (b"{", b"["):
        return parse_json(raw)
    text = raw.decode("utf-8", "replace").strip()
    start = _START.search(text)
    if start is None:
        raise InvalidItemError("invalid-cef", "expected 'CEF:<version>|', 'LEEF:<version>|' or a JSON object")
    rest = text[start.end() :]
    fields = _cef(rest) if start[1] == "CEF" else _leef(rest, start[2])
    prefix = text[: start.start()].strip()
    if prefix:
        fields["details"]["syslogheader"] = prefix
    return fields


def _header(text: str, count: int, kind: str) -> tuple[list[str], str]:
    """Return the first fields between bars, and what follows them."""
    fields: list[str] = []
    position = 0
    for number in range(1, count + 1):
        match = _HEADER.match(text, position)
        if match is None or not match[0].endswith("|"):
            if number == count and match is not None:  # no extension
                return [*fields, _unescape(match[1])], ""
            raise InvalidItemError(
                "invalid-cef", f"{kind}: the header has {number - 1} of its {count} fields"
            )
        fields.append(_unescape(match[1]))
        position = match.end()
    return fields, text[position:]


def _cef(text: str) -> dict[str, Any]:
    header, extension = _header(text, 6, "CEF")
    vendor, product, version, signature, name, severity = header
    return _event(vendor, product, version, signature, name, severity, _pairs(extension))


def _leef(text: str, version: str) -> dict[str, Any]:
    count = 5 if version.startswith("2") else 4
    (vendor, product, device, event_id, *delimiter), extension = _header(text, count, "LEEF")
    tab = _delimiter(delimiter[0]) if delimiter else "\t"
    pairs = dict(pair.split("=", 1) for pair in extension.split(tab) if "=" in pair)
    return _event(vendor, product, device, event_id, event_id, pairs.get("sev", ""), pairs)


def _delimiter(text: str) -> str:
    """Return the delimiter of a LEEF 2 line: a character, or its code such as ``x09`` or ``0x09``."""
    form = re.fullmatch(r"(?:0?x)([0-9A-Fa-f]{2,4})", text)
    if form is not None:
        return chr(int(form[1], 16))
    return text or "\t"


def _pairs(extension: str) -> dict[str, str]:
    """Return the members of a CEF extension; a value reaches up to the blank before the next key."""
    keys = [match for match in _CEF_KEY.finditer(extension) if not _is_escaped(extension, match.end() - 1)]
    ends = [match.start() for match in keys[1:]] + [len(extension)]
    return {
        match[1]: _unescape(extension[match.end() : end].rstrip(" "))
        for match, end in zip(keys, ends, strict=True)
    }


def _is_escaped(text: str, position: int) -> bool:
    """Return whether an odd number of backslashes stands before a position."""
    return (position - len(text[:position].rstrip("\\"))) % 2 == 1


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)


def _event(
    vendor: str, product: str, version: str, signature: str, name: str, severity: str, pairs: dict[str, str]
) -> dict[str, Any]:
    details: dict[str, Any] = {
        "devicevendor": vendor,
        "deviceproduct": product,
        "deviceversion": version,
        "signatureid": signature,
        "name": name,
    }
    event: dict[str, Any] = {"summary": name, "source": product, "category": "cef", "details": details}
    level = _severity(severity)
    if level is not None:
        event["severity"] = level
    for key, value in pairs.items():
        label = pairs.get(f"{key}Label")
        lower = key.lower()
        if lower in _TIMES and "timestamp" not in event:
            event["timestamp"] = value
        elif lower in _HOSTS and "hostname" not in event:
            event["hostname"] = value
        details[_NAMES.get(lower, (label or lower).replace(" ", "_"))] = value
    if "msg" in pairs:
        event["summary"] = pairs["msg"]
    return event


def _severity(text: str) -> str | None:
    """Return the level of CEF's 0 to 10 or its five words; None when there is nothing of the kind."""
    if text.isdigit() and len(text) < 3:  # two digits at most
        return next((level for limit, level in _SEVERITIES if int(text) < limit), None)
    return _WORDS.get(text.lower())
