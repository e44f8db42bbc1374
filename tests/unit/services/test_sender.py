"""The sender against a server that answers from a list; what the command makes of it is in cli/test_send.py."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import orjson
import pytest

from mozdef_core.services.sender import MOST_ERRORS, MOST_WAIT_S, Sender, SendError

Answer = httpx.Response | httpx.HTTPError


class Server:
    """Gives its answers in order, the last one for ever, and keeps what it was sent."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def sender(self, monkeypatch: pytest.MonkeyPatch) -> Sender:
        make: Callable[..., httpx.Client] = httpx.Client
        with monkeypatch.context() as patch:
            patch.setattr(httpx, "Client", lambda **given: make(transport=httpx.MockTransport(self), **given))
            return Sender("http://siem.example", None, sleep=self.pauses.append)


def taken(accepted: int = 1, rejected: int = 0, **more: object) -> httpx.Response:
    return httpx.Response(200, content=orjson.dumps({"accepted": accepted, "rejected": rejected, **more}))


def busy(retry_after: str | None = None, status: int = 503) -> httpx.Response:
    return httpx.Response(status, headers={} if retry_after is None else {"Retry-After": retry_after})


LINES = [(1, b"{}")]


def test_nothing_is_sent_for_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(taken())
    server.sender(monkeypatch).send([])
    assert server.bodies == []


def test_pauses_grow_up_to_a_minute_and_follow_what_the_server_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(busy(), busy(), busy("30"), *[busy()] * 3, busy("600", 429), taken())
    server.sender(monkeypatch).send(LINES)
    assert server.pauses == [1, 2, 30, 60, 60, 60, MOST_WAIT_S]
    assert set(server.bodies) == {b"{}"}


def test_a_date_as_retry_after_counts_as_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(busy("Wed, 21 Oct 2026 07:28:00 GMT"), taken())
    server.sender(monkeypatch).send(LINES)
    assert server.pauses == [1]


def test_a_server_that_is_busy_between_failures_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = httpx.ConnectError("refused")
    server = Server(*[lost] * 5, busy(), *[lost] * 5, taken())
    sender = server.sender(monkeypatch)
    sender.send(LINES)
    assert sender.accepted == 1


def test_a_server_that_never_answers_is_given_up_after_six_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(httpx.ConnectError("refused"))
    with pytest.raises(SendError, match="refused; is 'mozdef serve' running, and is --url right"):
        server.sender(monkeypatch).send(LINES)
    assert len(server.bodies) == 6


def test_an_answer_that_takes_nothing_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    content = orjson.dumps({"errors": [{"code": "x", "reason": "no token"}, {"reason": "no right"}]})
    server = Server(httpx.Response(401, content=content))
    with pytest.raises(SendError, match="answered 401: no token; no right"):
        server.sender(monkeypatch).send(LINES)


def test_errors_are_kept_by_line_up_to_a_hundred_and_counts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [{"index": index, "code": "x", "reason": "y"} for index in range(70)]
    server = Server(taken(2, 70, duplicates=1, errors=errors))
    sender = server.sender(monkeypatch)
    for begin in (1, 1_001):
        sender.send([(begin + number, b"{}") for number in range(60)])
    assert (sender.accepted, sender.rejected, sender.duplicates) == (4, 140, 2)
    assert len(sender.errors) == MOST_ERRORS
    assert sender.errors[0] == {"line": 1, "code": "x", "reason": "y"}
    assert sender.errors[69]["line"] == 60  # an index beyond the lines is taken for the last
    assert sender.errors[70]["line"] == 1_001
