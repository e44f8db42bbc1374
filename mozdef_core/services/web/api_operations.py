"""The operations of the API: by what each is asked for, with what it answers, and their description as OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from pydantic import BaseModel

from mozdef_core.services.web import api_fields, api_search
from mozdef_core.services.web.api_documents import EventDocument
from mozdef_core.services.web.api_requests import Asked


class Operation(NamedTuple):
    """One operation.

    :param summary: what it does, in a sentence.
    :param names: the parts of the address that vary, and what they are.
    :param answer: called with the store, what was asked, and the names.
    """

    summary: str
    asked: type[Asked]
    answered: type[BaseModel]
    answer: Callable[..., BaseModel]
    names: Mapping[str, str] = {}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "search_events": Operation(
        "Find events, page by page, and count them.",
        api_search.SearchAsked,
        api_search.SearchAnswer,
        api_search.search,
    ),
    "get_event": Operation(
        "Return one event.",
        api_search.EventAsked,
        EventDocument,
        api_search.get_event,
        {"id": "under which the event is stored"},
    ),
    "list_fields": Operation(
        "Return which fields events have, by name.",
        api_fields.FieldsAsked,
        api_fields.FieldsAnswer,
        api_fields.list_fields,
    ),
    "get_field": Operation(
        "Return what is under one field: how many events have it, and its most frequent values.",
        api_fields.FieldAsked,
        api_fields.FieldSummary,
        api_fields.get_field,
        {"name": "the dotted path of a field"},
    ),
}


@lru_cache(maxsize=1)
def description() -> bytes:
    """Return the OpenAPI description as JSON; made once."""
    from mozdef_core.services.web.openapi import describe

    made: dict[str, Any] = describe(OPERATIONS)
    return orjson.dumps(made)
