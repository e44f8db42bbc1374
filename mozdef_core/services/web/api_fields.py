"""``/api/v1/fields``: which fields stored events have, and of one which values are most frequent."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from operator import itemgetter

from pydantic import Field

from mozdef_core.errors import QueryError
from mozdef_core.ports import EventStore
from mozdef_core.query.bounds import TIME_FIELDS
from mozdef_core.query.model import TEXT_FIELDS, Exists
from mozdef_core.services.web.api_aggregations import Answered
from mozdef_core.services.web.api_errors import ApiError, invalid_query
from mozdef_core.services.web.api_requests import Asked
from mozdef_core.services.web.api_search import QueryText, read_query
from mozdef_core.services.web.api_times import DEFAULT_FROM, From, To, read_between


class FieldsAsked(Asked):
    """Which part of the list."""

    from_: From = Field(DEFAULT_FROM, alias="from")
    to: To = None
    limit: int = Field(1000, ge=1, le=1000, description="at most so many fields")
    cursor: str | None = Field(None, max_length=2000, description="next of the page before")


class FieldAnswer(Answered):
    """A field."""

    name: str = Field(description="its dotted path")
    kinds: list[str] = Field(description="of its values: address boolean number string text time")


class FieldsAnswer(Answered):
    """A page of fields, by name."""

    items: list[FieldAnswer]
    next: str | None = Field(description="cursor of the next page; null on the last one")
    total: int = Field(description="how many fields there are")


class FieldAsked(Asked):
    """Over which events, and how many values."""

    query: QueryText = "*"
    from_: From = Field(DEFAULT_FROM, alias="from")
    to: To = None
    top: int = Field(10, ge=0, le=1000, description="how many of the most frequent values")


class ValueAnswer(Answered):
    """A value and how many events have it."""

    value: str
    count: int


class FieldSummary(Answered):
    """What is under one field."""

    name: str
    kinds: list[str] = Field(description="of its values within the time; empty for an object")
    events: int = Field(description="how many of the events that match have it")
    distinct: int | None = Field(
        description="how many values it has; null for texts and times, which are not counted"
    )
    top: list[ValueAnswer] = Field(description="the most frequent values")
    others: int = Field(description="the counts of the other values, added up")


def list_fields(store: EventStore, asked: FieldsAsked) -> FieldsAnswer:
    """Answer with the fields that events have."""
    found = store.fields(read_between(asked.from_, asked.to))
    names = [field.name for field in found]
    start = 0 if asked.cursor is None else bisect_right(names, asked.cursor)
    page = found[start : start + asked.limit]
    return FieldsAnswer(
        items=[FieldAnswer(name=field.name, kinds=list(field.kinds)) for field in page],
        next=page[-1].name if page and start + len(page) < len(found) else None,
        total=len(found),
    )


def get_field(store: EventStore, asked: FieldAsked, name: str) -> FieldSummary:
    """Answer with what is under one field.

    :raises ApiError: no event within the time has it.
    """
    between = read_between(asked.from_, asked.to)
    query = read_query(asked.query)
    kinds = {field.name: list(field.kinds) for field in store.fields(between)}
    try:
        present = Exists(name)
    except QueryError as error:
        raise invalid_query(error, "name") from None
    events = store.count(query & present, between)
    if name not in kinds and not events and not store.count(present, between):
        near = difflib.get_close_matches(name, kinds, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        reason = f"no event within the time has a field {name[:200]!r}{hint}"
        raise ApiError(404, "not-found", reason, field="name")
    known = {"name": name, "kinds": kinds.get(name, []), "events": events}
    if name in TEXT_FIELDS or name in TIME_FIELDS:
        return FieldSummary(**known, distinct=None, top=[], others=0)
    counts = sorted(sorted(store.groups(name, query, between).items()), key=itemgetter(1), reverse=True)
    return FieldSummary(
        **known,
        distinct=len(counts),
        top=[ValueAnswer(value=value, count=count) for value, count in counts[: asked.top]],
        others=sum(count for _, count in counts[asked.top :]),
    )
