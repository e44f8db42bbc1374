"""Lists as operators write them: a list, or a text with commas or blanks between its items (detections.md A5)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def split_items(value: Any) -> Any:
    """Return the items of a text, split at commas if it holds one and else at blanks; anything else as it is."""
    if not isinstance(value, str):
        return value
    parts = value.split(",") if "," in value else value.split()
    return [item for part in parts if (item := part.strip())]


Items = Annotated[list[str], BeforeValidator(split_items)]
"""The type of an option that is a list of texts."""
