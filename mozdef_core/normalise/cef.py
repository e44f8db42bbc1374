"""CEF and LEEF, the text forms of ArcSight and QRadar, which this turns into what the normaliser takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from mozdef_core.errors import InvalidItemError
from mozdef_core.normalise.parse import Repeated, parse_json

Pairs = Sequence[tuple[str, str]]

_START: Final = re.compile(r"(?:^|\s)(CEF|LEEF):\s?(\d+(?:\.\d+)?)\|")
_HEADER: Final = re.compile(r"((?:[^\\|]|\\.)*)(?:\||$)", re.DOTALL)
_CEF_KEY: Final = re.compile(r"(?:^|(?<=\s))([\w.\[\]-]+)=")
_SYSLOG: Final = re.compile(
    r"(?:<(?P<priority>\d{1,3})>)?(?:\d{1,2} )?"
    r"(?P<time>[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)"
    r"(?: (?P<host>\S+))?(?P<rest>(?: .*)?)",
    re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_SEVERITIES: Final = ((4, "NOTICE"), (7, "WARNING"), (9, "ERROR"), (11, "CRITICAL"))
_WORDS: Final = {
    "unknown": "INFO",
    "low": "NOTICE",
    "medium": "WARNING",
    "high": "ERROR",
    "very-high": "CRITICAL",
}
_NAMES: Final = {
    "src": "sourceipaddress", "spt": "sourceport", "dst": "destinationipaddress", "dpt": "destinationport",
    "srcport": "sourceport", "dstport": "destinationport", "suser": "username", "usrname": "username",
    "requestclientapplication": "useragent", "request": "destinationuri",
}  # fmt: skip
_TIMES: Final = ("rt", "devtime", "end", "start")
_HOSTS: Final = ("dvchost", "identhostname", "deviceaddress", "dvc")


def decode(raw: bytes) -> object:
    """Return what a CEF or LEEF line says, or a JSON object as it is.

    The device's vendor, product, version and signature go to details; the extension's members too, with the
    names of event-format.md section 1.2 where it has one for them, or under the label that the device gives
    them. A syslog header before it supplies time, host and priority where the line itself does not.

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
        _add_syslog(fields, prefix)
    return fields


def _add_syslog(fields: dict[str, Any], prefix: str) -> None:
    """Add what the syslog header says; a header of another form is kept as it is."""
    header = _SYSLOG.fullmatch(prefix)
    if header is None:
        fields["details"]["syslogheader"] = prefix
        return
    if header["priority"]:
        fields["priority" if "severity" not in fields else "facility"] = (
            header["priority"] if "severity" not in fields else int(header["priority"]) // 8
        )
    if "timestamp" in fields:
        fields["details"]["syslogtime"] = header["time"]
    else:
        fields["timestamp"] = header["time"]
    if header["host"]:
        if "hostname" in fields:
            fields["details"]["sysloghost"] = header["host"]
        else:
            fields["hostname"] = header["host"]
    if header["rest"].strip():
        fields["details"]["syslogheader"] = header["rest"].strip()


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
    return _event(header, _cef_pairs(extension))


def _leef(text: str, version: str) -> dict[str, Any]:
    (vendor, product, device, event_id, *delimiter), extension = _header(
        text, 5 if version.startswith("2") else 4, "LEEF"
    )
    pairs = _leef_pairs(extension, _delimiter(delimiter[0]) if delimiter else "\t")
    severity = next((value for key, value in pairs if key == "sev"), "")
    return _event([vendor, product, device, event_id, event_id, severity], pairs)


def _delimiter(text: str) -> str:
    """Return the delimiter of a LEEF 2 line: a character, or its code such as ``x09`` or ``0x09``."""
    form = re.fullmatch(r"(?:0?x)([0-9A-Fa-f]{2,4})", text)
    return chr(int(form[1], 16)) if form is not None else text or "\t"


def _leef_pairs(extension: str, delimiter: str) -> Pairs:
    """Return the members of a LEEF extension; a part without a key belongs to the value before it."""
    pairs: list[tuple[str, str]] = []
    for part in extension.split(delimiter):
        key, equals, value = part.partition("=")
        if equals and key:
            pairs.append((key.strip(), value))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}{delimiter}{part}")
        elif part:
            pairs.append(("extension", part))
    return pairs


def _cef_pairs(extension: str) -> Pairs:
    """Return the members of a CEF extension; a value reaches up to the blank before the next key."""
    keys = [match for match in _CEF_KEY.finditer(extension) if not _is_escaped(extension, match.end() - 1)]
    ends = [*(match.start() for match in keys[1:]), len(extension)][: len(keys)]
    pairs = [
        (match[1], _unescape(extension[match.end() : end].rstrip(" ")))
        for match, end in zip(keys, ends, strict=True)
    ]
    before = extension[: keys[0].start() if keys else len(extension)].strip()
    return [("extension", _unescape(before)), *pairs] if before else pairs


def _is_escaped(text: str, position: int) -> bool:
    """Return whether an odd number of backslashes stands before a position."""
    return (position - len(text[:position].rstrip("\\"))) % 2 == 1


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)


def _event(header: Sequence[str], pairs: Pairs) -> dict[str, Any]:
    vendor, product, version, signature, name, severity = header
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
    labels = {key: value for key, value in pairs if key.endswith("Label")}
    known: dict[str, str] = {}
    for key, value in pairs:
        lower = key.lower()
        known.setdefault(lower, value)
        label = labels.get(f"{key}Label", "").strip().lower().replace(" ", "_")
        _add(details, _NAMES.get(lower, label if label and label not in details else lower), value)
    if known.get("msg"):
        event["summary"] = known["msg"]
    for field, names in (("timestamp", _TIMES), ("hostname", _HOSTS)):
        value = next((known[one] for one in names if known.get(one)), "")
        if value:
            event[field] = value
    return event


def _add(details: dict[str, Any], name: str, value: str) -> None:
    """Add a member; a name that occurs again keeps all its values, as a repeated key of JSON does."""
    if name not in details:
        details[name] = value
    elif isinstance(details[name], Repeated):
        details[name].append(value)
    else:
        details[name] = Repeated([details[name], value])


def _severity(text: str) -> str | None:
    """Return the level of CEF's 0 to 10 or its five words; None when there is nothing of the kind."""
    if text.isascii() and text.isdigit() and len(text) < 3:  # two digits at most
        return next((level for limit, level in _SEVERITIES if int(text) < limit), None)
    return _WORDS.get(text.lower())
