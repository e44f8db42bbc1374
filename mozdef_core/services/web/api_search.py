"""``/api/v1/events``: one event by its id, and search with paging and aggregations."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mozdef_core.aggregation import aggregate
from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.event import Event, isoformat
from mozdef_core.ports import Between, EventStore, Page
from mozdef_core.ports.store import took_too_long
from mozdef_core.query import lucene, order
from mozdef_core.query.model import Query, Search
from mozdef_core.services.web.api_aggregations import AggregationAsked, AggregationName, ResultAnswer
from mozdef_core.services.web.api_documents import EventDocument, FieldName, document
from mozdef_core.services.web.api_errors import ApiError, invalid_query
from mozdef_core.services.web.api_requests import Asked
from mozdef_core.services.web.api_results import answers, build
from mozdef_core.services.web.api_times import DEFAULT_FROM, From, Moment, To, read_between

MOST_BYTES: Final = 32 * 2**20
"""A page ends early when its events are larger together."""
_AT_ONCE: Final = 250
_INT64: Final = 2**63

QueryText = Annotated[
    str, Field(min_length=1, max_length=10_000, description="a search string; * finds every event")
]


class SearchAsked(Asked):
    """What to look for."""

    query: QueryText = "*"
    from_: From = Field(DEFAULT_FROM, alias="from")
    to: To = None
    order: Literal["newest", "oldest"] = Field("newest", description="by event time")
    limit: int = Field(50, ge=0, le=1000, description="at most so many events; 0 for aggregations alone")
    cursor: str | None = Field(None, max_length=100, description="next of the page before")
    fields: list[FieldName] = Field([], max_length=200, description="the fields to return; without it all")
    total: bool = Field(False, description="count how many events match, too")
    aggregations: dict[AggregationName, AggregationAsked] = Field(
        {},
        max_length=20,
        description="by a name of your choice; over all events that match, not over the page",
    )


class SearchAnswer(BaseModel):
    """A page of events, and what was asked for besides."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    items: list[EventDocument]
    next: str | None = Field(description="cursor of the next page; null on the last one")
    complete: bool = Field(description="false when the page was cut short by the limit of time")
    from_: Moment = Field(alias="from", description="the first event time that was looked at")
    to: Moment | None = Field(description="the time before which was looked; null when open")
    total: int = Field(default=0, description="how many events match, on all pages; where it was asked for")
    aggregations: dict[str, ResultAnswer] = Field(
        default={}, description="by name; where they were asked for"
    )


def search(store: EventStore, asked: SearchAsked) -> SearchAnswer:
    """Answer a search.

    :raises ApiError: the question has no meaning.
    :raises QueryTimeoutError: total or aggregations took too long.
    """
    between = read_between(asked.from_, asked.to)
    query = read_query(asked.query)
    _check_cursor(asked.cursor)
    aggregations = build(asked.aggregations)
    deadline_s = time.monotonic() + store.time_limit_s
    events, after, complete = _page(store, asked, query, between, deadline_s)
    known: dict[str, Any] = {
        "items": [document(event, asked.fields) for event in events],
        "next": after,
        "complete": complete,
        "from": isoformat(between[0] or 0),
        "to": None if between[1] is None else isoformat(between[1]),
    }
    if asked.total:
        _left_s(store, deadline_s)
        known["total"] = store.count(query, between)
    if aggregations:
        try:
            results = aggregate(store, aggregations, query, between, limit_s=_left_s(store, deadline_s))
        except QueryTimeoutError:
            raise
        except QueryError as error:
            raise invalid_query(error, "aggregations") from None
        known["aggregations"] = answers(results, asked.fields)
    return SearchAnswer(**known)


def _page(
    store: EventStore, asked: SearchAsked, query: Query, between: Between, deadline_s: float
) -> tuple[list[Event], str | None, bool]:
    """Return the events of a page, the cursor behind them, and whether there was time for all of it."""
    events: list[Event] = []
    after, size_bytes = asked.cursor, 0
    while len(events) < asked.limit and size_bytes < MOST_BYTES:
        size = min(asked.limit - len(events), _AT_ONCE)
        page: Page = store.search(Search(query, between, asked.order, size, after))
        events += page.events
        after = page.after
        if not page.complete or after is None:
            return events, after, page.complete
        if len(events) < asked.limit and time.monotonic() >= deadline_s:
            return events, after, False
        size_bytes += sum(len(event.to_json()) for event in page.events)
    return events, after if asked.limit else None, True


def _left_s(store: EventStore, deadline_s: float) -> float:
    """Return how much of the time is left.

    :raises QueryTimeoutError: nothing.
    """
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise QueryTimeoutError(took_too_long(store.time_limit_s))
    return left_s


def read_query(text: str) -> Query:
    """Return what a search string means.

    :raises ApiError: it does not parse; with the position.
    """
    try:
        return lucene.parse(text)
    except QueryError as error:
        raise invalid_query(error, "query") from None


def _check_cursor(cursor: str | None) -> None:
    if cursor is None:
        return
    try:
        us, tie = order.decode(cursor)
    except QueryError:
        us, tie = _INT64, 0
    if not (-_INT64 <= us < _INT64 and tie < _INT64):
        raise ApiError(
            400,
            "invalid-cursor",
            f"cursor: expected 'next' of an earlier page, got {cursor!r}",
            field="cursor",
        )


class EventAsked(Asked):
    """Nothing but the id in the address."""


def get_event(store: EventStore, _asked: EventAsked, id: str) -> EventDocument:
    """Answer with one event.

    :raises ApiError: there is none.
    """
    event = store.get(id)
    if event is None:
        raise ApiError(404, "not-found", f"there is no event {id[:100]!r}", field="id")
    return document(event)
