"""The store on real OpenSearch 2 and 3: the contract of all stores, and how the client reports what goes wrong."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from mozdef_opensearch import OpenSearchStore
from mozdef_opensearch.engine import OpenSearchEngine
from pydantic import ValidationError

from mozdef_core import ConfigError, StoreUnavailableError
from mozdef_core.testing import EventStoreContract

RUN = f"t{os.getpid()}-"


def node(version: int) -> str:
    """Return the address of a node; skip without one, fail where services are required."""
    variable = f"MOZDEF_TEST_OPENSEARCH{version}_URL"
    if url := os.environ.get(variable):
        return url
    if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{variable} is not set")
    pytest.skip(f"{variable} is not set")


def options(url: str, name: object = "", **others: Any) -> OpenSearchStore.Options:
    digest = hashlib.sha256(str(name).encode()).hexdigest()[:16]
    return OpenSearchStore.Options(urls=[url], prefix=f"{RUN}{digest}", **others)


def sweep(url: str) -> None:
    """Remove the indices and templates of this run."""
    engine = OpenSearchEngine(options(url), None)
    for index in engine.perform("GET", f"/{RUN}*/_alias").body:
        engine.perform("DELETE", f"/{index}")
    engine.perform("DELETE", f"/_index_template/{RUN}*")
    engine.close()


class _Contract(EventStoreContract):
    version: int

    def open_store(self, path: Path, mode: Literal["writer", "reader"]) -> OpenSearchStore:
        return OpenSearchStore(options(node(self.version), path), path, mode)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _clean(cls) -> Iterator[None]:
        url = node(cls.version)
        yield
        sweep(url)


class TestOpenSearch2(_Contract):
    version = 2


class TestOpenSearch3(_Contract):
    version = 3


@pytest.fixture(params=[2, 3])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    found = node(request.param)
    yield found
    sweep(found)


def test_a_dead_node_is_passed_over(url: str, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        both = OpenSearchStore.Options(urls=[dead, url], prefix=f"{RUN}nodes")
        store = OpenSearchStore(both, tmp_path, "writer")
        for _ in range(4):
            assert store.status().engine.startswith("OpenSearch ")
        store.close()


def test_without_a_node_the_store_opens_and_says_so_when_it_is_used(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        store = OpenSearchStore(options(dead), tmp_path, "writer")
        with pytest.raises(StoreUnavailableError, match=f"no node of {dead} answers"):
            store.status()
        store.close()


def test_elasticsearch_is_told_from_opensearch(tmp_path: Path) -> None:
    other = os.environ.get("MOZDEF_TEST_ELASTICSEARCH8_URL")
    if other is None:
        if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
            pytest.fail("MOZDEF_TEST_ELASTICSEARCH8_URL is not set")
        pytest.skip("MOZDEF_TEST_ELASTICSEARCH8_URL is not set")
    with pytest.raises(ConfigError, match='set store = "elasticsearch"'):
        OpenSearchStore(options(other), tmp_path, "reader")


def test_a_certificate_that_is_not_there_is_a_wrong_option(tmp_path: Path) -> None:
    wrong = options("https://127.0.0.1:1", ca_certs=tmp_path / "absent.pem")
    with pytest.raises(ConfigError, match=r"store\.opensearch"):
        OpenSearchStore(wrong, tmp_path, "reader")


def test_there_is_one_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "x")
    with pytest.raises(ValidationError, match="not both"):
        options("https://127.0.0.1:1", username="a", password="env:WORD", token="env:WORD")
    with pytest.raises(ValidationError, match="belong together"):
        options("https://127.0.0.1:1", username="a")


@pytest.mark.parametrize("name", ["token", "password"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_shown(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", "word\n")
    more = {"username": "a"} if name == "password" else {}
    with pytest.raises(ValidationError, match=f"{name}: expected printable ASCII") as caught:
        options("https://127.0.0.1:1", **{name: "env:WORD"}, **more)
    assert "word" not in str(caught.value).replace("password", "")
