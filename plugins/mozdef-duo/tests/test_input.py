"""Asking Duo through pages, outages, limits, late records and restarts, without a gap or a double."""

from __future__ import annotations

import json
import threading
import time

import orjson
import pytest
from mozdef_duo import DuoOptions
from mozdef_duo.answers import RefusedError
from mozdef_duo.api import canonical, sign
from pydantic import ValidationError

from mozdef_core import Secret
from mozdef_core.testing_contracts.input import RunningInput

ALL = ("administration", "authentication", "telephony")


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


def texts(intake, name):
    items = [orjson.loads(raw) for raw in intake.messages]
    member = {"administration": "action", "authentication": "reason", "telephony": "context"}[name]
    return [item["record"][member] for item in items if item["log"] == name]


def position(tmp_path):
    return json.loads((tmp_path / "state/api-12345678.duosecurity.com.json").read_text())


def until(condition):
    end_s = time.monotonic() + 20
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.005)
    assert condition()


def numbers(*span):
    return list(map(str, range(*span)))


def test_every_page_of_every_log_is_read_in_order(server, start, intake, monkeypatch, tmp_path):
    monkeypatch.setattr("mozdef_duo.input.PAGE", 10)
    server.page = 10
    for name in ALL:
        for number in range(35):
            server.add(name, str(number), at_ms=server.begun_ms + number * 500)
    running = start()
    intake.until(105)
    until(lambda: position(tmp_path)["telephony"]["newest_ms"] == server.begun_ms + 17_000)
    running.stop()
    for name in ALL:
        assert texts(intake, name) == numbers(35)
    assert intake.repeats == 0
    assert intake.calls[0][2] == {"hostname": "api-12345678.duosecurity.com", "tags": ["duosecurity"]}


@pytest.mark.parametrize("name", ALL)
def test_an_outage_in_the_middle_neither_loses_nor_doubles(name, server, start, intake, monkeypatch):
    monkeypatch.setattr("mozdef_duo.input.PAGE", 10)
    server.page = 10
    for number in range(30):
        server.add(name, str(number), at_ms=server.begun_ms + number * 500)
    server.troubles.extend([(503, {}), None])
    start(logs=[name])
    intake.until(10)
    server.troubles.extend([(500, {}), None, (429, {"Retry-After": "0"}), (502, {})])
    for number in range(30, 45):
        server.add(name, str(number), at_ms=server.begun_ms + number * 500)
    intake.until(45)
    until(lambda: not server.troubles)
    assert texts(intake, name) == numbers(45)
    assert intake.repeats == 0


def test_a_limit_is_waited_for(server, start, intake):
    server.add("telephony", "a")
    server.troubles.append((429, {"Retry-After": "1"}))
    start(logs=["telephony"])
    intake.until(1)
    assert server.times_s[1] - server.times_s[0] >= 1


def test_a_record_that_is_shown_late_is_still_read(server, start, intake):
    server.add("authentication", "on time")
    start(logs=["authentication"])
    intake.until(1)
    server.add("authentication", "late", at_ms=server.begun_ms - 200_000)
    server.add("authentication", "too late", at_ms=server.begun_ms - 400_000)
    server.add("authentication", "next", at_ms=server.begun_ms + 10)
    intake.until(3)
    assert sorted(texts(intake, "authentication")) == ["late", "next", "on time"]


def test_equal_actions_of_one_second_are_all_kept_and_none_twice(server, start, intake):
    server.add("administration", "user_update", "user_update", "user_update", at_ms=server.begun_ms)
    first = start(logs=["administration"])
    intake.until(3)
    until(lambda: len(server.asked) > 3)
    first.stop()
    server.add("administration", "user_update", at_ms=server.begun_ms)
    start(logs=["administration"])
    intake.until(4)
    assert intake.repeats == 0


def test_more_records_in_a_second_than_a_page_holds_do_not_stop_the_rest(
    server, start, intake, monkeypatch, caplog
):
    monkeypatch.setattr("mozdef_duo.input.PAGE", 5)
    server.page = 5
    server.add("administration", *numbers(8), at_ms=server.begun_ms)
    server.add("administration", "after", at_ms=server.begun_ms + 3_000)
    start(logs=["administration"], overlap=0)
    intake.until(6)
    assert texts(intake, "administration") == [*numbers(5), "after"]
    assert "more than 5 records of administration in one second" in caplog.text


def test_a_record_from_the_future_does_not_hide_the_present(server, start, intake):
    server.add("administration", "future", at_ms=server.begun_ms + 3_600_000)
    start(logs=["administration"])
    intake.until(1)
    server.add("administration", "present", at_ms=int(time.time() * 1_000) - 2_000)
    intake.until(2)


def test_after_a_restart_it_goes_on_where_it_was(server, start, intake, tmp_path):
    for name in ALL:
        server.add(name, "a", "b")
    first = start()
    intake.until(6)
    until(lambda: len(position(tmp_path)["telephony"]["seen"]) == 2)
    first.stop()
    for name in ALL:
        server.add(name, "c")
    start(logs=["telephony", "administration", "authentication"])
    intake.until(9)
    for name in ALL:
        assert texts(intake, name) == ["a", "b", "c"]
    assert intake.repeats == 0


@pytest.mark.parametrize("name", ALL)
def test_records_that_were_put_but_not_noted_are_put_again_under_the_same_ids(
    name, server, new_input, intake
):
    server.add(name, "a", "b", "c")
    intake.failure_after_put = RuntimeError("killed between put and note")
    with pytest.raises(RuntimeError, match="killed"):
        new_input(logs=[name]).run(intake, threading.Event())
    intake.failure_after_put = None
    running = RunningInput(new_input(logs=[name]), intake)
    server.add(name, "d")
    intake.until(4)
    running.stop()
    assert texts(intake, name) == ["a", "b", "c", "d"]
    assert intake.repeats == 3


def test_ids_that_no_look_will_meet_again_are_forgotten(server, start, intake, tmp_path):
    server.add("telephony", "old", at_ms=server.begun_ms - 1_000_000)
    server.add("telephony", "new")
    start(logs=["telephony"])
    intake.until(2)
    until(lambda: list(position(tmp_path)["telephony"]["seen"]) == ["t-1"])


def test_a_log_that_is_read_from_now_on_begins_at_the_start(server, start, intake):
    server.add("authentication", "a")
    server.add("telephony", "b")
    first = start(logs=["authentication"])
    intake.until(1)
    first.stop()
    start()
    intake.until(2)
    assert (texts(intake, "authentication"), texts(intake, "telephony")) == (["a"], ["b"])


@pytest.mark.parametrize(
    ("options", "troubles", "said"),
    [
        ({"secret_key": Secret("wrong")}, [], "answered 401: Invalid signature in request credentials"),
        ({}, [(403, {})], "admin/v1/logs/administrator answered 403: trouble"),
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


def test_two_inputs_do_not_share_positions(new_input):
    first, second = new_input(), new_input()
    first.bind()
    with pytest.raises(OSError, match="another input uses it"):
        second.bind()


def test_the_signature_is_that_of_the_example_in_duos_manual():
    query = canonical({"username": ["root"], "realname": ["First Last"]})
    moment, key = "Tue, 21 Aug 2012 17:29:18 -0000", "Zh5eGmUq9zpfQnyUIu5OL9iWoMMv5ZNmk3zLJ4Ep"
    host, path = "api-XXXXXXXX.duosecurity.com", "/accounts/v1/account/list"
    assert query == "realname=First%20Last&username=root"
    assert sign(key, moment, "post", host, path, query) == "2d97d6166319781b5a3a07af39d366f491234edc"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "http://proxy.example"}, "the secret would travel unencrypted"),
        ({"host": "../x"}, "host"),
        ({"secret_key": "in the open"}, "never as the value itself"),
        ({"logs": ["activity"]}, "logs"),
        ({"logs": []}, "logs"),
        ({"overlap": -1}, "overlap"),
    ],
)
def test_options_that_are_wrong_are_refused(options, problem):
    fixed = {"host": "api-1.duosecurity.com", "integration_key": "DIKEY", "secret_key": Secret("x")}
    with pytest.raises(ValidationError, match=problem):
        DuoOptions(**{**fixed, **options})


def test_the_secret_is_shown_nowhere(new_input):
    options = new_input().options
    assert "s3cret" not in f"{options!r}{options.model_dump()}"
