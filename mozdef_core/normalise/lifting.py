"""The lifting: members of well-known objects that are fields of their own here (event-format.md 5.3)."""

from __future__ import annotations

from typing import Any

from mozdef_core.normalise import aliases
from mozdef_core.normalise.details import look_up
from mozdef_core.normalise.draft import Draft, first_scalar, is_absent
from mozdef_core.normalise.placing import shaped
from mozdef_core.normalise.severity import read_severity
from mozdef_core.normalise.tags import as_text


def lift(draft: Draft) -> None:
    """Fill what is still empty from the objects that were sent at the top level; the objects stay whole."""
    for field, paths in aliases.LIFTED.items():
        if field in draft.body:
            continue
        for path in paths:
            value = _member(draft, path)
            if value is None:
                continue
            text = (
                read_severity("severity", value)
                if field == "severity"
                else shaped(draft, field, as_text(value))
            )
            if text:
                draft.body[field] = text
                break
    for field, paths in aliases.LIFTED_DETAILS.items():
        if is_absent(draft.details.get(field)):
            value = next((found for path in paths if (found := _member(draft, path)) is not None), None)
            if value is not None:
                draft.details[field] = value


def _member(draft: Draft, path: str) -> Any:
    value = look_up(draft.objects, path)
    if isinstance(value, list):
        value = first_scalar(value)
    return None if isinstance(value, dict) or is_absent(value) else value
