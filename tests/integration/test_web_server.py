"""The web process on a real socket: many connections, large and slow requests, tokens, and an orderly end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from tests.running import Service, eventually, free_port, program


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = Service(
        tmp_path_factory.mktemp("web"), inputs=[], tables="max_body_bytes = 100000\nthreads = 4\n"
    ).start()
    yield made
    assert made.stop() == 0


def exchange(connection, raw):
    """Send a request and return the status line of the answer, empty when the connection was broken off."""
    connection.sendall(raw)
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(65_536)
        if not received:
            break
        answer += received
    return answer.partition(b"\r\n")[0].decode()


def once(port, raw):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return exchange(connection, raw)


def broken_off(port, raw):
    """Return whether the connection ends before the answer is whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(raw)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            answer.read()
        except (http.client.IncompleteRead, http.client.RemoteDisconnected):
            return True
        return False


def request(body, *fields, path="/events"):
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def test_shippers_that_keep_their_connections_open_do_not_keep_others_out(service):
    idle = []
    try:
        for number in range(150):
            connection = socket.create_connection(("127.0.0.1", service.port), timeout=10)
            idle.append(connection)
            assert exchange(connection, request(b'{"summary": "x", "n": %d}' % number)) == "HTTP/1.1 200 OK"
    finally:
        for connection in idle:
            connection.close()


def test_a_chunked_body_and_one_that_waits_for_100_continue_are_taken(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        head = b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (
            exchange(connection, head + b'9\r\n{"a":1}\n\n\r\n8\r\n{"b":2}\n\r\n0\r\n\r\n')
            == "HTTP/1.1 200 OK"
        )
        head = b"POST /events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n"
        assert exchange(connection, head) == "HTTP/1.1 100 Continue"
        assert exchange(connection, b'{"a":1}') == "HTTP/1.1 200 OK"


def test_a_sender_of_a_large_body_reads_the_answer_though_it_is_still_writing(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        assert exchange(connection, request(b" " * 20_000_000)).startswith("HTTP/1.1 413 ")


def test_a_request_that_has_begun_is_answered_before_the_end(tmp_path):
    made = Service(tmp_path, inputs=[]).start()
    body = b'{"summary": "the last one"}'
    with socket.create_connection(("127.0.0.1", made.port), timeout=10) as connection:
        connection.sendall(request(body)[: -len(body)] + body[:5])
        time.sleep(0.3)  # until the server has read the head
        made.process.send_signal(signal.SIGTERM)
        threading.Timer(0.5, connection.sendall, [body[5:]]).start()
        assert exchange(connection, b"") == "HTTP/1.1 200 OK"
    assert made.process.wait(20) == 0
    made.start()
    try:
        assert eventually(lambda: made.count() == 1)
    finally:
        made.stop()


def test_rsyslogs_batch_and_its_probe_are_broken_off_while_the_queue_is_full(tmp_path):
    made = Service(tmp_path, inputs=[], tables="[queue.sqlite]\nlimit_bytes = 65536\n").start()
    worker = made.roles()["worker"]
    os.kill(worker, signal.SIGSTOP)  # so that nothing is worked off
    try:
        noise = os.urandom(40_000).hex()
        lines = [
            '{"index":{}}\n' + json.dumps({"summary": noise[at : at + 800]}) for at in range(0, 80_000, 800)
        ]
        batch = request("\n".join(lines).encode(), path="/_bulk")
        broken = [broken_off(made.port, batch) for _ in range(5)]
        assert broken[0] is False
        assert broken[-1] is True
        assert broken_off(made.port, b"GET /_cat/health HTTP/1.1\r\nHost: x\r\n\r\n")
        named = batch.replace(b"Host: x", b"Host: x\r\nUser-Agent: es")
        assert once(made.port, named).startswith("HTTP/1.1 429 ")
    finally:
        os.kill(worker, signal.SIGCONT)
        made.stop()


RSYSLOG = """
global(workDirectory="{at}")
module(load="imtcp") module(load="omelasticsearch")
template(name="event" type="list" option.jsonf="on") {{
  property(outname="host" name="hostname" format="jsonf") property(outname="message" name="msg" format="jsonf")
}}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="out")
ruleset(name="out") {{
  action(type="omelasticsearch" server="127.0.0.1" serverport="{web}" template="event" bulkmode="on" searchType=""
         errorFile="{at}/errors" queue.type="linkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
}}
"""


def test_rsyslog_keeps_what_a_full_queue_cannot_take_and_delivers_it_later(tmp_path):
    rsyslogd = program("MOZDEF_TEST_RSYSLOGD")
    made = Service(tmp_path, inputs=[], tables="[queue.sqlite]\nlimit_bytes = 65536\n").start()
    at = tmp_path / "rsyslog"
    at.mkdir()
    port = free_port()
    (at / "conf").write_text(RSYSLOG.format(at=at, port=port, web=made.port))
    worker = made.roles()["worker"]
    os.kill(worker, signal.SIGSTOP)  # so that nothing is worked off
    shipper = None
    try:
        accepted = 0
        while (answer := made.post("/events", b'{"summary": "%s"}' % os.urandom(20_000).hex().encode()))[
            0
        ] == 200:
            accepted += 1
        assert answer[0] == 429
        with (at / "log").open("wb") as log:
            command = [rsyslogd, "-n", "-i", str(at / "pid"), "-f", str(at / "conf")]
            shipper = subprocess.Popen(command, stdout=log, stderr=log)
        connection = eventually(lambda: connect(port))
        words = [os.urandom(2_000).hex() for _ in range(30)]
        connection.sendall("".join(f"<38>Nov 24 02:00:00 web1 sshd: {word}\n" for word in words).encode())
        connection.close()
        time.sleep(3)  # while it is held back
        os.kill(worker, signal.SIGCONT)
        assert eventually(lambda: made.count() == accepted + len(words), 30)
        summaries = {event["summary"] for event in made.search("hostname:web1")}
        assert {word[:100] for word in words} == {summary[:100] for summary in summaries}
        assert not (at / "errors").exists()
    finally:
        os.kill(worker, signal.SIGCONT)
        if shipper is not None:
            shipper.terminate()
            shipper.wait(10)
        made.stop()


def connect(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=10)
    except ConnectionRefusedError:
        return None


def test_outside_loopback_a_token_with_the_right_scope_is_needed(tmp_path):
    made = Service(tmp_path, inputs=[])
    made.config.write_text(made.config.read_text().replace(f"127.0.0.1:{made.port}", f"0.0.0.0:{made.port}"))
    made.start()
    try:
        secrets = {
            scope: made.cli("tokens", "create", scope.replace(":", "-"), "--scope", scope)["token"]
            for scope in ("events:write", "events:read")
        }
        body = b'{"summary": "x"}'
        assert made.post("/events", body)[0] == 401
        assert made.post("/events", body, {"Authorization": "Bearer wrong"})[0] == 401
        status, answer = made.post("/events", body, {"Authorization": f"Bearer {secrets['events:read']}"})
        assert (status, answer["errors"][0]["code"]) == (403, "forbidden")
        assert made.post("/events", body, {"Authorization": f"Bearer {secrets['events:write']}"})[0] == 200
        events = eventually(lambda: made.search("*"))
        assert [event["mozdef"]["input"]["token"] for event in events] == ["events-write"]
    finally:
        made.stop()
