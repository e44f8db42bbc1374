"""Asking Auth0 through pages, outages, limits and restarts, without a gap or a double."""

from __future__ import annotations

import json
import threading
import time

import orjson
import pytest
from mozdef_auth0 import Auth0Input, Auth0Options
from mozdef_auth0.answers import RefusedError, asked_wait_s, wait_s
from pydantic import ValidationError

from mozdef_core import Secret
from mozdef_core.testing_contracts.input import RunningInput


@pytest.fixture
def start(new_input, intake):
    running = []

    def begin(**options):
        running.append(RunningInput(new_input(**options), intake))
        return running[-1]

    yield begin
    for one in running:
        one.stopping.set()
        one.stop()


def types(intake):
    return [orjson.loads(raw)["type"] for raw in intake.messages]


def position(tmp_path):
    return json.loads((tmp_path / "state/example.eu.auth0.com.json").read_text())


def until(condition):
    end_s = time.monotonic() + 20
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.005)
    assert condition()


def test_every_page_is_read_in_order_and_the_position_is_readable(server, start, intake, tmp_path):
    server.add(*map(str, range(25)))
    running = start(take=10)
    intake.until(25)
    until(lambda: position(tmp_path)["log_id"] == server.log[-1]["_id"])
    running.stop()
    assert types(intake) == [str(number) for number in range(25)]
    assert intake.repeats == 0
    assert intake.calls[0][2] == {"hostname": "example.eu.auth0.com", "tags": ["auth0"]}
    assert [question.get("from") for question in server.asked[:4]] == [
        None,
        *(server.log[number]["_id"] for number in (0, 10, 20)),
    ]


def test_an_outage_in_the_middle_neither_loses_nor_doubles(server, start, intake):
    server.add(*map(str, range(30)))
    server.troubles.extend([(503, {}), None])
    start(take=10)
    intake.until(11)
    server.troubles.extend([(500, {}), None, (429, {"Retry-After": "0"}), (502, {})])
    server.add(*map(str, range(30, 45)))
    intake.until(45)
    assert types(intake) == [str(number) for number in range(45)]
    assert intake.repeats == 0
    assert not server.troubles


def test_a_limit_is_waited_for(server, start, intake):
    server.add("a")
    server.troubles.append((429, {"Retry-After": "1"}))
    start()
    intake.until(1)
    assert server.times_s[1] - server.times_s[0] >= 1


def test_after_a_restart_it_goes_on_where_it_was(server, start, intake):
    server.add("a", "b")
    first = start()
    intake.until(2)
    until(lambda: server.asked[-1].get("from") == server.log[-1]["_id"])
    first.stop()
    asked = len(server.asked)
    server.add("c")
    start()
    intake.until(3)
    assert types(intake) == ["a", "b", "c"]
    assert server.asked[asked]["from"] == server.log[1]["_id"]


def test_records_that_were_put_but_not_noted_are_put_again_under_the_same_ids(server, new_input, intake):
    server.add("a", "b", "c")
    intake.failure_after_put = RuntimeError("killed between put and note")
    source = new_input()
    with pytest.raises(RuntimeError, match="killed"):
        source.run(intake, threading.Event())
    intake.failure_after_put = None
    running = RunningInput(new_input(), intake)
    intake.until(3)
    running.stop()
    assert types(intake) == ["a", "b", "c"]
    assert intake.repeats == 1


def test_while_the_log_is_empty_the_beginning_stays_where_it_was(server, start, intake, tmp_path):
    start(start=3600)
    until(lambda: len(server.asked) > 1)
    since = position(tmp_path)["since"]
    assert {question["q"] for question in server.asked} == {f"date:[{since} TO *]"}
    server.add("a")
    intake.until(1)


def test_a_token_that_has_ended_is_renewed(server, start, intake):
    server.add("a")
    start()
    intake.until(1)
    server.tokens.append("of somebody else")
    server.add("b")
    intake.until(2)
    assert server.tokens[2:] == ["token-2"]


def test_a_short_lived_token_is_renewed_before_each_question(server, start, intake):
    server.valid_s = 30
    server.add("a", "b")
    start()
    intake.until(2)
    assert len(server.tokens) >= 2


@pytest.mark.parametrize(
    ("options", "troubles", "said"),
    [
        ({"client_secret": Secret("wrong")}, [], "oauth/token answered 401: Unauthorized; access_denied"),
        ({}, [(403, {})], "api/v2/logs answered 403: trouble"),
        ({}, [(401, {}), (401, {})], "api/v2/logs answered 401"),
    ],
)
def test_a_refusal_ends_the_input_and_says_why_without_the_secret(
    options, troubles, said, server, new_input, intake
):
    server.troubles.extend(troubles)
    with pytest.raises(RefusedError) as raised:
        new_input(**options).run(intake, threading.Event())
    assert said in str(raised.value)
    assert "wrong" not in str(raised.value)


def test_a_page_without_log_ids_stops_the_input_before_anything_is_put_twice(server, new_input, intake):
    server.add("a")
    server.log.append("torn")
    source = new_input()
    server.records = lambda _question: ["torn"]
    with pytest.raises(RefusedError, match="without a new log id"):
        source.run(intake, threading.Event())
    assert intake.messages == []


def test_a_record_that_is_none_among_others_is_kept(server, start, intake):
    server.add("a", "b")
    server.log.insert(1, "torn")
    start()
    intake.until(3)
    assert [orjson.loads(raw) for raw in intake.messages][1] == "torn"


def test_two_inputs_do_not_share_a_position(new_input):
    first, second = new_input(), new_input()
    first.bind()
    with pytest.raises(OSError, match="another input uses it"):
        second.bind()


def test_a_damaged_position_is_kept_and_reading_begins_anew(server, new_input, start, intake, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/example.eu.auth0.com.json").write_text("[1")
    server.add("a")
    start()
    intake.until(1)
    assert (tmp_path / "state/example.eu.auth0.com.damaged").read_text() == "[1"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "http://proxy.example"}, "the secret would travel unencrypted"),
        ({"url": "ftp://proxy.example"}, "expected an address"),
        ({"domain": "../x"}, "domain"),
        ({"client_secret": "in the open"}, "never as the value itself"),
        ({"take": 101}, "less than or equal to 100"),
        ({"interval": 0}, "interval"),
    ],
)
def test_options_that_are_wrong_are_refused(options, problem):
    fixed = {"domain": "example.eu.auth0.com", "client_id": "id", "client_secret": Secret("x")}
    with pytest.raises(ValidationError, match=problem):
        Auth0Options(**{**fixed, **options})


def test_the_secret_is_shown_nowhere(new_input):
    source = new_input()
    assert isinstance(source, Auth0Input)
    assert "s3cret" not in f"{source.options!r}{source.options.model_dump()}"


def test_waiting_grows_and_respects_what_is_asked(monkeypatch):
    monkeypatch.setattr("mozdef_auth0.answers.FIRST_WAIT_S", 1.0)
    for failures in range(1, 40):
        longest_s = min(2.0 ** (failures - 1), 300)
        assert longest_s / 2 <= wait_s(failures, None) <= longest_s
    assert wait_s(1, 77.0) == 77


@pytest.mark.parametrize(
    ("headers", "least_s", "most_s"),
    [
        ({"Retry-After": "12"}, 12, 12),
        ({"Retry-After": "1e9"}, 3_600, 3_600),
        ({"Retry-After": "-3"}, 0, 0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0, 0),
        ({"X-RateLimit-Reset": str(int(time.time()) + 100)}, 0, 100),
    ],
)
def test_what_a_service_asks_for_is_understood(headers, least_s, most_s):
    assert least_s <= asked_wait_s(headers) <= most_s


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "nan"}])
def test_what_cannot_be_understood_asks_for_nothing(headers):
    assert asked_wait_s(headers) is None
