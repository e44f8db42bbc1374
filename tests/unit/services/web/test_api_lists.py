"""Lists and exceptions over the API, each answer as the description says."""

from __future__ import annotations

import shutil
from urllib.parse import quote

import orjson
import pytest

from mozdef_core.casework import audit
from mozdef_core.casework.database import Database
from mozdef_core.casework.list_book import ListBook
from mozdef_core.casework.migration import migrate
from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.event import now_us
from mozdef_core.services.listed_store import ListedStore
from mozdef_core.services.web.access import Access
from mozdef_core.services.web.api import Api
from mozdef_core.services.web.api_store import LazyStore
from mozdef_core.services.web.app import build_app
from mozdef_core.services.web.ingest import Ingest
from mozdef_core.services.web.policy import WebSettings
from mozdef_core.testing_contracts.store_events import stored_event
from tests.unit.services.web.asking import DESCRIPTION, Asking, described, valid

LISTS, EXCEPTIONS = "/api/v1/lists", "/api/v1/exceptions"


def verify(secret, scope):
    """Know tokens by the scopes in their names."""
    if secret != "all" and scope not in secret.split("+"):
        raise PermissionError(scope)
    return secret


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("api") / "empty.sqlite"
    migrate(f"sqlite:///{path}")
    return path


class Site(Asking):
    """The application over a store and a casework database."""

    def __init__(self, database):
        self.database = database
        self.store = MemoryStore()
        lists = ListBook(database)
        settings, listed = WebSettings(), ListedStore(self.store, lists)
        api = Api(Access(settings, verify), LazyStore(lambda: listed), 2, database, lists)
        self.app = build_app(Ingest(MemoryQueue(MemoryQueue.Options()), settings, verify), api)

    def ask(self, method, path, document=None, token="all"):
        body = (
            b"" if document is None else document if isinstance(document, bytes) else orjson.dumps(document)
        )
        return self.request(method, path, body, token=token)


@pytest.fixture
def site(empty, tmp_path):
    shutil.copy(empty, tmp_path / "casework.sqlite")
    database = Database(f"sqlite:///{tmp_path}/casework.sqlite")
    yield Site(database)
    database.close()


@pytest.fixture
def bad(site):
    assert site.ask("POST", LISTS, {"name": "bad", "kind": "addresses", "comment": "scanners"})[0] == 201
    return f"{LISTS}/bad"


def test_a_list_is_made_filled_read_and_deleted(site, bad):
    status, answer = site.ask("POST", f"{bad}/entries", {"entries": [
        {"value": "10.1.2.3/8", "comment": "lab", "expires": "30d"}, {"value": "2001:DB8::1"}]})  # fmt: skip
    assert (status, answer) == (200, {"entries": 2, "added": 2})
    status, answer = site.ask("GET", f"{bad}/entries?limit=1")
    assert (status, answer["next"], answer["items"][0]["value"]) == (200, "10.0.0.0/8", "10.0.0.0/8")
    assert answer["items"][0]["source"] == "all"
    status, answer = site.ask("GET", f"{bad}/entries?cursor={quote(answer['next'])}")
    assert [(one["value"], one["expires"]) for one in answer["items"]] == [("2001:db8::1", None)]
    assert [one["entries"] for one in site.ask("GET", LISTS)[1]["items"]] == [2]
    assert site.ask("DELETE", f"{bad}/entries?value=10.0.0.0/8") == (200, {"removed": 1})
    assert site.ask("DELETE", f"{bad}/entries?value=10.0.0.0/8") == (200, {"removed": 0})
    assert site.ask("GET", bad)[1]["entries"] == 1
    assert site.ask("DELETE", bad) == (200, {"removed": 1})
    assert site.ask("GET", bad)[0] == 404
    with site.database.read() as session:
        trail = audit.entries(session, "list", "bad")
    assert [(one.actor, one.actor_kind, one.action) for one in trail] == [
        ("all", "token", action) for action in ("created", "added", "removed", "deleted")
    ]


@pytest.mark.parametrize(
    ("method", "path", "document", "status", "field"),
    [
        ("POST", LISTS, {"name": "bad", "kind": "texts"}, 409, "name"),
        ("POST", LISTS, {"name": "A", "kind": "texts"}, 400, "name"),
        ("POST", LISTS, {"name": "a", "kind": "cars"}, 400, "kind"),
        ("POST", LISTS, {"name": "a"}, 400, "kind"),
        ("GET", f"{LISTS}/bda", None, 404, "name"),
        ("POST", f"{LISTS}/bda/entries", {"entries": [{"value": "10.0.0.1"}]}, 404, "name"),
        ("POST", f"{LISTS}/bad/entries", {"entries": [{"value": "10.0.0.1"}, {"value": "x"}]}, 400, "entries"),
        ("POST", f"{LISTS}/bad/entries", {"entries": [{"value": "10.0.0.1", "expires": "soon"}]}, 400, "entries.0.expires"),
        ("POST", f"{LISTS}/bad/entries", {"entries": []}, 400, "entries"),
        ("DELETE", f"{LISTS}/bad/entries", None, 400, "value"),
        ("DELETE", f"{LISTS}/bad/entries?value=x", None, 400, "value"),
        ("GET", f"{LISTS}/bad/entries?limit=0", None, 400, "limit"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_its_place(site, bad, method, path, document, status, field):
    got, answer = site.ask(method, path, document)
    assert (got, answer["error"]["field"]) == (status, field)
    assert site.ask("GET", bad)[1]["entries"] == 0


def test_a_file_goes_in_and_comes_out(site, bad):
    file = b"value,comment,expires\r\n10.0.0.1,=cmd,2100-01-01\r\n# a remark\r\n\r\n192.0.2.0/24,,\r\n"
    assert site.ask("POST", f"{bad}/entries.csv", file) == (200, {"entries": 2, "added": 2, "removed": 0})
    out = take_out(site, bad)
    assert out[0] == b"value,source,comment,added,expires"
    assert out[1].startswith(b"10.0.0.1,all,'=cmd,")
    assert out[1].endswith(b",2100-01-01T00:00:00.000000+00:00")
    status, answer = site.ask("POST", f"{bad}/entries.csv?replace=true", b"\r\n".join([out[0], out[1]]))
    assert (status, answer) == (200, {"entries": 1, "added": 0, "removed": 1})
    assert take_out(site, bad)[1:] == [out[1]]


def take_out(site, path):
    """Return the lines of a list's file."""
    lines = []

    def start(status, headers, _=None):
        assert (status[:3], dict(headers)["Content-Type"]) == ("200", "text/csv; charset=utf-8")

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"{path}/entries.csv", "QUERY_STRING": "", "SERVER_NAME": "x",
               "SERVER_PORT": "80", "wsgi.url_scheme": "http", "HTTP_AUTHORIZATION": "Bearer all"}  # fmt: skip
    lines += b"".join(site.app(environ, start)).splitlines()
    return lines


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"10.0.0.1\nhost\n10.0.0.2\nx\n", "line 2: expected an address or a network such as 192.0.2.0/24, got 'host'; line 4: "),
        (b"value,colour\n10.0.0.1,red\n", "line 1: expected columns among value, source, comment, added, expires, got 'colour'"),
        (b"value,expires\n10.0.0.1,soon\n", "line 2: expected a span such as 30d"),
        (b"value,expires\n10.0.0.1,2001-01-01\n", "line 2: '10.0.0.1': expected a time to come"),
        (b'10.0.0.1\n"10.0.0.2\n', "line 2: "),
        (b"\xff\n", "the file is not UTF-8"),
    ],
)  # fmt: skip
def test_of_a_file_with_a_wrong_line_nothing_is_taken(site, bad, file, reason):
    status, answer = site.ask("POST", f"{bad}/entries.csv", file)
    assert status == 400
    assert answer["error"]["message"].startswith(reason)
    assert site.ask("GET", bad)[1]["entries"] == 0


def test_of_very_many_wrong_lines_the_first_are_named(site, bad):
    _, answer = site.ask("POST", f"{bad}/entries.csv", b"x\n" * 100)
    assert "line 20: " in answer["error"]["message"]
    assert "line 21: " not in answer["error"]["message"]
    assert answer["error"]["message"].endswith("and 80 more")


def test_a_search_looks_into_a_list_and_names_one_that_is_not_there(site, bad):
    site.store.write([stored_event(now_us() - step, details={"ip": f"10.0.0.{step}"}) for step in range(4)])
    site.ask("POST", f"{bad}/entries", {"entries": [{"value": "10.0.0.2/31"}]})
    question = {"query": "details.ip:@bad", "total": True}
    status, answer = site.ask("POST", "/api/v1/events/search", question)
    assert (status, answer["total"]) == (200, 2)
    status, answer = site.ask("POST", "/api/v1/events/search", {"query": "details.ip:@bda"})
    assert (status, answer["error"]["message"]) == (400, "there is no list @bda; did you mean @bad?")


WANTED = {"scope": "rule", "target": "ssh", "query": "details.user:joe", "owner": "ines", "reason": "backup", "expires": "90d"}  # fmt: skip


def test_an_exception_is_made_changed_and_ended(site):
    status, made = site.ask("POST", EXCEPTIONS, WANTED)
    assert (status, made["state"], made["hits"], made["samples"]) == (201, "in force", 0, [])
    path = f"{EXCEPTIONS}/{made['id']}"
    assert site.ask("GET", path) == (200, made)
    status, changed = site.ask("PATCH", path, {"reason": "another", "scope": "all", "target": ""})
    assert (status, changed["reason"], changed["target"], changed["expires"]) == (
        200,
        "another",
        "",
        made["expires"],
    )
    assert [one["id"] for one in site.ask("GET", EXCEPTIONS)[1]["items"]] == [made["id"]]
    assert site.ask("DELETE", path)[1]["state"] == "expired"
    assert site.ask("GET", EXCEPTIONS)[1]["items"] == []
    assert len(site.ask("GET", f"{EXCEPTIONS}?expired=true")[1]["items"]) == 1
    assert site.ask("PATCH", path, {"reason": "x"})[0] == 400


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"query": "a AND ("}, "query"),
        ({"query": "a:@nobody"}, "query"),
        ({"expires": "400d"}, "expires"),
        ({"expires": ""}, "expires"),
        ({"expires": "soon"}, "expires"),
        ({"scope": "some"}, "scope"),
        ({"target": ""}, "target"),
        ({"owner": " "}, "owner"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_exception_that_cannot_be_is_refused_with_its_place(site, change, field):
    status, answer = site.ask("POST", EXCEPTIONS, {**WANTED, **change})
    assert (status, answer["error"]["field"]) == (400, field)


def test_the_right_of_a_token_decides(site, bad):
    site.ask("POST", EXCEPTIONS, WANTED)
    cases = [
        ("GET", LISTS, None, "lists:read"),
        ("POST", LISTS, {"name": "b", "kind": "texts"}, "lists:write"),
        ("POST", f"{bad}/entries", {"entries": [{"value": "10.0.0.1"}]}, "lists:write"),
        ("DELETE", f"{bad}/entries?value=10.0.0.1", None, "lists:write"),
        ("DELETE", bad, None, "lists:write"),
        ("GET", EXCEPTIONS, None, "exceptions:read"),
        ("POST", EXCEPTIONS, WANTED, "exceptions:write"),
        ("POST", "/api/v1/exception-preview", {"scope": "all", "query": "*"}, "exceptions:write"),
    ]
    scopes = {scope for *_, scope in cases} | {"events:read", "events:write"}
    for method, path, document, scope in cases:
        status, answer = site.ask(method, path, document, token="+".join(scopes - {scope}))
        assert (status, answer["error"]["code"]) == (403, "forbidden"), path
        assert site.ask(method, path, document, token=scope)[0] in (200, 201), path
    assert site.ask("GET", LISTS, token=None)[0] == 401


def test_each_operation_says_which_right_it_needs():
    for path, methods in DESCRIPTION["paths"].items():
        for method in methods:
            if not path.endswith("openapi.json"):
                assert "scope" in described(path, method.upper())["description"]
    with pytest.raises(Exception, match="required"):
        valid({"$ref": "#/components/schemas/ListAnswer"}, {})
