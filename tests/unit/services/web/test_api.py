from __future__ import annotations

import threading

import pytest
from jsonschema import ValidationError

from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import ConfigError, QueryTimeoutError, StoreUnavailableError
from mozdef_core.services.web.access import Access
from mozdef_core.services.web.api import ROUTES
from mozdef_core.services.web.policy import RefusalError, WebSettings
from tests.unit.services.web.asking import DESCRIPTION, Asking, valid

SEARCH = "/api/v1/events/search"
ADDRESSES = [SEARCH, "/api/v1/events/x", "/api/v1/fields", "/api/v1/fields/hostname", "/api/v1/openapi.json"]


@pytest.fixture
def asking(make_event, make_store):
    return Asking(make_store([make_event("login", hostname="h1", details={"username": "ines"})]))


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_is_read_without_a_token_of_the_scope_not_even_on_loopback(asking, address):
    status, answer = asking.request("GET", address, token=None)
    assert (status, answer["error"]["code"], asking.headers["WWW-Authenticate"]) == (
        401,
        "unauthorized",
        "Bearer",
    )
    assert "mozdef tokens create --scope events:read" in answer["error"]["message"]
    assert asking.request("GET", address, token="expired")[0] == 401
    status, answer = asking.request("GET", address, token="writer")
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert "events:read" in answer["error"]["message"]


def test_a_token_known_for_one_scope_is_looked_up_again_for_another():
    asked = []

    def verify(secret, scope):
        asked.append(scope)
        if scope != "events:write":
            raise PermissionError(scope)
        return "a writer"

    access = Access(WebSettings(loopback=False), verify)
    environ = {"HTTP_AUTHORIZATION": "Bearer x"}
    assert access.require(environ, "events:write") == "a writer"
    with pytest.raises(RefusalError, match="events:read"):
        access.require(environ, "events:read")
    assert asked == ["events:write", "events:read"]


def test_an_unknown_address_and_a_wrong_method_are_answered_in_the_api_s_form(asking):
    assert asking.request("GET", "/api/v1/event")[0] == 404
    assert asking.request("GET", "/api/v2/events/search")[1]["error"]["code"] == "not-found"
    status, answer = asking.request("DELETE", SEARCH)
    assert (status, answer["error"]["message"]) == (405, "use GET or POST")
    assert asking.headers["Allow"] == "GET,POST"
    assert asking.request("POST", "/api/v1/fields")[0] == 405
    assert asking.headers["Allow"] == "GET"
    assert asking.request("GET", "/api/v1/events/\xff")[0] == 404


def test_head_says_what_get_would(asking):
    assert asking.request("HEAD", SEARCH) == (200, None)
    assert asking.request("HEAD", SEARCH, token=None) == (401, None)


def test_no_answer_may_be_kept_by_a_cache(asking):
    asking.get(SEARCH)
    assert asking.headers["Cache-Control"] == "private, no-store"


def test_the_store_is_opened_at_the_first_question_and_once():
    opened = []
    asking = Asking(open_store=lambda: opened.append(MemoryStore()) or opened[-1])
    assert asking.request("GET", SEARCH, token=None)[0] == 401
    assert asking.get("/api/v1/openapi.json")[0] == 200
    assert asking.error(f"{SEARCH}?qery=x")
    assert opened == []
    assert asking.get(SEARCH)[0] == asking.get(SEARCH)[0] == 200
    assert len(opened) == 1


@pytest.mark.parametrize("error", [StoreUnavailableError("the disk is away"), ConfigError(["store: wrong"])])
def test_a_store_that_cannot_be_opened_is_tried_again_at_the_next_question(error):
    failures = [error]

    def open_store():
        if failures:
            raise failures.pop()
        return MemoryStore()

    asking = Asking(open_store=open_store)
    status, answer = asking.get(SEARCH)
    assert (status, answer["error"]["code"], asking.headers["Retry-After"]) == (503, "store-unavailable", "5")
    assert str(error) in answer["error"]["message"]
    assert asking.get(SEARCH)[0] == 200


class Slow(MemoryStore):
    """A store whose searches wait."""

    def __init__(self):
        super().__init__()
        self.begun, self.end = threading.Semaphore(0), threading.Event()

    def search(self, search):
        self.begun.release()
        assert self.end.wait(30)
        return super().search(search)


def test_more_questions_than_are_worked_on_at_a_time_are_told_to_come_back():
    store, answers = Slow(), []
    asking = Asking(store, searches=2)
    threads = [threading.Thread(target=lambda: answers.append(asking.get(SEARCH)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert store.begun.acquire(timeout=30)
    status, answer = asking.get(SEARCH)
    assert (status, answer["error"]["code"], asking.headers["Retry-After"]) == (503, "busy", "1")
    assert asking.get("/api/v1/fields/hostname")[0] == 503
    assert asking.get("/api/v1/openapi.json")[0] == 200
    store.end.set()
    for thread in threads:
        thread.join(30)
    assert answers == [200, 200]
    assert asking.get(SEARCH)[0] == 200


def test_failed_questions_leave_room_for_others():
    failures = []

    class Failing(MemoryStore):
        def search(self, search):
            raise failures.pop()

    asking = Asking(Failing(), searches=1)
    for error, wanted in [
        (QueryTimeoutError("took longer than 30 s"), (504, "query-timeout")),
        (StoreUnavailableError("gone"), (503, "store-unavailable")),
        (ZeroDivisionError("a bug"), (500, "error")),
    ]:
        failures.append(error)
        status, answer = asking.get(SEARCH)
        assert (status, answer["error"]["code"]) == wanted
        assert "a bug" not in answer["error"]["message"]


def test_the_description_has_every_address_with_its_methods(asking):
    status, answer = asking.get("/api/v1/openapi.json")
    assert (status, answer) == (200, DESCRIPTION)
    paths = {
        path: {method for route in ROUTES.values() if route.path == path for method in route.methods}
        for path in (route.path for route in ROUTES.values())
    }
    for path, methods in paths.items():
        known = DESCRIPTION["paths"][path.replace(":path>", ">").replace("<", "{").replace(">", "}")]
        assert {method.upper() for method in known} == methods
    assert len(DESCRIPTION["paths"]) == len(paths)
    assert asking.error("/api/v1/openapi.json?x=1")["code"] == "unknown-field"


def test_an_answer_that_the_description_does_not_know_is_found_out():
    schema = {"$ref": "#/components/schemas/SearchAnswer"}
    page = {"items": [], "next": None, "complete": True, "from": "x", "to": None}
    valid(schema, page)
    for wrong in (
        {**page, "more": 1},
        {**page, "items": [{}]},
        {**page, "next": 1},
        {**page, "aggregations": {"x": {}}},
    ):
        with pytest.raises(ValidationError):
            valid(schema, wrong)
