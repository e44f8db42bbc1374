"""``details``: everything that only some events have (event-format.md sections 5.1, 5.3 and 5.7)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from mozdef_core.normalise.keys import clean_object, same, united
from mozdef_core.normalise.parse import INT64
from mozdef_core.normalise.problems import Problems

_TRUTH: Final = {
    "true": True, "yes": True, "1": True, "success": True,
    "false": False, "no": False, "0": False, "failure": False,
}  # fmt: skip
PORTS: Final = ("sourceport", "destinationport")
FLAGS: Final = ("success", "error")
_EXE: Final = re.compile(r"\.exe$", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"\[(\d+)\]:?$")


def add(details: dict[str, Any], name: str, value: Any) -> None:
    """Put a value into details; where a different one stands already both are kept, as an array."""
    if name not in details:
        details[name] = value
    elif not same(details[name], value):
        details[name] = united(details[name], value)


def merge(details: Any, fields: Any, problems: Problems) -> dict[str, Any]:
    """Return one object from what was sent as ``details`` and as ``fields``; where they differ details win."""
    found = _as_object("details", details, problems)
    for name, value in _as_object("fields", fields, problems).items():
        if name not in found:
            found[name] = value
        elif not same(found[name], value):
            beside = found.get("fields")
            if not isinstance(beside, dict):
                beside = {} if beside is None else {"fields": beside}
                found["fields"] = beside
            beside[name] = value
    return found


def _as_object(name: str, value: Any, problems: Problems) -> dict[str, Any]:
    """Return a copy of an object; text that is a JSON object counts as one, anything else is its message."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, str):
        try:
            inner = orjson.loads(value)
        except orjson.JSONDecodeError:
            inner = None
        if isinstance(inner, dict):
            return clean_object(inner, problems, f"{name}.")
    problems.note("details-not-object", name)
    return {"message": value}


def convert(details: dict[str, Any], problems: Problems) -> None:
    """Give numbers, ports and flags their type; what cannot be read stays as it was sent."""
    for name in details:
        if name.endswith("_int"):
            _convert(details, name, _integer, problems)
        elif name.endswith("_float"):
            _convert(details, name, _number, problems)
    for name in PORTS:
        port = details.get(name)
        if isinstance(port, str) and port.isascii() and port.isdigit() and len(port) < 6:
            number = int(port)
            if number <= 65_535:
                details[name] = number
    for name in FLAGS:
        flag = details.get(name)
        if isinstance(flag, str):
            details[name] = _TRUTH.get(flag.strip().lower(), flag)
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
    last = re.split(r"[/\\]", _NUMBERED.sub("", name.rstrip(":")))[-1]
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
