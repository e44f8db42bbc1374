"""A server on this machine that speaks as Duo's Admin API does, and whose troubles a test decides."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import defaultdict, deque
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from mozdef_duo import DuoInput, DuoOptions

from mozdef_core import Secret
from mozdef_core.testing import RememberedIntake

HOST = "api-12345678.duosecurity.com"
SECRET = "s3cret-key-of-the-application"
LISTED = {"authentication": ("authlogs", "txid"), "telephony": ("items", "telephony_id")}


class FakeDuo:
    """An account with three logs, each a list of times in milliseconds and records.

    :ivar troubles: what the next requests get instead: a status with headers, or None for a connection that breaks.
    :ivar asked: the logs and questions that came, in order, and when.
    """

    def __init__(self):
        self.logs = defaultdict(list)
        self.troubles = deque()
        self.asked = []
        self.times_s = []
        self.page = 1_000
        self.begun_ms = int(time.time() * 1_000) - 60_000
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args):
                """Say nothing."""

            def do_GET(self):
                parts = urlsplit(self.path)
                question = parse_qs(parts.query)
                name = parts.path.rpartition("/")[2].replace("administrator", "administration")
                fake.asked.append((name, question))
                fake.times_s.append(time.monotonic())
                if fake.troubles:
                    trouble = fake.troubles.popleft()
                    if trouble is None:
                        self.close_connection = True
                        return
                    fake.answer(self, trouble[0], {"stat": "FAIL", "message": "trouble"}, trouble[1])
                elif not fake.knows(self.headers, parts.path, question):
                    wrong = {
                        "stat": "FAIL",
                        "code": 40103,
                        "message": "Invalid signature in request credentials",
                    }
                    fake.answer(self, 401, wrong)
                else:
                    fake.answer(self, 200, {"stat": "OK", "response": fake.records(name, question)})

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @staticmethod
    def answer(handler, status, document, headers=None):
        body = json.dumps(document).encode()
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def knows(headers, path, question):
        """Return whether the signature is right, counted from what arrived and not from what was meant."""
        pairs = [f"{name}={quote(value, safe='~')}" for name, values in question.items() for value in values]
        lines = [headers["Date"], "GET", HOST, path, "&".join(sorted(pairs))]
        right = hmac.new(SECRET.encode(), "\n".join(lines).encode(), hashlib.sha1).hexdigest()
        return headers["Authorization"] == "Basic " + base64.b64encode(f"DIKEY:{right}".encode()).decode()

    def records(self, name, question):
        since = int(question["mintime"][0])
        if name == "administration":
            found = [record for ms, record in self.logs[name] if ms // 1_000 >= since]
            return found[: self.page]
        assert question["sort"] == ["ts:asc"]
        listed, id_name = LISTED[name]
        until = int(question["maxtime"][0])
        found = [(ms, record) for ms, record in self.logs[name] if since <= ms <= until]
        offset = question.get("next_offset", [])
        if offset:
            last = (offset if len(offset) == 2 else offset[0].split(","))[1]
            ids = [record.get(id_name) for _, record in found]
            found = found[ids.index(last) + 1 :]
        size = min(self.page, int(question["limit"][0]))
        page, more = found[:size], len(found) > size
        following = [str(page[-1][0]), page[-1][1][id_name]] if more else None
        if following and name == "telephony":
            following = ",".join(following)
        return {
            listed: [record for _, record in page],
            "metadata": {"next_offset": following, "total_objects": len(found)},
        }

    def add(self, name, *texts, at_ms=None, **members):
        """Add a record for each text; times rise by a millisecond unless one is given."""
        for text in texts:
            log = self.logs[name]
            ms = at_ms if at_ms is not None else self.begun_ms + len(log)
            if name == "telephony":
                moment = datetime.fromtimestamp(ms / 1_000, UTC).isoformat()
                record = {"telephony_id": f"t-{len(log)}", "ts": moment, "context": text}
            elif name == "authentication":
                record = {"txid": f"a-{len(log)}", "timestamp": ms // 1_000, "reason": text}
            else:
                record = {"timestamp": ms // 1_000, "action": text, "username": "admin"}
            log.append((ms, {**record, **members}))
            log.sort(key=lambda one: one[0])

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("mozdef_duo.answers.FIRST_WAIT_S", 0.02)
    fake = FakeDuo()
    yield fake
    fake.close()


@pytest.fixture
def new_input(server, tmp_path):
    """Give a function that makes an input for the server, with the same positions on disk each time."""

    def new(**options):
        fixed = {"host": HOST, "url": server.url, "integration_key": "DIKEY", "secret_key": Secret(SECRET)}
        return DuoInput(DuoOptions(**{**fixed, "state_dir": tmp_path / "state", "interval": 0.05, **options}))

    return new


@pytest.fixture
def intake():
    return RememberedIntake()
