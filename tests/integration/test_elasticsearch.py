"""The store on real Elasticsearch 8 and 9: the contract of all stores, and what only a cluster can do wrong."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mozdef_core.drivers.store_elasticsearch import ElasticsearchStore
from mozdef_core.testing_contracts.store import EventStoreContract
from mozdef_core.testing_contracts.store_matching import Mode

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
