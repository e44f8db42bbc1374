"""The heartbeat to the outside, against a server of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mozdef_core.options import Secret
from mozdef_core.services.heartbeat_url import HeartbeatUrl


class Watchdog(BaseHTTPRequestHandler):
    """Counts calls, and answers what it is told to."""

    calls: list[str]
    status = 200
    release: threading.Event | None = None

    def do_GET(self) -> None:
        self.calls.append(self.path)
        if self.release is not None:
            self.release.wait(10)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def watchdog() -> Iterator[tuple[str, type[Watchdog]]]:
    handler = type("Handler", (Watchdog,), {"calls": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/ping/key-7", handler
    if handler.release is not None:
        handler.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_is_called_while_the_watermark_advances_and_not_while_it_stands(
    watchdog: tuple[str, type[Watchdog]],
) -> None:
    url, handler = watchdog
    marks = iter([5, 6, 6, 6, 7])
    beat = HeartbeatUrl(Secret(url), lambda _now: next(marks))
    for _ in range(5):
        beat()
    assert handler.calls == ["/ping/key-7"] * 3
    assert beat.snapshot() == {"sent": 3, "failed": 0, "held_back": 2, "last_error": ""}


def test_a_failure_is_counted_told_of_once_and_does_not_show_the_address(
    watchdog: tuple[str, type[Watchdog]], caplog: pytest.LogCaptureFixture
) -> None:
    url, handler = watchdog
    handler.status = 503
    marks = iter(range(1, 9))
    beat = HeartbeatUrl(Secret(url), lambda _now: next(marks))
    beat()
    beat()
    assert beat.snapshot() == {"sent": 0, "failed": 2, "held_back": 0, "last_error": "the answer was 503"}
    assert caplog.text.count("the heartbeat did not arrive") == 1
    assert "key-7" not in caplog.text
    handler.status = 200
    beat()
    assert beat.snapshot()["last_error"] == ""


def test_a_watchdog_that_does_not_answer_costs_no_more_than_the_limit(
    watchdog: tuple[str, type[Watchdog]],
) -> None:
    url, handler = watchdog
    handler.release = threading.Event()
    beat = HeartbeatUrl(Secret(url), lambda _now: 1, timeout_s=0.05)
    beat()
    assert beat.snapshot()["last_error"] == "ReadTimeout"


def test_nobody_there_is_a_failure_too() -> None:
    beat = HeartbeatUrl(Secret("http://127.0.0.1:1/x"), lambda _now: 1)
    beat()
    assert (beat.beats.failed, beat.beats.last_error) == (1, "ConnectError")
