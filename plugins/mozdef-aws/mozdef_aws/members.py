"""Members of a record: finding them by path, and reading records that come as JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)


def at(node: object, path: str) -> Any:
    """Return what stands at a dotted path through objects, None where nothing does.

    A literal dotted key and a nested object are the same path; the longest literal key wins.
    """
    if not isinstance(node, Mapping):
        return None
    if path in node:
        return node[path]
    head = path
    while "." in head:
        head = head.rpartition(".")[0]
        if head in node:
            found = at(node[head], path[len(head) + 1 :])
            if found is not None:
                return found
    return None


def record_in(text: str) -> dict[str, Any]:
    """Return the object that a text holds as JSON, with keys as the normaliser leaves them; empty for other text."""
    if not text.startswith("{"):
        return {}
    try:
        value = lowered(json.loads(text))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def lowered(node: Any) -> Any:
    """Return JSON with its keys in lower case at every depth (event-format.md section 5.1).

    Keys that become equal share a list of their values.
    """
    if isinstance(node, list):
        return [lowered(element) for element in node]
    if not isinstance(node, dict):
        return node
    clean: dict[str, Any] = {}
    for key, value in node.items():
        name = key.strip().lstrip("@").casefold()
        if name.startswith(".") or name.endswith("."):
            name = name.replace(".", "")
        name, value = name or "_empty", lowered(value)
        if name in clean and clean[name] != value:
            before = clean[name] if isinstance(clean[name], list) else [clean[name]]
            clean[name] = [*before, *(value if isinstance(value, list) else [value])]
        else:
            clean[name] = value
    return clean


def is_time(value: object) -> bool:
    """Return whether a value is a time as Amazon writes it, in ISO 8601."""
    return isinstance(value, str) and _moment(value) is not None


def in_utc(value: Any) -> Any:
    """Return a time in the form that events have, in UTC; anything else as it is."""
    moment = _moment(value) if isinstance(value, str) else None
    return value if moment is None else f"{moment}+00:00"


def _moment(text: str) -> str | None:
    if _TIME.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        offset = moment.utcoffset()
        return (moment.replace(tzinfo=None) - offset if offset else moment.replace(tzinfo=None)).isoformat()
    except (ValueError, OverflowError):
        return None
