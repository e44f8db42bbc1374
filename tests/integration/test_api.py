"""The REST API on a running service: what was sent in is found, counted and paged through, by those who may."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.running import Service, eventually

SEARCH = "/api/v1/events/search"
USERS = [f"u{n % 7}" for n in range(2_500)]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("api"), inputs=[]).start()
    send(made, [{"summary": f"login {n}", "details": {"run": "first", "user": user, "n": n, "a": "a" * 40 + "b"}} for n, user in enumerate(USERS)])  # fmt: skip
    assert eventually(lambda: made.count("details.run:first") == len(USERS))
    yield made
    assert made.stop() == 0


@pytest.fixture(scope="module")
def token(service):
    return service.cli("tokens", "create", "reader", "--scope", "events:read")["token"]


def send(service, events):
    status, answer = service.post("/events", json.dumps(events).encode())
    assert (status, answer["accepted"]) == (200, len(events))


def ask(service, token, path=SEARCH, body=None, **parameters):
    address = service.url + path + (f"?{urlencode(parameters)}" if parameters else "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    raw = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, raw, headers), timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def found(service, token, **asked):
    status, answer = ask(service, token, body=asked)
    assert status == 200, answer
    return answer


def pages(service, token, order):
    """Return the ids of all pages."""
    ids, cursor = [], None
    while True:
        answer = found(
            service, token, query="details.run:*", limit=300, order=order, cursor=cursor, fields=["details.n"]
        )
        assert answer["complete"]
        ids += [item["id"] for item in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            return ids


def test_what_was_sent_in_is_found_by_a_token_and_by_nobody_else(service, token):
    eventually(
        lambda: found(service, token, query="details.run:first", total=True, limit=0)["total"] == len(USERS)
    )
    answer = found(service, token, query="details.n:1234", total=True)
    (item,) = answer["items"]
    assert (answer["total"], item["summary"], item["details"]["user"]) == (1, "login 1234", USERS[1234])
    assert ask(service, token, f"/api/v1/events/{item['id']}") == (200, item)
    writer = service.cli("tokens", "create", "writer")["token"]
    assert [ask(service, one, query="x")[0] for one in (None, "mozdef_x", writer)] == [401, 401, 403]


def test_a_token_that_has_expired_or_is_revoked_is_refused(service):
    short = service.cli("tokens", "create", "short", "--scope", "events:read", "--expires", "3s")["token"]
    assert ask(service, short)[0] == 200
    assert eventually(lambda: ask(service, short)[0] == 401, 20)
    ended = service.cli("tokens", "create", "ended", "--scope", "events:read")["token"]
    assert ask(service, ended)[0] == 200
    service.cli("tokens", "revoke", "ended")
    assert eventually(lambda: ask(service, ended)[0] == 401, 20)


def test_pages_hold_each_event_once_while_more_arrive(service, token):
    before = set(pages(service, token, "newest"))
    assert len(before) >= len(USERS)
    stop, sent = threading.Event(), []

    def arrive():
        while not stop.is_set():
            send(service, [{"summary": "later", "details": {"run": "later", "n": 0}}] * 20)
            sent.append(20)
            time.sleep(0.02)

    sender = threading.Thread(target=arrive)
    sender.start()
    try:
        assert eventually(lambda: len(pages(service, token, "oldest")) > len(before))
        newest, oldest = pages(service, token, "newest"), pages(service, token, "oldest")
    finally:
        stop.set()
        sender.join()
    for ids in (newest, oldest):
        assert len(set(ids)) == len(ids)
        assert before < set(ids)
    assert eventually(lambda: len(pages(service, token, "newest")) == len(before) + sum(sent))


def test_counts_are_those_of_the_command_line(service, token):
    for limit in (3, 10):
        by_cli = service.cli("search", "details.run:first", "--by", "details.user", "--limit", str(limit))
        by_user = found(
            service,
            token,
            query="details.run:first",
            limit=0,
            aggregations={"users": {"terms": {"field": "details.user", "size": limit}}},
        )["aggregations"]["users"]
        rows = [{"details.user": bucket["key"], "count": bucket["count"]} for bucket in by_user["buckets"]]
        assert (rows, by_user["total_groups"]) == (by_cli["rows"], by_cli["total_groups"])
        assert sum(row["count"] for row in rows) + by_user["others"] == len(USERS)
    _, field = ask(service, token, "/api/v1/fields/details.user", query="details.run:first", top="3")
    assert [(one["value"], one["count"]) for one in field["top"]] == [("u0", 358), ("u1", 357), ("u2", 357)]
    names = [one["name"] for one in ask(service, token, "/api/v1/fields")[1]["items"]]
    assert {"details.user", "details.n", "summary"} <= set(names)


@pytest.mark.parametrize(
    "query", ["*1234", "details.user:*6 AND *34", "details.a:/(a+)+/", "/(a|aa)+(a|b|ab)*c/", "/.*(.*)*x/"]
)
def test_a_leading_wildcard_and_a_regular_expression_that_explodes_elsewhere_are_answered(
    service, token, query
):
    answer = found(service, token, query=query, limit=1000, total=True)
    assert answer["complete"]
    assert answer["total"] == service.count(query)


def test_a_search_string_that_does_not_parse_says_where(service, token):
    status, answer = ask(service, token, query="details.user:u1 AND (")
    assert status == 400
    assert answer["error"] | {"message": ""} == {
        "code": "invalid-query",
        "field": "query",
        "position": 20,
        "message": "",
    }


def test_a_fuzzer_finds_no_answer_that_the_description_does_not_know(service):
    scopes = ("events:read", "lists:write", "exceptions:write")
    options = [part for scope in scopes for part in ("--scope", scope)]
    token = service.cli("tokens", "create", "fuzzer", *options)["token"]
    program = Path(sys.executable).with_name("schemathesis")
    expected = "[400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429, 503]"
    config = service.directory / "schemathesis.toml"
    config.write_text(f"[checks]\nnegative_data_rejection.expected-statuses = {expected}\n")
    command = [
        program, "--config-file", config, "run", f"{service.url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {token}",
        "--phases", "coverage,fuzzing", "--max-examples", "15", "--max-time", "90", "--no-color", "--generation-database", "none",
        "--seed", "216220789369836034434573245174159749050",
        # A search string, a time and a cursor have a syntax that a schema cannot say.
        "--exclude-checks", "positive_data_acceptance",
    ]  # fmt: skip
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240, cwd=service.directory
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Selected: 20/20" in result.stdout
