from __future__ import annotations

import gzip
import io
import json

import pytest

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.errors import QueueFullError, QueueUnavailableError
from mozdef_core.services.web.app import build_app
from mozdef_core.services.web.ingest import Entrance, Ingest
from mozdef_core.services.web.policy import DEFAULT_POLICIES, EntrancePolicy, Limits, WebSettings

EVENTS, NXLOG, BULK = Entrance("events", "events"), Entrance("nxlog", "nxlog"), Entrance("bulk", "_bulk")


class Refusing(MemoryQueue):
    """A queue that can be told to refuse."""

    error = None

    def put(self, items):
        if self.error is not None:
            raise self.error
        return super().put(items)


class Web:
    """The application and its queue, spoken to without a socket."""

    def __init__(self, verify=lambda secret, scope: None, **settings):
        self.queue = Refusing(Refusing.Options())
        self.ingest = Ingest(self.queue, WebSettings(**settings), verify)
        self.app = build_app(self.ingest)

    def request(self, method, path, body=b"", **headers):
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "x",
            "SERVER_PORT": "80", "REMOTE_ADDR": "192.0.2.7", "wsgi.url_scheme": "http", "wsgi.errors": io.StringIO(),
            "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "HTTP_USER_AGENT": "test", **headers,
        }  # fmt: skip
        got = {}
        parts = self.app(
            environ, lambda status, fields, _=None: got.update(status=int(status[:3]), headers=dict(fields))
        )
        content = b"".join(parts)
        self.headers = got["headers"]
        return got["status"], json.loads(content) if content else None

    def post(self, path, body, **headers):
        return self.request("POST", path, body, **headers)

    def items(self):
        deliveries = self.queue.take(10_000, 0)
        self.queue.acknowledge(deliveries)
        return [item for delivery in deliveries for item in delivery.items]


@pytest.fixture
def web():
    return Web()


@pytest.mark.parametrize(
    ("path", "name", "endpoint", "index"),
    [
        ("/events", "events", "events", None), ("/events/", "events", "events", None),
        ("/nxlog", "nxlog", "nxlog", None), ("/nxlog/", "nxlog", "nxlog", None),
        ("/_bulk", "bulk", "_bulk", None), ("/_bulk/", "bulk", "_bulk", None),
        ("/logs-1/_bulk", "bulk", "_bulk", "logs-1"), ("/custom/vault", "custom", "vault", None),
        ("/custom/vault/", "custom", "vault", None), ("/cef", "cef", "cef", None), ("/cef/", "cef", "cef", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_every_entrance_takes_an_event_and_says_where_it_came_in(web, method, path, name, endpoint, index):
    status, answer = web.request(method, path, b'{"summary": "x"}')
    (item,) = web.items()
    assert (status, answer) == (200, {"accepted": 1, "rejected": 0, "ids": [item.id]})
    origin = item.origin
    assert (origin.name, origin.kind, origin.endpoint, origin.index) == (name, "http", endpoint, index)
    assert origin.peer == "192.0.2.7"
    assert origin.decoder == ("cef" if name == "cef" else "json")
    assert item.raw == b'{"summary": "x"}'
    assert web.headers["Content-Type"] == "application/json"


def test_the_good_items_of_a_batch_are_accepted_and_the_others_kept_with_their_reason(web):
    status, answer = web.post("/events", b'[{"a":1},"x",{"b":2}]')
    good, refused, good_too = web.items()
    assert status == 400
    assert answer == {
        "accepted": 2, "rejected": 1, "ids": [good.id, None, good_too.id],
        "errors": [{"index": 1, "code": "not-an-object", "reason": "item 1 is a string, an object is required"}],
    }  # fmt: skip
    assert (refused.raw, refused.refusal) == (
        b'"x"',
        ("not-an-object", "the item is a string, an object is required"),
    )
    assert good.refusal is None


@pytest.mark.parametrize(
    ("path", "status"),
    [("/events", 400), ("/custom/x", 400), ("/nxlog", 200), ("/_bulk", 200), ("/cef", 200)],
)
@pytest.mark.parametrize("body", [b'{"a":1}\n"x"', b'{"a": nonsense'])
def test_shippers_get_200_for_what_is_kept_since_they_would_send_it_again_for_ever(web, path, status, body):
    assert web.post(path, body)[0] == status
    assert any(item.refusal for item in web.items())


@pytest.mark.parametrize("path", ["/nxlog", "/_bulk"])
@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"\x1f\x8b\x08broken", {"HTTP_CONTENT_ENCODING": "gzip"}, 400, "invalid-encoding"),
        (b"", {}, 400, "empty-body"),
        (b"x", {"HTTP_CONTENT_ENCODING": "br"}, 415, "unsupported-encoding"),
    ],
)
def test_what_is_not_kept_is_never_answered_with_200(web, path, body, headers, status, code):
    got, answer = web.post(path, body, **headers)
    assert got == status
    assert code in json.dumps(answer)
    assert web.items() == []


def test_nothing_refused_is_kept_where_the_site_does_not_want_it():
    web = Web(entrances={"nxlog": EntrancePolicy(partial_status=200, keep_rejected=False)})
    assert web.post("/nxlog", b'{"a": nonsense')[0] == 400
    assert web.post("/nxlog", b'{"a": 1}\n5')[1]["accepted"] == 1
    assert [item.raw for item in web.items()] == [b'{"a": 1}']


def test_a_repeat_gets_the_first_ones_id_and_is_counted(web):
    first = web.post("/events", b'{"event_id": "k", "n": 1}')[1]
    second = web.post("/events", b'[{"event_id": "k", "n": 1},{"n": 2}]')[1]
    assert first["ids"][0] == second["ids"][0]
    assert second["duplicates"] == 1
    assert "duplicates" not in first
    assert len(web.items()) == 2


def test_an_id_that_was_refused_can_be_sent_again_put_right(web):
    body = b'{"index":{"_id":"k"}}\n%s\n'
    assert web.post("/_bulk", body % b'{"a":')[1]["errors"] is True
    assert web.post("/_bulk", body % b'{"a":1}')[1]["items"][0]["index"]["result"] == "created"
    assert web.post("/_bulk", body % b'{"a":1}')[1]["items"][0]["index"]["result"] == "updated"
    assert [item.raw for item in web.items() if item.refusal is None] == [b'{"a":1}']


def test_each_item_of_a_bulk_request_names_its_index(web):
    web.post("/at/_bulk", b'{"index":{"_index":"mine"}}\n{"a":1}\n{"index":{}}\n{"b":1}\n')
    assert [item.origin.index for item in web.items()] == ["mine", "at"]


def test_large_items_are_413_unless_others_are_wrong_too():
    web = Web(limits=Limits(item_bytes=50))
    large = b'{"a": "' + b"x" * 60 + b'"}'
    status, answer = web.post("/events", b'{"b":1}\n' + large)
    assert (status, answer["accepted"], answer["errors"][0]["code"]) == (413, 1, "too-large")
    assert "50" in answer["errors"][0]["reason"]
    assert web.post("/events", b"5\n" + large)[0] == 400
    status, answer = web.post("/_bulk", b'{"index":{}}\n' + large)
    assert (status, answer["items"][0]["index"]["status"]) == (200, 413)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/events", lambda answer: answer["errors"][0]["code"]),
        ("/_bulk", lambda answer: answer["error"]["type"]),
    ],
)
def test_a_body_over_the_limit_is_413(path, where):
    web = Web(limits=Limits(body_bytes=1_000))
    for body, headers in (
        (b" " * 1_001, {}),
        (gzip.compress(b" " * 1_001), {"HTTP_CONTENT_ENCODING": "gzip"}),
    ):
        status, answer = web.post(path, body, **headers)
        assert (status, where(answer)) == (413, "too-large")
        assert "1000" in json.dumps(answer)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QueueFullError("the queue holds 1 GiB", 7.2), 429, "queue-full"),
        (QueueUnavailableError("disk full", 3), 503, "queue-unavailable"),
    ],
)
def test_when_the_queue_takes_nothing_the_sender_is_told_when_to_come_back(web, error, status, code):
    web.queue.error = error
    got, answer = web.post("/events", b'{"a":1}')
    assert (got, answer["accepted"], answer["errors"][0]["code"]) == (status, 0, code)
    assert str(error) in answer["errors"][0]["reason"]
    assert web.headers["Retry-After"] == ("8" if status == 429 else "3")
    got, answer = web.post("/_bulk", b'{"index":{}}\n{"a":1}')
    assert (got, answer["error"]["type"], web.headers["X-Elastic-Product"]) == (status, code, "Elasticsearch")
    assert web.post("/events", b"nonsense")[0] == status


def test_rsyslog_which_would_give_a_batch_up_gets_no_whole_answer(web):
    environ = {"wsgi.input": io.BytesIO(b'{"index":{}}\n{"a":1}'), "CONTENT_LENGTH": "20"}
    web.queue.error = QueueFullError("full")
    assert web.ingest.take(environ, BULK).broken
    named = {
        **environ,
        "wsgi.input": io.BytesIO(b'{"index":{}}\n{"a":1}'),
        "HTTP_USER_AGENT": "elasticsearch-py/9",
    }
    assert not web.ingest.take(named, BULK).broken
    plain = {**environ, "wsgi.input": io.BytesIO(b'{"index":{}}\n{"a":1}')}
    assert not web.ingest.take(plain, EVENTS).broken


def test_the_status_tells_whether_events_would_be_taken(web):
    assert web.request("GET", "/status")[1]["status"] == "ok"
    web.queue.error = QueueFullError("full", 60)
    web.post("/events", b'{"a":1}')
    assert web.request("GET", "/status")[0] == 200
    assert web.request("GET", "/status?ready=1")[0] == 503
    assert web.request("GET", "/_cat/health")[0] == 503
    web.queue.error = QueueUnavailableError("disk full", 60)
    web.post("/events", b'{"a":1}')
    status, answer = web.request("GET", "/status")
    assert (status, answer["reason"], web.headers["Retry-After"]) == (503, "disk full", "60")


def test_a_queue_that_takes_events_again_is_known_after_the_time_it_asked_for(web):
    web.queue.error = QueueUnavailableError("gone", 0)
    web.post("/events", b'{"a":1}')
    web.queue.error = None
    status, answer = web.request("GET", "/status?ready=1")
    assert (status, answer["status"], answer["service"], answer["queue"]["items"]) == (200, "ok", "mozdef", 0)


def test_tokens_are_asked_for_and_named_in_the_event():
    web = Web(lambda secret, scope: "web1" if secret == "good" else None, loopback=False)
    status, answer = web.post("/events", b'{"a":1}')
    assert (status, answer["errors"][0]["code"], web.headers["Www-Authenticate"]) == (
        401,
        "unauthorized",
        "Bearer",
    )
    assert web.post("/events", b'{"a":1}', HTTP_AUTHORIZATION="Bearer bad")[0] == 401
    status, answer = web.post("/_bulk", b'{"a":1}')
    assert (status, answer["error"]["type"]) == (401, "unauthorized")
    assert web.items() == []
    assert web.post("/events", b'{"a":1}', HTTP_AUTHORIZATION="Splunk good")[0] == 200
    assert web.items()[0].origin.token == "web1"


def test_a_token_over_its_rate_gets_429_and_nothing_of_the_request_is_kept():
    web = Web(lambda secret, scope: "web1", rate_per_s=2, burst_s=1)
    sent = [web.post("/events", b'{"a":1}\n{"b":1}', HTTP_AUTHORIZATION="Bearer t")[0] for _ in range(2)]
    assert sent == [200, 429]
    assert int(web.headers["Retry-After"]) >= 1
    assert len(web.items()) == 2


def test_what_comes_in_is_counted_by_entrance_and_code(web):
    web.post("/events", b'[{"event_id":"k"},{"event_id":"k"},5]')
    web.post("/events", b"")
    assert web.ingest.counts.snapshot() == {
        "events.requests": 1, "events.accepted": 2, "events.rejected": 1, "events.rejected.not-an-object": 1,
        "events.duplicates": 1, "events.bytes": 37, "events.refused.empty-body": 1,
    }  # fmt: skip


def test_the_defaults_are_those_of_people_and_of_shippers():
    assert {name: policy.partial_status for name, policy in DEFAULT_POLICIES.items()} == {
        "events": 400, "custom": 400, "nxlog": 200, "bulk": 200, "cef": 200,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/events", "/_bulk", "/custom/x", "/cef", "/nxlog"])
def test_another_method_is_answered_with_those_that_are_allowed(web, path):
    status, answer = web.request("GET", path)
    assert (status, answer["errors"][0]["code"]) == (405, "method-not-allowed")
    assert set(web.headers["Allow"].split(",")) == {"POST", "PUT"}
    assert web.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path", ["/nothing", "/custom/", "/custom/a/b", "/custom/" + "x" * 65, "/custom/a%20b"]
)
def test_an_address_that_is_none_is_answered_as_json(web, path):
    status, answer = web.post(path, b"{}")
    assert (status, answer["errors"][0]["code"]) == (404, "not-found")


def test_elasticsearchs_clients_find_a_server(web):
    status, answer = web.request("GET", "/")
    assert (status, web.headers["X-Elastic-Product"]) == (200, "Elasticsearch")
    assert answer["version"]["number"].split(".")[0] == "8"
    assert web.request("HEAD", "/") == (200, None)
    assert web.request("GET", "/_cat/health")[1]["status"] == "green"


def test_the_test_address_answers_nothing_well(web):
    assert web.request("GET", "/test") == (200, None)


def test_a_mistake_inside_is_answered_without_showing_it(web, caplog):
    web.ingest._split = None
    status, answer = web.post("/events", b"{}")
    assert (status, answer["errors"][0]["code"]) == (500, "error")
    assert "NoneType" not in json.dumps(answer)
    assert "NoneType" in caplog.text
