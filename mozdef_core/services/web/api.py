"""The API under ``/api/v1``: who may ask, how many at a time, and how errors are answered.

What is asked and answered is in the modules that api_operations.py names. They are imported at the first request, so
that a process that only takes events in does not hold them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mozdef_core.errors import QueryError, QueryTimeoutError, StoreUnavailableError
from mozdef_core.services.web.access import Access
from mozdef_core.services.web.answers import Answer, retry_after
from mozdef_core.services.web.api_store import LazyStore
from mozdef_core.services.web.policy import RefusalError

PREFIX: Final = "/api/"
SCOPE: Final = "events:read"
STORE_RETRY_S: Final = 5
BUSY_RETRY_S: Final = 1


class Route(NamedTuple):
    """An address of the API.

    :param path: as bottle writes it.
    """

    path: str
    methods: tuple[str, ...]


ROUTES: Final[Mapping[str, Route]] = {
    "search_events": Route("/api/v1/events/search", ("GET", "POST")),
    "get_event": Route("/api/v1/events/<id>", ("GET",)),
    "list_fields": Route("/api/v1/fields", ("GET",)),
    "get_field": Route("/api/v1/fields/<name:path>", ("GET",)),
    "describe": Route("/api/v1/openapi.json", ("GET",)),
}


class Api:
    """Answers the API's requests; threads share it.

    :param store: where events are.
    :param searches: at most so many questions are asked of the store at a time.
    """

    def __init__(self, access: Access, store: LazyStore, searches: int) -> None:
        self._access = access
        self._store = store
        self._searches = searches
        self._gate = threading.BoundedSemaphore(searches)

    def answer(self, environ: Mapping[str, Any], operation: str, names: Mapping[str, str]) -> Answer:
        """Answer one request.

        :param operation: key of :data:`ROUTES`.
        :param names: the parts of the address that vary.
        """
        try:
            self._access.require(environ, SCOPE)
            return Answer(
                200, self._perform(environ, operation, names), [("Cache-Control", "private, no-store")]
            )
        except RefusalError as error:
            return refused(error)

    def _perform(self, environ: Mapping[str, Any], operation: str, names: Mapping[str, str]) -> bytes:
        from mozdef_core.services.web.api_operations import OPERATIONS, description
        from mozdef_core.services.web.api_requests import Asked, read

        if operation == "describe":
            read(Asked, environ)
            return description()
        asked = read(OPERATIONS[operation].asked, environ)
        if not self._gate.acquire(blocking=False):
            reason = f"{self._searches} searches are running, more are not done at a time; come back"
            raise RefusalError(503, "busy", reason, retry_after_s=BUSY_RETRY_S)
        try:
            answer = OPERATIONS[operation].answer(self._store.get(), asked, **names)
            return answer.model_dump_json(by_alias=True, exclude_unset=True).encode()
        except StoreUnavailableError as error:
            raise RefusalError(503, "store-unavailable", str(error), retry_after_s=STORE_RETRY_S) from error
        except QueryTimeoutError as error:
            raise RefusalError(504, "query-timeout", str(error)) from error
        except QueryError as error:
            from mozdef_core.services.web.api_errors import invalid_query

            raise invalid_query(error, "query") from error
        finally:
            self._gate.release()


def refused(error: RefusalError) -> Answer:
    """Return the answer to a request that was not done."""
    from mozdef_core.services.web.api_errors import body_of

    headers = [("Cache-Control", "private, no-store")]
    if error.status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    if error.retry_after_s is not None:
        headers += retry_after(error.retry_after_s)
    return Answer(error.status, body_of(error), headers)
