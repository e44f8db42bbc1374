"""Events as the API hands them out: documents with their id, whole or only some of their fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mozdef_core.event import Event, split_path

FieldName = Annotated[str, Field(min_length=1, max_length=512, description="the dotted path of a field")]


class EventDocument(BaseModel):
    """One event: its id, and the fields that it has."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(description="under which it is stored")


def document(event: Event, fields: Sequence[str] = ()) -> EventDocument:
    """Return an event as it is handed out.

    :param fields: the paths to keep, nested as they are; none for all.
    """
    body = event.body
    if fields:
        body = _pick(body, [split_path(field) for field in fields])
    return EventDocument.model_validate({**body, "id": event.id})


def _pick(node: dict[str, Any], wanted: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """Return what stands at some paths, through lists of objects, whether keys are nested or dotted."""
    kept: dict[str, Any] = {}
    for key, value in node.items():
        parts = split_path(key)
        left = [path[len(parts) :] for path in wanted if path[: len(parts)] == parts]
        if () in left:
            kept[key] = value
        elif left and (inner := _inside(value, left)):
            kept[key] = inner
    return kept


def _inside(value: Any, wanted: Sequence[tuple[str, ...]]) -> Any:
    if isinstance(value, dict):
        return _pick(value, wanted)
    if isinstance(value, list):
        return [inner for element in value if (inner := _inside(element, wanted))]
    return None
