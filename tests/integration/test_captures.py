"""The bytes that real shippers have sent, replayed as they are, give the events that they hold."""

from __future__ import annotations

import json
import re
import socket
import zlib
from pathlib import Path

import pytest

from tests.running import Service, eventually, folder

ROOT = Path(__file__).resolve().parents[2]
HEAD = re.compile(rb"^##### t=[\d.]+ conn=\d+ n=\d+ -> \d+\n", re.MULTILINE)
DECODED = re.compile(rb"\n##### decoded body [^\n]*:\n.*\Z", re.DOTALL)
BULK = (
    [f"rsyslog/{name}.txt" for name in ("ok", "flip429_then_ok", "partial400_default", "status503", "sink_down_then_up")]
    + [f"clients/{name}.txt" for name in ("es9_product_header", "es9_gzip", "opensearch3", "opensearch3_gzip")]
)  # fmt: skip
LINES = [f"syslog-ng/{name}.txt" for name in ("ok", "json_array", "sink_down_then_up")] + [
    "clients/mozdef_client.txt"
]


def shippers():
    return folder("MOZDEF_TEST_SHIPPERS", ROOT.parent / "shared/shippers")


def requests(path):
    """Return the raw requests of a capture, byte for byte."""
    content = path.read_bytes()
    marks = list(HEAD.finditer(content))
    ends = [mark.start() for mark in marks[1:]] + [len(content)]
    pieces = [content[mark.end() : end] for mark, end in zip(marks, ends, strict=True)]
    found = []
    for piece in pieces:
        raw = DECODED.sub(b"", piece)
        head, _, body = raw.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length is not None:
            raw = head + b"\r\n\r\n" + body[: int(length[1])]
        found.append(raw)
    return found


def body_of(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        parts, rest = [], body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            number = int(size.split(b";")[0], 16)
            if not number:
                break
            parts.append(rest[:number])
            rest = rest[number + 2 :]
        body = b"".join(parts)
    if re.search(rb"(?i)content-encoding: *(gzip|deflate)", head):
        body = zlib.decompressobj(47).decompress(body)
    return body


def documents(raw, *, bulk):
    """Return the documents that a request holds, read with the plainest means."""
    text = body_of(raw).decode()
    decoder, position, found = json.JSONDecoder(), 0, []
    while position < len(text):
        if text[position] in " \r\n\t":
            position += 1
            continue
        value, position = decoder.raw_decode(text, position)
        found.extend(value if isinstance(value, list) else [value])
    return found[1::2] if bulk else found


def replay(port, raw):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(raw)
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = connection.recv(65_536)
            if not received:
                break
            answer += received
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        while len(body) < length:
            body += connection.recv(65_536)
    return int(head.split()[1]), json.loads(body) if body else None


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("captures"), plugins=["linux"]).start()
    yield made
    assert made.stop() == 0


def summary_of(document):
    text = (
        document.get("summary")
        or document.get("message")
        or document.get("MESSAGE")
        or document.get("Message")
    )
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", text.replace("\r\n", " ").replace("\n", " ")).strip()


@pytest.mark.parametrize("name", BULK + LINES)
def test_a_capture_gives_the_events_that_it_holds(service, name):
    posts = [raw for raw in requests(shippers() / name) if raw.startswith((b"POST", b"PUT"))]
    assert posts
    expected, before = [], service.count()
    for raw in posts:
        bulk = name in BULK
        held = documents(raw, bulk=bulk)
        status, answer = replay(service.port, raw)
        assert status == 200
        if bulk:
            assert answer["errors"] is False
            assert len(answer["items"]) == len(held)
            results = [next(iter(item.values()))["result"] for item in answer["items"]]
            # Two captures hold the same _id: the second is a repeat, which is a success that stores nothing.
            held = [document for document, result in zip(held, results, strict=True) if result == "created"]
        else:
            assert answer["accepted"] == len(held)
        expected.extend(held)
    eventually(lambda: service.count() >= before + len(expected))
    newest = sorted(service.search("*"), key=lambda event: event["id"])[-len(expected) :]
    assert sorted(event["summary"] for event in newest) == sorted(map(summary_of, expected))
    for event in newest:
        assert event["mozdef"]["problems"] == [] or {note["code"] for note in event["mozdef"]["problems"]} <= {
            "timestamp-old", "timestamp-future", "timestamp-missing",
        }  # fmt: skip


def test_the_probe_that_rsyslog_makes_is_answered(service):
    for raw in requests(shippers() / "rsyslog/ok.txt"):
        if raw.startswith((b"GET", b"HEAD")):
            assert replay(service.port, raw)[0] == 200
