from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from mozdef_core.services.web import reception
from mozdef_core.services.web.app import BREAK_OFF
from mozdef_core.services.web.policy import BodyLimits, RefusalError
from mozdef_core.services.web.reading import Bodies
from mozdef_core.services.web.reception import Reception, environ_of


def scope(method="POST", path="/events", query="", *, client="192.0.2.7:4242", version="1.1", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(
        method=method, path=path, query_string=query, client=client, server="[::1]:8080", scheme="http",
        http_version=version, headers=named,
    )  # fmt: skip


class Protocol:
    """The server's end of a request, which keeps what it is answered with."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.answer = None
        self.streamed = []
        self.ended = False

    async def __call__(self):
        return b"".join(self.pieces)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)

    def response_bytes(self, status, headers, content):
        self.answer = status, dict(headers), content
        self.answered_in = threading.current_thread()

    def response_stream(self, status, headers):
        self.response_bytes(status, headers, None)

        async def send_bytes(part):
            self.streamed.append(part)

        return SimpleNamespace(send_bytes=send_bytes)


class App:
    """A WSGI application that answers with what it was sent, and notes where it ran."""

    def __init__(self):
        self.seen = []
        self.threads = set()
        self.closed = 0
        self.held = []
        self.bodies = Bodies(BodyLimits(body_bytes=1_000))

    def __call__(self, environ, start):
        self.threads.add(threading.current_thread())
        self.seen.append(environ)
        self.held.append(self.bodies.snapshot()["held_bytes"])
        if environ["PATH_INFO"] == "/break":
            environ[BREAK_OFF] = True
        if environ["PATH_INFO"] == "/raise":
            raise KeyError("a bug")
        try:
            content = environ["wsgi.input"].read()
        except RefusalError as error:
            start(f"{error.status} Refused", [("Content-Length", "7")])
            return [b"refused"]
        start("200 OK", [("Content-Length", str(len(content))), ("X-One", "a")])
        app = self

        class Parts(list):
            def close(self):
                app.closed += 1

        return Parts([content[:2], content[2:]])


def serve(app, *requests):
    async def run():
        made = Reception(app, app.bodies, 2)
        found = await asyncio.gather(*(made.__rsgi__(*one) for one in requests), return_exceptions=True)
        made.__rsgi_del__(asyncio.get_running_loop())
        return found

    return asyncio.run(run())


def test_a_request_is_worked_on_and_answered_in_a_thread_of_the_pool():
    app, protocol = App(), Protocol(b"abcd")
    assert serve(app, (scope(content_length="4"), protocol)) == [None]
    assert protocol.answer == (200, {"Content-Length": "4", "X-One": "a"}, b"abcd")
    assert threading.current_thread() not in app.threads
    assert app.threads == {protocol.answered_in}  # from the event loop it costs a third more
    assert app.closed == 1


def test_a_body_counts_as_held_while_it_is_worked_on_and_nothing_keeps_it_then():
    app = App()
    serve(app, (scope(content_length="4"), Protocol(b"abcd")))
    assert app.held == [4]
    assert app.bodies.snapshot() == {"reading": 0, "held_bytes": 0}
    assert "wsgi.input" not in app.seen[0]


def test_what_the_application_raises_loses_no_memory_and_stops_nothing():
    app, protocol = App(), Protocol(b"abcd")
    found = serve(app, (scope(path="/raise", content_length="4"), Protocol(b"abcd")), (scope(), protocol))
    assert isinstance(found[0], KeyError)
    assert protocol.answer[0] == 200
    assert app.bodies.snapshot()["held_bytes"] == 0


def test_a_body_that_is_refused_is_answered_by_the_application_and_ends_the_connection():
    app, protocol = App(), Protocol(b"x" * 600, b"x" * 600, b"y" * 600, b"")
    serve(app, (scope(transfer_encoding="chunked"), protocol))
    assert protocol.answer == (413, {"Content-Length": "7", "Connection": "close"}, b"refused")
    assert protocol.pieces == []  # heard out, so that the sender sees the answer


def test_a_body_that_was_given_up_is_not_read_on():
    """Granian would wait in the event loop for the piece that was being waited for."""

    class Stalled(Protocol):
        asked = 0

        async def __anext__(self):
            self.asked += 1
            await asyncio.sleep(10)

    app, protocol = App(), Stalled()
    app.bodies = Bodies(BodyLimits(timeout_s=0.02))
    serve(app, (scope(transfer_encoding="chunked"), protocol))
    assert protocol.answer[0] == 408
    assert protocol.asked == 1


def test_a_connection_is_broken_off_by_an_answer_that_stops_short(monkeypatch):
    monkeypatch.setattr(reception, "PAUSE_S", 0)
    app, protocol = App(), Protocol(b"abcd")
    serve(app, (scope(path="/break", content_length="4"), protocol))
    assert protocol.answer == (200, {"X-One": "a", "Content-Length": "5"}, None)
    assert sum(map(len, protocol.streamed)) < 5


@pytest.mark.parametrize(
    ("given", "address", "port"),
    [("192.0.2.7:4242", "192.0.2.7", "4242"), ("[2001:db8::7]:9", "2001:db8::7", "9")],
)
def test_the_environment_is_that_of_pep_3333(given, address, port):
    made = environ_of(
        scope(path="/custom/\u00e4", query="a=%41", client=given, content_type="text/plain", content_length="3",
              user_agent="test")
    )  # fmt: skip
    expected = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/custom/\u00c3\u00a4", "QUERY_STRING": "a=%41",
        "SERVER_NAME": "::1", "SERVER_PORT": "8080", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": address,
        "REMOTE_PORT": port, "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "3", "HTTP_USER_AGENT": "test",
        "wsgi.url_scheme": "http", "wsgi.version": (1, 0),
    }  # fmt: skip
    assert expected.items() <= made.items()
    assert "wsgi.input" not in made


def test_a_field_that_comes_twice_is_one_with_a_comma():
    twice = scope()
    twice.headers = SimpleNamespace(items=lambda: [("x-a", "1"), ("x-a", "2")])
    assert environ_of(twice)["HTTP_X_A"] == "1,2"
