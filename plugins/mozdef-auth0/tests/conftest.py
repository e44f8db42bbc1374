"""A server on this machine that speaks as Auth0's Management API does, and whose troubles a test decides."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from mozdef_auth0 import Auth0Input, Auth0Options

from mozdef_core import Secret
from mozdef_core.testing import RememberedIntake

DOMAIN = "example.eu.auth0.com"
SECRET = "s3cret-of-the-application"


class FakeAuth0:
    """A tenant with a log.

    :ivar troubles: what the next requests for records get instead: a status with headers, or None for a connection
        that breaks off.
    :ivar asked: the questions for records that came, in order, and when.
    """

    def __init__(self):
        self.log = []
        self.troubles = deque()
        self.asked = []
        self.times_s = []
        self.tokens = []
        self.valid_s = 86_400
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args):
                """Say nothing."""

            def do_POST(self):
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if sent.get("client_secret") != SECRET or sent["audience"] != f"https://{DOMAIN}/api/v2/":
                    fake.answer(self, 401, {"error": "access_denied", "error_description": "Unauthorized"})
                    return
                fake.tokens.append(f"token-{len(fake.tokens)}")
                fake.answer(self, 200, {"access_token": fake.tokens[-1], "expires_in": fake.valid_s})

            def do_GET(self):
                question = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                fake.asked.append(question)
                fake.times_s.append(time.monotonic())
                if fake.troubles:
                    trouble = fake.troubles.popleft()
                    if trouble is None:
                        self.close_connection = True
                        return
                    fake.answer(self, trouble[0], {"message": "trouble"}, trouble[1])
                elif self.headers.get("Authorization") != f"Bearer {fake.tokens[-1]}":
                    fake.answer(self, 401, {"message": "Invalid token"})
                else:
                    fake.answer(self, 200, fake.records(question))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @staticmethod
    def answer(handler, status, document, headers=None):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def records(self, question):
        if "from" in question:
            ids = [one.get("_id") if isinstance(one, dict) else None for one in self.log]
            after = self.log[ids.index(question["from"]) + 1 :]
            return after[: int(question["take"])]
        assert question["sort"] == "date:1"
        since = question["q"].removeprefix("date:[").removesuffix(" TO *]")
        found = [one for one in self.log if isinstance(one, dict) and one["date"] >= since]
        return sorted(found, key=lambda one: one["date"])[: int(question["per_page"])]

    def add(self, *types, **members):
        """Add a record of each type, with log ids that rise."""
        for code in types:
            moment = datetime.now(UTC) - timedelta(minutes=1)
            date = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self.log.append({"_id": f"9002{len(self.log):020d}", "date": date, "type": code, **members})

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("mozdef_auth0.answers.FIRST_WAIT_S", 0.02)
    fake = FakeAuth0()
    yield fake
    fake.close()


@pytest.fixture
def new_input(server, tmp_path):
    """Give a function that makes an input for the server, with the same position on disk each time."""

    def new(**options):
        fixed = {"domain": DOMAIN, "url": server.url, "client_id": "id", "client_secret": Secret(SECRET)}
        return Auth0Input(
            Auth0Options(**{**fixed, "state_dir": tmp_path / "state", "interval": 0.05, **options})
        )

    return new


@pytest.fixture
def intake():
    return RememberedIntake()
