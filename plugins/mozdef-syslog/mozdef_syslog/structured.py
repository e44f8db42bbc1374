"""Messages of RFC 5424: a header of named fields, structured data, text."""

from __future__ import annotations

import re
from typing import Any

_HEADER = re.compile(r"[1-9]\d? (-|\d{4}-\S+) (\S+) (\S+) (\S+) (\S+) (?=[-\[])")
_ELEMENT = re.compile(r'\[([^\s=\]"]+)((?: +[^\s=\]"]+="(?:[^"\\]|\\.)*+")*+) *\]', re.DOTALL)
_PARAMETER = re.compile(r'([^\s=\]"]+)="((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\\]])')


def parse_structured(text: str) -> dict[str, Any] | None:
    """Read what follows the priority of an RFC 5424 message; None when it is not one.

    Structured data goes to ``details.sd.<id>.<name>``, a list where an element repeats a name. Where it breaks
    the grammar, the rest of the message from there on is the text, so that nothing is lost.
    """
    header = _HEADER.match(text)
    if header is None:
        return None
    names = ("timestamp", "hostname", "program", "processid")
    fields: dict[str, Any] = {
        name: value for name, value in zip(names, header.groups(), strict=False) if value != "-"
    }
    details: dict[str, Any] = {} if header[5] == "-" else {"msgid": header[5]}
    position = header.end()
    if text[position] == "-" and text[position + 1 : position + 2] in {"", " "}:
        position += 1
    elif text[position] == "[":
        position, elements = _read_elements(text, position)
        if elements:
            details["sd"] = elements
    message = text[position:].removeprefix(" ").removeprefix("\ufeff")
    if message:
        fields["summary"] = message
    if details:
        fields["details"] = details
    return fields


def _read_elements(text: str, position: int) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the structured data that begins at ``position``, and where it ends."""
    elements: dict[str, dict[str, Any]] = {}
    while found := _ELEMENT.match(text, position):
        parameters = elements.setdefault(found[1], {})
        for name, value in _PARAMETER.findall(found[2]):
            plain = _ESCAPE.sub(r"\1", value) if "\\" in value else value
            if name not in parameters:
                parameters[name] = plain
            elif isinstance(parameters[name], list):
                parameters[name].append(plain)
            else:
                parameters[name] = [parameters[name], plain]
        position = found.end()
    return position, elements
