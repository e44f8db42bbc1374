"""Every store says the same: memory, tantivy, Elasticsearch 8 and 9, OpenSearch 2 and 3, on generated events and questions.

An example is a handful of odd events and some questions of every kind. The events of an example have a span of time of
their own, so that stores fill up as they do in life, and are made anew only now and then. ``MOZDEF_DIFFERENTIAL_CASES``
says how many examples there are; found disagreements are kept in disagreements.py, beside.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mozdef_core import discovery
from mozdef_core.aggregation import aggregate
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.errors import QueryError
from mozdef_core.event import Event, isoformat
from mozdef_core.ports import EventStore
from mozdef_core.query.model import All, Query, Search
from mozdef_core.testing_contracts import queries
from mozdef_core.testing_contracts.store_events import BASE_US
from tests.integration.disagreements import DISAGREEMENTS

CASES = int(os.environ.get("MOZDEF_DIFFERENTIAL_CASES", "40"))
ANEW = 50
"""So many examples share the stores."""
SPAN_US = 3_600_000_000
SERVERS = {
    "elasticsearch8": "elasticsearch",
    "elasticsearch9": "elasticsearch",
    "opensearch2": "opensearch",
    "opensearch3": "opensearch",
}
"""Name of a service and of the driver that speaks to it."""


class Stores:
    """One store of each kind that is there, all with the same events, and what was asked of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._examples = 0
        self.asked: Counter[str] = Counter()
        self.open: dict[str, EventStore] = {}

    def _anew(self) -> None:
        self.close()
        unique = uuid.uuid4().hex[:8]
        self.open = {
            "memory": MemoryStore(),
            "tantivy": TantivyStore(TantivyStore.Options(), self._directory / unique, "writer"),
        }
        for service, driver in SERVERS.items():
            url = os.environ.get(f"MOZDEF_TEST_{service.upper()}_URL")
            if url is not None:
                cls = discovery.load_driver("mozdef.stores", driver)
                table = {"urls": [url], "prefix": f"differential-{unique}"}
                options = discovery.options_of(cls, table, f"store.{driver}")
                self.open[service] = cls(options, self._directory / unique, "writer")

    def write(self, events: Sequence[Event]) -> tuple[list[Event], tuple[int, int]]:
        """Write an example's events to every store, moved to a span of their own; return them and the span."""
        if self._examples % ANEW == 0:
            self._anew()
        self._examples += 1
        start_us = BASE_US - BASE_US % SPAN_US + self._examples * SPAN_US
        moved = [_moved(event, start_us + SPAN_US // 2 - BASE_US) for event in events]
        for name, store in self.open.items():
            assert not store.write(moved), name
            store.refresh()
        return moved, (start_us, start_us + SPAN_US)

    def close(self) -> None:
        """Remove what was written and let go."""
        for store in self.open.values():
            for retention_class in store.retention_classes():
                store.drop_before("9999-12-31", retention_class)
            store.close()
        self.open = {}


def _moved(event: Event, step_us: int) -> Event:
    times = {name: isoformat(event.time_us + step_us) for name in ("timestamp", "utctimestamp")}
    received = {"receivedtimestamp": isoformat(event.received_us + step_us)}
    return Event(event.id, {**event.body, **times, **received})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    missing = [name for name in SERVERS if f"MOZDEF_TEST_{name.upper()}_URL" not in os.environ]
    if missing and os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
        pytest.fail(f"not there: {', '.join(missing)}")
    made = Stores(tmp_path_factory.mktemp("differential"))
    yield made
    print(f"\ncompared {', '.join(made.open)}: {dict(made.asked)}; not there: {', '.join(missing) or 'none'}")
    made.close()


def ask(store: EventStore, question: str, query: Query, between: tuple[int, int], extra: Any = None) -> Any:
    """Return a store's answer to a question; what it refuses is an answer, too."""
    try:
        match question:
            case "newest" | "oldest":
                return _pages(store, Search(query, between, order=question, size=extra))
            case "count":
                return store.count(query, between)
            case "groups":
                return dict(store.groups(extra, query, between))
            case "frequent":
                return dict(store.groups(extra[0], query, between, at_least=extra[1]))
            case "numbers":
                return dict(store.numbers(extra, query, between))
            case "histogram":
                return list(store.histogram(query, extra))
            case _:
                return aggregate(store, {"it": extra}, query, between)
    except QueryError as error:
        return f"refused: {error}"


def _pages(store: EventStore, search: Search) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = store.search(Search(search.query, search.between, search.order, search.size, after))
        assert page.complete
        found += [event.id for event in page.events]
        after = page.after
        if after is None:
            return found


def compare(stores: Stores, question: str, query: Query, between: tuple[int, int], extra: Any = None) -> None:
    """Ask every store, and the memory store's answer is the right one."""
    answers = {name: ask(store, question, query, between, extra) for name, store in stores.open.items()}
    stores.asked[question] += 1
    expected = answers["memory"]
    wrong = {name: answer for name, answer in answers.items() if answer != expected}
    assert not wrong, f"{question} {query!r} {extra!r}: memory says {expected!r}, but {wrong!r}"


offsets = st.integers(-5, 5) | st.integers(-SPAN_US // 2, SPAN_US // 2)
"""Microseconds from the middle of a span, near which the events are."""


@pytest.mark.timeout(3600)
@settings(
    max_examples=CASES,
    deadline=None,
    phases=[Phase.generate],  # to shrink an example takes minutes: it is asked of every store each time
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(data=st.data())
def test_every_store_gives_the_same_answers(stores: Stores, data: st.DataObject) -> None:
    made = data.draw(st.lists(queries.events(), min_size=1, max_size=25), label="events")
    _, between = stores.write(made)
    for _ in range(data.draw(st.integers(3, 8), label="questions")):
        query = data.draw(queries.queries | queries.about(made), label="query")
        compare(
            stores,
            data.draw(st.sampled_from(["newest", "oldest"])),
            query,
            between,
            data.draw(st.integers(1, 9)),
        )
        compare(stores, "count", query, between)
    narrowed = data.draw(st.just(All()) | queries.queries | queries.about(made), label="narrowed")
    for field in data.draw(st.lists(queries.fields, min_size=2, max_size=4, unique=True), label="fields"):
        compare(stores, "groups", narrowed, between, field)
        compare(
            stores, "frequent", narrowed, between, (field, data.draw(st.integers(2, 4), label="at least"))
        )
        compare(stores, "numbers", narrowed, between, field)
    middle = sum(between) // 2
    edges = data.draw(st.lists(offsets, min_size=2, max_size=6, unique=True).map(sorted), label="edges")
    compare(stores, "histogram", narrowed, between, [middle + offset for offset in edges])
    for aggregation in data.draw(
        st.lists(queries.aggregations, min_size=1, max_size=2), label="aggregations"
    ):
        compare(stores, "aggregate", narrowed, between, aggregation)


@pytest.mark.parametrize("case", DISAGREEMENTS, ids=lambda case: case.name)
def test_a_disagreement_that_was_found_does_not_come_back(stores: Stores, case: Any) -> None:
    _, between = stores.write(case.events)
    for question, extra in case.questions:
        compare(stores, question, case.query, between, extra)
