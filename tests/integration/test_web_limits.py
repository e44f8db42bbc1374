"""What holds senders within bounds on a real socket: time, memory, rates, certificates; and what /status says."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time

import pytest

from tests.running import Service, eventually

TABLES = """max_body_bytes = 100000
threads = 4
body_timeout = "2s"
body_memory_bytes = 150000
[entrance.nxlog]
rate_limit = 1
rate_burst = 3
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("limits"), inputs=[], tables=TABLES).start()
    yield made
    assert made.stop() == 0


def begun(port, size_bytes, part=b"", *fields, path="/events"):
    """Return a connection on which a request has begun."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    length = f"Content-Length: {size_bytes}" if size_bytes is not None else "Transfer-Encoding: chunked"
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "User-Agent: test", length, *fields])
    connection.sendall(head.encode() + b"\r\n\r\n" + part)
    return connection


def answered(connection):
    """Return status, fields and body of the answer."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.headers, json.loads(answer.read())


def status_of(service, query=""):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.request("GET", f"/status{query}")
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_hundred_senders_that_stall_do_not_stop_the_intake(service):
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(begun(service.port, 500, b'{"a')) for _ in range(100)]
        for _ in range(5):
            assert service.post("/events", b'{"summary": "x"}')[0] == 200
        assert status_of(service)[1]["bodies"]["reading"] == 100
        for connection in stalled:
            status, fields, answer = answered(connection)
            assert (status, answer["errors"][0]["code"], fields["Connection"]) == (408, "slow-body", "close")
    assert status_of(service)[1]["bodies"] == {"reading": 0, "held_bytes": 0}


def test_a_large_body_that_stalls_is_answered_408_and_one_that_goes_on_is_taken(service):
    with begun(service.port, 99_000, b'{"summary": "slow", "a": "') as slow:
        assert answered(slow)[0] == 408
    with begun(service.port, 80_000, b" " * 40_000) as steady:  # which has bought ten seconds
        time.sleep(3)
        steady.sendall(b" " * 39_990 + b'{"a":  "b"}'[:10])
        assert answered(steady)[0] == 400
    with begun(service.port, 80_000, b" " * 40_000) as steady:
        time.sleep(3)
        steady.sendall(b" " * (40_000 - 7) + b'{"a":1}')
        assert answered(steady)[0] == 200


def test_a_body_that_is_announced_too_large_is_answered_before_it_is_sent(service):
    with begun(service.port, 40_000_000, b"x" * 1_000) as connection:
        status, fields, answer = answered(connection)
        assert (status, answer["errors"][0]["code"], fields["Connection"]) == (413, "too-large", "close")
    with begun(service.port, 40_000_000, b"", "Expect: 100-continue") as connection:
        assert answered(connection)[0] == 413
    with begun(service.port, None, (b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 11) as connection:
        assert answered(connection)[0] == 413


def test_a_chunked_body_that_is_cut_short_is_not_accepted(service):
    for rest in (b"", b"ZZ\r\n"):
        with begun(service.port, None, b'8\r\n{"a":1}\n\r\n' + rest) as connection:
            connection.shutdown(socket.SHUT_WR)
            status, _, answer = answered(connection)
            assert (status, answer["errors"][0]["code"]) == (400, "incomplete-body")


def test_when_the_memory_of_bodies_is_taken_the_slowest_is_told_to_come_back(service):
    with begun(service.port, 99_000, b" " * 90_000) as oldest:
        assert eventually(lambda: status_of(service)[1]["bodies"]["held_bytes"] == 90_000)
        assert service.post("/events", b" " * 89_000 + b'{"a":1}')[0] == 200
        status, fields, answer = answered(oldest)
        assert (status, answer["errors"][0]["code"], fields["Retry-After"]) == (503, "busy", "5")
        assert answer["accepted"] == 0


def test_an_entrance_with_a_rate_answers_429_and_accepts_nothing_of_the_request(service):
    events = b'{"a":1}\n{"b":2}\n{"summary":"over the rate"}'
    with begun(service.port, len(events), events, path="/nxlog") as connection:
        assert answered(connection)[0] == 200
    with begun(service.port, len(events), events.replace(b"over", b"afar"), path="/nxlog") as connection:
        status, fields, answer = answered(connection)
    assert (status, answer["accepted"], answer["errors"][0]["code"]) == (429, 0, "rate-limited")
    assert 1 <= int(fields["Retry-After"]) <= 3
    assert service.post("/events", events)[0] == 200
    assert eventually(lambda: service.count("summary:rate") == 2)
    assert service.count("summary:afar") == 0
    assert status_of(service)[1]["refused"]["rate-limited"] == 1


def test_the_status_says_that_no_worker_runs_though_events_are_accepted(tmp_path):
    made = Service(tmp_path, inputs=[]).start()
    try:
        assert eventually(lambda: status_of(made)[1]["status"] == "ok")
        worker = made.roles()["worker"]
        os.kill(worker, signal.SIGSTOP)
        try:
            assert eventually(lambda: status_of(made)[1]["status"] == "degraded", 30)
            status, answer = status_of(made, "?ready=1")
            assert status == 200
            assert "no worker" in answer["degraded"][0]
            assert made.post("/events", b'{"a": 1}')[0] == 200
        finally:
            os.kill(worker, signal.SIGCONT)
        assert eventually(lambda: status_of(made)[1]["status"] == "ok")
    finally:
        made.stop()


@pytest.mark.parametrize("outside", [False, True])
def test_the_status_says_that_the_database_is_gone_and_whether_that_keeps_events_out(tmp_path, outside):
    made = Service(tmp_path, inputs=[], tables="workers = 2\n" if outside else "")
    if outside:
        made.config.write_text(
            made.config.read_text().replace(f"127.0.0.1:{made.port}", f"0.0.0.0:{made.port}")
        )
    made.start()
    try:
        for part in ("casework.db", "casework.db-wal"):  # in place, as a failing disk does it
            with (made.data_dir / part).open("r+b") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(0)
                file.write(b"\xff" * size_bytes)
        expected = "unavailable" if outside else "degraded"
        assert eventually(lambda: status_of(made)[1]["status"] == expected)
        status, answer = status_of(made, "?ready=1")
        assert status == (503 if outside else 200)
        assert answer["database"]["ok"] is False
        if not outside:
            assert made.post("/events", b'{"a": 1}')[0] == 200
    finally:
        made.stop()


def certificates(at):
    """Make an authority, and a certificate that it signs for the server, a client, and a stranger's that it does not."""
    at.mkdir()

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=at)

    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                "-days", "2", "-subj", f"/CN={name}")  # fmt: skip
    (at / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, authority in (("siem1", "ca"), ("web1", "ca"), ("stranger", "other")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "names")  # fmt: skip


def test_a_client_with_a_certificate_needs_no_token_and_others_do_not_get_in(tmp_path):
    at = tmp_path / "tls"
    certificates(at)
    made = Service(
        tmp_path / "mozdef",
        inputs=[],
        tables=f'tls_certificate = "{at}/siem1.pem"\ntls_key = "{at}/siem1.key"\ntls_client_ca = "{at}/ca.pem"\n',
    )
    made.config.write_text(made.config.read_text().replace(f"127.0.0.1:{made.port}", f"0.0.0.0:{made.port}"))
    made.start()

    def post(name, **fields):
        context = ssl.create_default_context(cafile=at / "ca.pem")
        if name is not None:
            context.load_cert_chain(at / f"{name}.pem", at / f"{name}.key")
        connection = http.client.HTTPSConnection("127.0.0.1", made.port, context=context, timeout=20)
        try:
            connection.request("POST", "/events", b'{"summary": "over tls"}', fields)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    try:
        assert post("web1")[0] == 200
        for stranger in (None, "stranger"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                post(stranger)
        assert post("web1", Origin="https://shop.example")[0] == 403
        token = made.cli("tokens", "create", "shop")["token"]
        assert post("web1", Authorization=f"Bearer {token}")[0] == 200
        found = eventually(lambda: len(events := made.search("*")) == 2 and events)
        assert sorted(event["mozdef"]["input"]["token"] for event in found) == ["shop", "tls"]
    finally:
        assert made.stop() == 0
