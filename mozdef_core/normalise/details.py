"""``details``: everything that only some events have (event-format.md sections 5.1, 5.3 and 5.7)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from mozdef_core.errors import InvalidItemError
from mozdef_core.normalise.keys import clean_object, same, united
from mozdef_core.normalise.parse import INT64, parse_json
from mozdef_core.normalise.problems import Problems

_TRUTH: Final = {
    "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False,
}  # fmt: skip
_OUTCOME: Final = {
    "success": {"success": True, "failure": False},
    "error": {"success": False, "failure": True},  # a failure is an error
}
PORTS: Final = ("sourceport", "destinationport")
FLAGS: Final = ("success", "error")
_EXE: Final = re.compile(r"\.exe$", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"(?:\[\d*\]|:)+$")


def add_field(details: dict[str, Any], name: str, value: Any) -> None:
    """Put a member of ``fields`` into details; where a different one stands it goes to ``details.fields.<name>``."""
    if name not in details or details[name] is None:
        details[name] = value
    elif value is not None and not same(details[name], value):
        beside = details.get("fields")
        if not isinstance(beside, dict):
            beside = {} if beside is None else {"fields": beside}
            details["fields"] = beside
        beside[name] = united(beside[name], value) if name in beside else value


def as_object(name: str, value: Any, problems: Problems) -> dict[str, Any]:
    """Return a copy of an object; text that is a JSON object counts as one, anything else is its message."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, str):
        try:
            inner = parse_json(value.encode()) if value.lstrip()[:1] == "{" else None
        except InvalidItemError:
            inner = None
        if isinstance(inner, dict):
            return clean_object(inner, problems, f"{name}.")
    problems.note("details-not-object", name)
    return {"message": value}


def convert(details: dict[str, Any], problems: Problems) -> None:
    """Give numbers, ports and flags their type; what cannot be read stays as it was sent."""
    for name in details:
        if name.endswith(("_int", "_float")):
            _convert(details, name, _integer if name.endswith("_int") else _number, problems)
    for name in PORTS:
        port = details.get(name)
        if isinstance(port, str) and port.isascii() and port.isdigit() and len(port) < 6:
            number = int(port)
            if number <= 65_535:
                details[name] = number
    for name in FLAGS:
        flag = details.get(name)
        if isinstance(flag, str):
            word = flag.strip().lower()
            truth = _OUTCOME[name].get(word)
            details[name] = _TRUTH.get(word, flag) if truth is None else truth
        elif type(flag) is int and flag in (0, 1):
            details[name] = bool(flag)


def _convert(details: dict[str, Any], name: str, read: Any, problems: Problems) -> None:
    value = details[name]
    if value is None:
        return
    converted = read(value)
    if converted is None:
        problems.note("conversion-failed", f"details.{name}")
    else:
        details[name] = converted


def _integer(value: Any) -> int | None:
    number = value
    if isinstance(value, str):
        try:
            number = int(value.strip()) if len(value) < 30 and "_" not in value else None
        except ValueError:
            return None
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else None
    if type(number) is not int or number not in INT64:
        return None
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and ("_" in value or len(value) > 400):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def short_program(name: str) -> str:
    """Return the last path part of a program's name, without ``.exe`` and without ``[n]``."""
    last = re.split(r"[/\\]", _NUMBERED.sub("", name).rstrip("/\\"))[-1]
    return _EXE.sub("", last)


def look_up(node: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path, whether written with nested objects or with literal dots; None for nothing."""
    if path in node:
        return node[path]
    head, dot, rest = path.partition(".")
    while dot:
        child = node.get(head)
        if isinstance(child, Mapping):
            found = look_up(child, rest)
            if found is not None:
                return found
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None
