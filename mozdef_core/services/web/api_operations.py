"""The operations of the API: by what each is asked for, with what it answers, and their description as OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import orjson
from pydantic import BaseModel

from mozdef_core.services.web import api_exceptions as exceptions
from mozdef_core.services.web import api_fields, api_search
from mozdef_core.services.web import api_lists as lists
from mozdef_core.services.web.api_documents import EventDocument
from mozdef_core.services.web.api_requests import Asked


class Operation(NamedTuple):
    """One operation.

    :param summary: what it does, in a sentence.
    :param names: the parts of the address that vary, and what they are.
    :param answer: called with the store, what was asked, and the names; with the casework database in place of the
        store where ``casework`` says so, and with the ``body`` when that is a file.
    :param csv: whether it takes a file ``in`` or hands one ``out``.
    """

    summary: str
    asked: type[Asked]
    answered: type[BaseModel]
    answer: Callable[..., BaseModel | bytes]
    names: Mapping[str, str] = {}
    casework: bool = False
    csv: Literal["", "in", "out"] = ""


NO_NAMES: Final[Mapping[str, str]] = {}
_LIST: Final = {"name": "of a list"}
_EXCEPTION: Final = {"id": "of an exception"}


def _on_casework(
    summary: str,
    asked: type[Asked],
    answered: type[BaseModel],
    answer: Callable[..., BaseModel | bytes],
    names: Mapping[str, str] = NO_NAMES,
    csv: Literal["", "in", "out"] = "",
) -> Operation:
    return Operation(summary, asked, answered, answer, names, casework=True, csv=csv)


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
    "list_lists": _on_casework("Return all lists.", lists.NothingAsked, lists.ListsAnswer, lists.list_lists),
    "create_list": _on_casework("Make a list.", lists.ListAsked, lists.ListAnswer, lists.create_list),
    "get_list": _on_casework(
        "Return one list, without its entries.", lists.NothingAsked, lists.ListAnswer, lists.get_list, _LIST
    ),
    "delete_list": _on_casework(
        "Delete a list with its entries.", lists.NothingAsked, lists.ChangedAnswer, lists.delete_list, _LIST
    ),
    "list_entries": _on_casework(
        "Return the entries of a list, page by page.",
        lists.EntriesAsked,
        lists.EntriesAnswer,
        lists.list_entries,
        _LIST,
    ),
    "add_entries": _on_casework(
        "Put entries into a list; those that are there get what is given.",
        lists.AddAsked,
        lists.ChangedAnswer,
        lists.add_entries,
        _LIST,
    ),
    "remove_entry": _on_casework(
        "Take an entry out of a list.", lists.RemoveAsked, lists.ChangedAnswer, lists.remove_entry, _LIST
    ),
    "export_entries": _on_casework(
        "Return all entries of a list as CSV.",
        lists.NothingAsked,
        lists.ChangedAnswer,
        lists.export_entries,
        _LIST,
        "out",
    ),
    "import_entries": _on_casework(
        "Put the entries of a CSV file into a list.",
        lists.ImportAsked,
        lists.ChangedAnswer,
        lists.import_entries,
        _LIST,
        "in",
    ),
    "list_exceptions": _on_casework(
        "Return the exceptions.",
        exceptions.ExceptionsAsked,
        exceptions.ExceptionsAnswer,
        exceptions.list_exceptions,
    ),
    "create_exception": _on_casework(
        "Make an exception.",
        exceptions.ExceptionAsked,
        exceptions.ExceptionAnswer,
        exceptions.create_exception,
    ),
    "preview_exception": _on_casework(
        "Return what an exception would have hidden in the last 30 days.",
        exceptions.ScopeAsked,
        exceptions.PreviewAnswer,
        exceptions.preview_exception,
    ),
    "get_exception": _on_casework(
        "Return one exception.",
        exceptions.NoneAsked,
        exceptions.ExceptionAnswer,
        exceptions.get_exception,
        _EXCEPTION,
    ),
    "change_exception": _on_casework(
        "Change an exception.",
        exceptions.ChangeAsked,
        exceptions.ExceptionAnswer,
        exceptions.change_exception,
        _EXCEPTION,
    ),
    "end_exception": _on_casework(
        "End an exception now.",
        exceptions.NoneAsked,
        exceptions.ExceptionAnswer,
        exceptions.end_exception,
        _EXCEPTION,
    ),
}


@lru_cache(maxsize=1)
def description() -> bytes:
    """Return the OpenAPI description as JSON; made once."""
    from mozdef_core.services.web.openapi import describe

    made: dict[str, Any] = describe(OPERATIONS)
    return orjson.dumps(made)
