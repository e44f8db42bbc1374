"""The store on real Elasticsearch 8 and 9: the contract of all stores, and what only a cluster can do wrong."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mozdef_core.drivers.store_elasticsearch import ElasticsearchStore
from mozdef_core.errors import ConfigError, StoreUnavailableError
from mozdef_core.event import Event
from mozdef_core.indices.engine import json_body
from mozdef_core.query.model import All, Term
from mozdef_core.testing_contracts.store import EventStoreContract
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event
from mozdef_core.testing_contracts.store_matching import Mode
from tests.running import eventually, program

RUN = f"t{os.getpid()}-"


def node(version: int) -> str:
    """Return the address of a node; skip without one, fail where services are required."""
    variable = f"MOZDEF_TEST_ELASTICSEARCH{version}_URL"
    if url := os.environ.get(variable):
        return url
    if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{variable} is not set")
    pytest.skip(f"{variable} is not set")


def options(url: str, name: object, **others: object) -> ElasticsearchStore.Options:
    digest = hashlib.sha256(str(name).encode()).hexdigest()[:16]
    return ElasticsearchStore.Options(urls=[url], prefix=f"{RUN}{digest}", **others)  # type: ignore[arg-type]


def sweep(url: str) -> None:
    """Remove the indices and templates of this run."""
    store = ElasticsearchStore(options(url, "sweep"), Path(), "reader")
    for index in store._engine.perform("GET", f"/{RUN}*/_alias").body:
        store._engine.perform("DELETE", f"/{index}")
    store._engine.perform("DELETE", f"/_index_template/{RUN}*")
    store.close()


class _Contract(EventStoreContract):
    version: int

    def open_store(self, path: Path, mode: Mode) -> ElasticsearchStore:
        return ElasticsearchStore(options(node(self.version), path), path, mode)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _clean(cls) -> Iterator[None]:
        url = node(cls.version)
        yield
        sweep(url)


class TestElasticsearch8(_Contract):
    version = 8


class TestElasticsearch9(_Contract):
    version = 9


@pytest.fixture(params=[8, 9])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    found = node(request.param)
    yield found
    sweep(found)


def events(count: int, **fields: Any) -> list[Event]:
    return [stored_event(BASE_US + step, details={"step": step}, **fields) for step in range(count)]


class Switch(ThreadingHTTPServer):
    """A way to a node that can break: it swallows answers after the node has acted, or refuses with a status."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target = target
        self.swallow = 0
        self.refuse: list[int] = []
        self.partly = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Forward(BaseHTTPRequestHandler):
    server: Switch
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bulk = self.path.startswith("/_bulk")
        if bulk and self.server.refuse:
            self._answer(
                self.server.refuse.pop(0), b'{"error":{"type":"es_rejected_execution_exception"}}', {}
            )
            return
        if bulk and self.server.partly:
            self.server.partly -= 1
            lines = body.splitlines(keepends=True)
            body = b"".join(lines[: len(lines) // 4 * 2])
        headers = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
        request = urllib.request.Request(
            self.server.target + self.path, body or None, headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, found, sent = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            status, found, sent = error.code, error.read(), error.headers
        if bulk and self.server.swallow:
            self.server.swallow -= 1
            self.close_connection = True
            return
        kept = {name: sent[name] for name in ("Content-Type", "X-Elastic-Product") if name in sent}
        self._answer(status, found, kept)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | dict(headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward  # noqa: N815  # as http.server wants it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def switch(url: str) -> Iterator[Switch]:
    made = Switch(url)
    yield made
    made.shutdown()
    made.server_close()


def test_a_write_whose_answer_is_lost_is_stored_once(switch: Switch, tmp_path: Path) -> None:
    store = ElasticsearchStore(options(switch.url, tmp_path, write_patience_s=0), tmp_path, "writer")
    batch = events(300)
    switch.swallow = 10
    with pytest.raises(StoreUnavailableError, match="no node"):
        store.write(batch)
    switch.swallow = 0
    assert not store.write(batch, maybe_known=True)
    assert not store.write(batch)
    assert store.count(All()) == 300
    store.close()


def test_a_busy_cluster_is_asked_again_until_it_takes_the_events(switch: Switch, tmp_path: Path) -> None:
    store = ElasticsearchStore(options(switch.url, tmp_path), tmp_path, "writer")
    switch.refuse = [429, 503, 429]
    assert not store.write(events(50))
    assert store.count(All()) == 50
    assert not switch.refuse
    store.close()


def test_a_cluster_that_stays_busy_is_no_place_for_events_now(switch: Switch, tmp_path: Path) -> None:
    store = ElasticsearchStore(options(switch.url, tmp_path, write_patience_s=0.3), tmp_path, "writer")
    switch.refuse = [429] * 50
    with pytest.raises(StoreUnavailableError, match="429"):
        store.write(events(5))
    switch.refuse = []
    assert not store.write(events(5), maybe_known=True)
    store.close()


def test_what_a_blocked_index_does_not_take_is_not_refused_for_good(url: str, tmp_path: Path) -> None:
    store = ElasticsearchStore(options(url, tmp_path, write_patience_s=0.2), tmp_path, "writer")
    first, second = events(2)
    store.write([first])
    engine = store._engine
    (index,) = engine.perform("GET", f"/{options(url, tmp_path).prefix}_events_*/_alias").body
    for blocked in (True, None):
        engine.perform(
            "PUT", f"/{index}/_settings", body=json_body({"index.blocks.read_only_allow_delete": blocked})
        )
        if blocked:
            with pytest.raises(StoreUnavailableError, match="disk is full"):
                store.write([second])
    assert not store.write([second])
    assert store.count(All()) == 2
    store.close()


def test_an_index_that_another_template_made_is_not_written_to(url: str, tmp_path: Path) -> None:
    prefix = options(url, tmp_path).prefix
    store = ElasticsearchStore(options(url, tmp_path, write_patience_s=0), tmp_path, "writer")
    body = {
        "index_patterns": [f"{prefix}_events_*"],
        "priority": 900,
        "template": {"mappings": {"dynamic": True}},
    }
    assert store._engine.perform("PUT", f"/_index_template/{prefix}-other", body=json_body(body)).ok
    with pytest.raises(StoreUnavailableError, match="another index template with a higher priority"):
        store.write(events(1))
    store.close()


def test_no_name_and_no_type_is_refused(url: str, tmp_path: Path) -> None:
    store = ElasticsearchStore(options(url, tmp_path), tmp_path, "writer")
    values: list[Any] = [1, "one", True, {"one": 1}, [1, {"one": [2]}], None, 1.5, "2026-01-01", "10.1.1.1"]
    odd = [stored_event(BASE_US + step, details={"same": value}) for step, value in enumerate(values)]
    wide = [
        stored_event(BASE_US, details={f"{event}-{name}": name for name in range(500)}) for event in range(10)
    ]
    assert not store.write([*odd, *wide])
    assert store.count(All()) == len(odd) + len(wide)
    assert store.count(Term("details.7-499", 499)) == 1
    assert store.groups("details.same") == {
        "1": 2,
        "one": 1,
        "true": 1,
        "1.5": 1,
        "2026-01-01": 1,
        "10.1.1.1": 1,
    }
    store.close()


def test_pages_go_on_after_their_point_in_time_has_gone(url: str, tmp_path: Path) -> None:
    store = ElasticsearchStore(options(url, tmp_path), tmp_path, "writer")
    batch = events(2500)
    store.write(batch)
    found = store.between_ids("0", "Z")
    ids = [next(found).id for _ in range(1000)]
    assert store._engine.perform(
        "DELETE", "/_pit", body=json_body({"id": found.gi_frame.f_locals["snapshot"]})
    ).ok
    ids += [event.id for event in found]
    assert ids == sorted(event.id for event in batch)
    store.close()


def test_a_dead_node_is_passed_over(url: str, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        nodes = ElasticsearchStore.Options(urls=[dead, url], prefix=f"{RUN}nodes")
        store = ElasticsearchStore(nodes, tmp_path, "writer")
        assert not store.write(events(20))
        for _ in range(4):
            assert store.count(All()) == 20
        store.close()


def test_without_a_node_the_store_opens_and_works_when_there_is_one(url: str, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    late = ElasticsearchStore(
        options(f"http://127.0.0.1:{port}", tmp_path, write_patience_s=0), tmp_path, "writer"
    )
    with pytest.raises(StoreUnavailableError, match=f"no node of http://127.0.0.1:{port} answers"):
        late.write(events(1))
    late.close()


def test_opensearch_is_told_from_elasticsearch(tmp_path: Path) -> None:
    other = os.environ.get("MOZDEF_TEST_OPENSEARCH3_URL")
    if other is None:
        if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
            pytest.fail("MOZDEF_TEST_OPENSEARCH3_URL is not set")
        pytest.skip("MOZDEF_TEST_OPENSEARCH3_URL is not set")
    with pytest.raises(ConfigError, match='set store = "opensearch"'):
        ElasticsearchStore(options(other, tmp_path), tmp_path, "reader")


NGINX = """
daemon off; pid {at}/pid; error_log {at}/errors; events {{ }}
http {{
  access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
  uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
  map $http_authorization $allowed {{ default 0; "ApiKey {key}" 1; "Basic {basic}" 1; }}
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem; client_max_body_size 0; client_body_buffer_size 20m;
    location / {{
      if ($allowed = 0) {{ return 401; }}
      proxy_pass {target}; proxy_set_header Authorization "";
    }}
  }}
}}
"""


@pytest.fixture
def secured(url: str, tmp_path: Path) -> Iterator[str]:
    """A node behind TLS, with a certificate of its own, and an API key or a password."""
    program("MOZDEF_TEST_NGINX", "nginx")
    program("MOZDEF_TEST_OPENSSL", "openssl")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    key, basic = (base64.b64encode(text).decode() for text in (b"name:word", b"user:word"))
    configuration = NGINX.format(at=tmp_path, port=port, target=url, key=key, basic=basic)
    (tmp_path / "nginx.conf").write_text(configuration)
    process = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf", "-e", tmp_path / "errors"])
    assert eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    yield f"https://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def test_events_go_through_tls_with_an_api_key_or_a_password(
    secured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "name:word")
    monkeypatch.setenv("ENCODED", base64.b64encode(b"name:word").decode())
    monkeypatch.setenv("PASSWORD", "word")
    certificate = {"ca_certs": tmp_path / "cert.pem"}
    ways: list[dict[str, Any]] = [
        {"api_key": "env:KEY"}, {"api_key": "env:ENCODED"}, {"username": "user", "password": "env:PASSWORD"}
    ]  # fmt: skip
    for number, way in enumerate(ways, 1):
        store = ElasticsearchStore(options(secured, tmp_path, **certificate, **way), tmp_path, "writer")
        assert not store.write(events(10))
        assert store.count(All()) == number * 10
        store.close()


def test_wrong_credentials_and_an_unknown_certificate_are_named(
    secured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KEY", "name:other")
    with pytest.raises(ConfigError, match="refuses the credentials"):
        ElasticsearchStore(
            options(secured, tmp_path, ca_certs=tmp_path / "cert.pem", api_key="env:KEY"), tmp_path, "writer"
        )
    store = ElasticsearchStore(options(secured, tmp_path, api_key="env:KEY"), tmp_path, "writer")
    with pytest.raises(StoreUnavailableError, match="set ca_certs to the certificate of the authority"):
        store.count(All())
    assert "is not trusted" in caplog.text
    store.close()
