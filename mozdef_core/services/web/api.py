"""The API under ``/api/v1``: who may ask, how many at a time, and how errors are answered.

What is asked and answered is in the modules that api_operations.py names. They are imported at the first request, so
that a process that only takes events in does not hold them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mozdef_core.errors import QueryError, QueryTimeoutError, StoreUnavailableError
from mozdef_core.query.lists import NO_LISTS, Lists
from mozdef_core.services.web.access import Access
from mozdef_core.services.web.answers import JSON, Answer, retry_after
from mozdef_core.services.web.api_store import LazyStore
from mozdef_core.services.web.policy import RefusalError

if TYPE_CHECKING:
    from mozdef_core.casework.database import Database
    from mozdef_core.services.web.api_casework import Casework

CSV: Final = "text/csv; charset=utf-8"
PREFIX: Final = "/api/"
SCOPE: Final = "events:read"
_LISTS: Final = "/api/v1/lists"
_EXCEPTIONS: Final = "/api/v1/exceptions"
STORE_RETRY_S: Final = 5
BUSY_RETRY_S: Final = 1


class Route(NamedTuple):
    """An address of the API.

    :param path: as bottle writes it.
    :param scope: what a token must be for.
    :param status: of the answer when all went well.
    """

    path: str
    methods: tuple[str, ...]
    scope: str = SCOPE
    status: int = 200


ROUTES: Final[Mapping[str, Route]] = {
    "search_events": Route("/api/v1/events/search", ("GET", "POST")),
    "get_event": Route("/api/v1/events/<id>", ("GET",)),
    "list_fields": Route("/api/v1/fields", ("GET",)),
    "get_field": Route("/api/v1/fields/<name:path>", ("GET",)),
    "list_lists": Route(_LISTS, ("GET",), "lists:read"),
    "create_list": Route(_LISTS, ("POST",), "lists:write", 201),
    "get_list": Route(f"{_LISTS}/<name>", ("GET",), "lists:read"),
    "delete_list": Route(f"{_LISTS}/<name>", ("DELETE",), "lists:write"),
    "list_entries": Route(f"{_LISTS}/<name>/entries", ("GET",), "lists:read"),
    "add_entries": Route(f"{_LISTS}/<name>/entries", ("POST",), "lists:write"),
    "remove_entry": Route(f"{_LISTS}/<name>/entries", ("DELETE",), "lists:write"),
    "export_entries": Route(f"{_LISTS}/<name>/entries.csv", ("GET",), "lists:read"),
    "import_entries": Route(f"{_LISTS}/<name>/entries.csv", ("POST",), "lists:write"),
    "list_exceptions": Route(_EXCEPTIONS, ("GET",), "exceptions:read"),
    "create_exception": Route(_EXCEPTIONS, ("POST",), "exceptions:write", 201),
    "preview_exception": Route("/api/v1/exception-preview", ("POST",), "exceptions:write"),
    "get_exception": Route(f"{_EXCEPTIONS}/<id>", ("GET",), "exceptions:read"),
    "change_exception": Route(f"{_EXCEPTIONS}/<id>", ("PATCH",), "exceptions:write"),
    "end_exception": Route(f"{_EXCEPTIONS}/<id>", ("DELETE",), "exceptions:write"),
    "describe": Route("/api/v1/openapi.json", ("GET",)),
}


class Api:
    """Answers the API's requests; threads share it.

    :param store: where events are.
    :param searches: at most so many questions are asked of the store at a time.
    :param database: the casework database, None where there is none.
    :param lists: what is in the lists that queries name.
    """

    def __init__(
        self,
        access: Access,
        store: LazyStore,
        searches: int,
        database: Database | None = None,
        lists: Lists = NO_LISTS,
    ) -> None:
        self._access = access
        self._store = store
        self._searches = searches
        self._gate = threading.BoundedSemaphore(searches)
        self._database = database
        self._lists = lists

    def answer(self, environ: Mapping[str, Any], operation: str, names: Mapping[str, str]) -> Answer:
        """Answer one request.

        :param operation: key of :data:`ROUTES`.
        :param names: the parts of the address that vary.
        """
        try:
            label = self._access.require(environ, ROUTES[operation].scope)
            kind, body = self._perform(environ, operation, names, label)
            headers = [("Cache-Control", "private, no-store"), ("Content-Type", kind)]
            return Answer(ROUTES[operation].status, body, headers)
        except RefusalError as error:
            return refused(error)

    def _perform(
        self, environ: Mapping[str, Any], operation: str, names: Mapping[str, str], label: str
    ) -> tuple[str, bytes]:
        """Return the answer's type and body."""
        from mozdef_core.services.web.api_operations import OPERATIONS, description
        from mozdef_core.services.web.api_requests import Asked, read, read_csv

        if operation == "describe":
            read(Asked, environ)
            return JSON, description()
        wanted = OPERATIONS[operation]
        asked = read(wanted.asked, environ, csv=wanted.csv == "in")
        if not self._gate.acquire(blocking=False):
            reason = f"{self._searches} searches are running, more are not done at a time; come back"
            raise RefusalError(503, "busy", reason, retry_after_s=BUSY_RETRY_S)
        try:
            given: dict[str, Any] = {**names}
            if wanted.csv == "in":
                given["body"] = read_csv(environ)
            asks = self._casework(environ, label) if wanted.casework else self._store.get()
            answer = wanted.answer(asks, asked, **given)
            if isinstance(answer, bytes):
                return CSV, answer
            return JSON, answer.model_dump_json(by_alias=True, exclude_unset=True).encode()
        except StoreUnavailableError as error:
            raise RefusalError(503, "store-unavailable", str(error), retry_after_s=STORE_RETRY_S) from error
        except QueryTimeoutError as error:
            raise RefusalError(504, "query-timeout", str(error)) from error
        except QueryError as error:
            from mozdef_core.services.web.api_errors import invalid_query

            raise invalid_query(error, "query") from error
        finally:
            self._gate.release()

    def _casework(self, environ: Mapping[str, Any], label: str) -> Casework:
        """Return what an operation on the casework database is given.

        :raises RefusalError: there is none.
        """
        from mozdef_core.casework.audit import Actor
        from mozdef_core.services.web.api_casework import Casework

        if self._database is None:
            raise RefusalError(
                503, "unavailable", "there is no casework database here", retry_after_s=STORE_RETRY_S
            )
        actor = Actor(label, "token", environ.get("REMOTE_ADDR"))
        return Casework(self._database, self._lists, self._store, actor)


def refused(error: RefusalError) -> Answer:
    """Return the answer to a request that was not done."""
    from mozdef_core.services.web.api_errors import body_of

    headers = [("Cache-Control", "private, no-store")]
    if error.status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    if error.retry_after_s is not None:
        headers += retry_after(error.retry_after_s)
    return Answer(error.status, body_of(error), headers)
