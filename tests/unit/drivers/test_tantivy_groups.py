from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozdef_core.drivers import (
    tantivy_frequent,
    tantivy_groups,
    tantivy_names,
    tantivy_values,
    tantivy_windows,
)
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.errors import QueryTimeoutError
from mozdef_core.event import Event, isoformat
from mozdef_core.query import groups
from mozdef_core.query.model import All, Query, Regexp, Term
from mozdef_core.testing_contracts import queries
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, LONG, stored_event
from mozdef_core.testing_contracts.store_groups import FLOCK

OPTIONS = TantivyStore.Options(heap_mb=15)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TantivyStore]:
    opened = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    yield opened
    opened.close()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the events that are read one by one when groups are counted."""
    seen: list[str] = []
    events = tantivy_groups._Counting._events

    def note(self: Any, view: Any, found: Any) -> Iterator[Event]:
        for event in events(self, view, found):
            seen.append(event.id)
            yield event

    monkeypatch.setattr(tantivy_groups._Counting, "_events", note)
    return seen


def received_on(event: Event, day: int) -> Event:
    return stored_event(
        event.time_us, **{**event.body, "receivedtimestamp": isoformat(BASE_US + day * DAY_US)}
    )


def in_flock(body: Mapping[str, Any]) -> Event:
    return stored_event(BASE_US, **body)


flock_fields = st.sampled_from(["details.port", "details.size", "details.flag", "details.sourceipaddress"])


def both(store: TantivyStore, batches: list[list[Event]]) -> MemoryStore:
    """Write to the store batch by batch, each a segment, and to one in memory."""
    memory = MemoryStore()
    for batch in batches:
        refused = {refusal.event.id for refusal in store.write(batch)}
        memory.write([event for event in batch if event.id not in refused])
    return memory


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    batches=st.lists(
        st.lists(
            st.builds(
                received_on, queries.events() | st.sampled_from(FLOCK).map(in_flock), st.integers(0, 2)
            ),
            max_size=8,
        ),
        max_size=4,
    ),
    asked=st.lists(
        st.tuples(queries.queries | st.just(All()), queries.group_fields | flock_fields),
        min_size=1,
        max_size=5,
    ),
    steps=st.sets(st.integers(-4, 4), min_size=2),
    between=st.sampled_from([(None, None), (BASE_US, BASE_US + 2), (None, BASE_US), (BASE_US - 1, None)]),
    most=st.sampled_from([2, 65_000]),
    frequent=st.sampled_from([1, 2, 250]),
)
def test_what_is_counted_is_what_is_counted_in_memory(
    batches: list[list[Event]],
    asked: list[tuple[Query, str]],
    steps: set[int],
    between: tuple[int | None, int | None],
    most: int,
    frequent: int,
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tantivy_values, "MOST_VALUES", most)
        patch.setattr(tantivy_frequent, "MOST_FREQUENT", frequent)
        patch.setattr(tantivy_windows, "FEWEST_EVENTS", 2)
        patch.setattr(tantivy_windows, "_MARKED", 2)
        store = TantivyStore(OPTIONS, Path(directory) / "store", "writer")
        memory = both(store, batches)
        edges = [BASE_US + step for step in sorted(steps)]
        for query, field in asked:
            assert store.groups(field, query, between) == memory.groups(field, query, between), (field, query)
            for least in (2, 3, 5):
                assert store.groups(field, query, between, at_least=least) == memory.groups(
                    field, query, between, at_least=least
                )
            assert store.numbers(field, query, between) == memory.numbers(field, query, between)
            assert list(store.histogram(query, edges)) == list(memory.histogram(query, edges))
        assert store.fields() == memory.fields()
        store.close()


values = st.sampled_from(["a", "b", "c", "d", "e", "f", "2026-03-29T10:00:00Z", "x" * 20]) | st.lists(
    st.sampled_from("abcdefghi"), max_size=4
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(
        st.lists(st.tuples(values, st.integers(0, 1)), min_size=1, max_size=25), min_size=1, max_size=5
    ),
    frequent=st.integers(1, 6),
)
def test_groups_of_so_many_events_are_exact_across_segments_and_partitions(
    batches: list[list[tuple[Any, int]]], frequent: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tantivy_frequent, "MOST_FREQUENT", frequent)
        store = TantivyStore(OPTIONS, Path(directory) / "store", "writer")
        memory = both(
            store,
            [
                [stored_event(BASE_US + day * DAY_US, details={"k": value}) for value, day in batch]
                for batch in batches
            ],
        )
        for least in range(1, 12):
            expected = memory.groups("details.k", at_least=least)
            assert store.groups("details.k", at_least=least) == expected
        store.close()


@pytest.fixture
def enumerated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of which all values were counted."""
    seen: list[str] = []
    count_values = tantivy_groups.count_values

    def note(*asked: Any) -> tantivy_values.Values:
        seen.append(asked[3])
        return count_values(*asked)

    monkeypatch.setattr(tantivy_groups, "count_values", note)
    return seen


def test_rare_groups_are_not_enumerated_to_find_those_of_many_events(
    store: TantivyStore, enumerated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_frequent, "MOST_FREQUENT", 5)
    users = [f"u{number}" for number in range(30)] + ["root"] * 7 + ["ines"] * 4
    for user in users:
        store.write([stored_event(details={"user": user, "sourceipaddress": "10.0.0.1"})])
    (partition,) = store._shelf.all()
    partition.rest()
    assert store.groups("details.user", at_least=6) == {"root": 7}
    assert not enumerated
    assert store.groups("details.sourceipaddress", at_least=6) == {"10.0.0.1": 41}
    assert not enumerated
    assert store.groups("details.user", at_least=2) == {"root": 7, "ines": 4}
    assert store.groups("details.user") == {"root": 7, "ines": 4, **{f"u{number}": 1 for number in range(30)}}


def test_a_group_may_be_among_the_rare_ones_of_a_day(
    store: TantivyStore, enumerated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_frequent, "MOST_FREQUENT", 3)
    store.write([stored_event(details={"user": user}) for user in "aaaaccccddddb"])
    store.write([stored_event(BASE_US + DAY_US, details={"user": "b"}) for _ in range(20)])
    assert store.groups("details.user", at_least=21) == {"b": 21}
    assert store.groups("details.user", at_least=22) == {}
    assert not enumerated


@pytest.mark.parametrize("rare", [5, True, "::FFFF:10.0.0.1", "fe80::1%eth0", LONG])
def test_where_terms_are_not_groups_all_are_counted(
    store: TantivyStore, enumerated: list[str], rare: Any
) -> None:
    store.write([stored_event(details={"sourceipaddress": "10.0.0.1"}) for _ in range(4)])
    assert store.groups("details.sourceipaddress", at_least=2) == {"10.0.0.1": 4}
    assert not enumerated
    memory = both(store, [[stored_event(details={"sourceipaddress": [rare, "10.0.0.2"]}) for _ in range(3)]])
    expected = {**memory.groups("details.sourceipaddress")}
    expected["10.0.0.1"] = expected.get("10.0.0.1", 0) + 4
    assert store.groups("details.sourceipaddress", at_least=2) == expected
    assert enumerated


def test_a_catalogue_from_before_spellings_were_noted_takes_any(
    store: TantivyStore, enumerated: list[str]
) -> None:
    one, two = "2001:DB8::1", "2001:db8:0::1"
    store.write([stored_event(details={"sourceipaddress": value, "user": "u"}) for value in (one, two)])
    store.close()
    catalogue = store._shelf.path / "2026-03-29.default" / "partition.json"
    content = orjson.loads(catalogue.read_bytes())
    assert content["format"] == 4
    content["format"] = 2
    content["paths"] = {path: kind & 2047 for path, kind in content["paths"].items()}
    catalogue.write_bytes(orjson.dumps(content))
    again = TantivyStore(OPTIONS, store._shelf.path, "writer")
    assert again.groups("details.sourceipaddress", at_least=2) == {"2001:db8::1": 2}
    assert enumerated
    enumerated.clear()
    assert again.groups("details.user", at_least=2) == {"u": 2}
    assert not enumerated
    again.write([stored_event(details={"new": 1})])
    assert orjson.loads(catalogue.read_bytes())["format"] == 3
    again.close()


def test_counts_are_the_same_after_segments_were_merged(store: TantivyStore) -> None:
    values: list[Any] = [443, "443", 443.0, [443, "443"], "a", ["a", "b"], True, ["true", True], 0.5, "0.50"]
    memory = both(
        store,
        [[stored_event(BASE_US + step, details={"k": values[step % len(values)]})] for step in range(30)],
    )
    (partition,) = store._shelf.all()
    partition.rest()
    store.close()
    again = TantivyStore(OPTIONS, store._shelf.path, "reader")
    assert again._shelf.views()[0].searcher.num_segments < 30
    for each in (again.groups("details.k"), again.numbers("details.k")):
        assert each
    assert again.groups("details.k") == memory.groups("details.k")
    assert again.numbers("details.k") == memory.numbers("details.k")
    again.close()


def test_only_events_that_may_hold_two_values_of_one_group_are_read(
    store: TantivyStore, read: list[str]
) -> None:
    plain = [stored_event(details={"port": port}) for port in (443, "443", 80, 443.0) for _ in range(20)]
    double = stored_event(details={"port": [443, "443", 80]})
    store.write([*plain, double])
    assert store.groups("details.port") == {"443": 61, "80": 21}
    assert read == [double.id]
    read.clear()
    assert store.numbers("details.port", ~Term("details.port", 80)) == {443: 60}
    assert not read


def test_addresses_in_several_spellings_are_one_group(store: TantivyStore, read: list[str]) -> None:
    one, two = "2001:DB8::1", "2001:db8:0::1"
    events = [
        stored_event(details={"sourceipaddress": value}) for value in (one, two, [one, two], "10.0.0.1")
    ]
    store.write(events)
    assert store.groups("details.sourceipaddress") == {"2001:db8::1": 3, "10.0.0.1": 1}
    assert events[2].id in read
    assert events[3].id not in read


def test_only_events_with_cut_values_are_read(store: TantivyStore, read: list[str]) -> None:
    texts = [
        LONG + "x",
        LONG + "y",
        [LONG + "x", "short"],
        "short",
        "2026-03-29T10:00:00Z",
        "2026-" + "-" * 20,
    ]
    events = [stored_event(details={"blob": text}) for text in texts]
    store.write(events)
    assert store.groups("details.blob") == {
        LONG + "x": 2,
        LONG + "y": 1,
        "short": 2,
        texts[4]: 1,
        texts[5]: 1,
    }
    assert set(read) == {event.id for event in events[:3]}


def test_more_values_than_the_engine_counts_at_once_are_all_counted(store: TantivyStore) -> None:
    events = [
        stored_event(details={"n": [f"v{event * 4000 + step}" for step in range(5000)]})
        for event in range(17)
    ]
    store.write(events)
    with pytest.raises(ValueError, match="bucket limit"):
        store._shelf.views()[0].searcher.aggregate(
            tantivy_values.Query.all_query(), {"v": {"terms": {"field": "e.details.n", "size": 10**6}}}
        )
    found = store.groups("details.n")
    assert len(found) == 16 * 4000 + 5000 > tantivy_values.MOST_VALUES
    assert sum(found.values()) == 17 * 5000
    assert found["v4000"] == 2


def test_one_event_may_hold_more_values_than_the_engine_counts(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_values, "MOST_VALUES", 5)
    store.write([stored_event(details={"n": [*range(9), "0", True, "x"]}), stored_event(details={"n": 3})])
    assert store.groups("details.n") == {**{str(n): 1 for n in range(9)}, "3": 2, "true": 1, "x": 1}


@pytest.mark.parametrize(
    "steps", [[0, 10, 20, 30], [-3, 7, 17, 27], [0, 10, 25, 30], [-(2**55), 0, 20], [5, 2**54, 2**55]]
)
def test_times_are_counted_to_the_microsecond(store: TantivyStore, steps: list[int]) -> None:
    events = [
        stored_event(BASE_US + us, received_us=BASE_US)
        for us in (-1, 0, 9, 10, 19, 20, 24, 25, 29, 30, 3_000_000)
    ]
    memory = both(store, [events[:5], events[5:]])
    edges = [BASE_US + step for step in steps]
    expected = list(memory.histogram(All(), edges))
    assert sum(expected) > 3
    assert list(store.histogram(All(), edges)) == expected


def test_times_before_1970_are_counted(store: TantivyStore) -> None:
    store.write([stored_event(us, received_us=BASE_US) for us in (-15, -10, -1, 0, 9, 10)])
    assert list(store.histogram(All(), [-20, -10, 0, 10, 20])) == [1, 2, 2, 1]
    assert list(store.histogram(All(), [-20, -10, 5, 10])) == [1, 3, 1]


def test_fields_are_listed_without_reading_events(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = {"sourceipaddress": "10.0.0.1", "other_ipaddress": "none", "n": 1}
    store.write([stored_event(details=details)])
    monkeypatch.setattr(tantivy_names, "in_order", None)
    found = {info.name: info.kinds for info in store.fields()}
    assert found["details.sourceipaddress"] == ("address",)
    assert found["details.other_ipaddress"] == ("string",)
    assert found["details.n"] == ("number",)


def test_a_field_that_is_mostly_a_default_is_looked_at_closely(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_names, "_WITNESSES", 2)
    defaulted = {"plugins": [], "problems": [], "defaulted": ["hostname"]}
    events = [stored_event(BASE_US - 9 + step, hostname="web1") for step in range(5)]
    events += [stored_event(BASE_US - 100, hostname=True), stored_event(hostname=7, mozdef=defaulted)]
    store.write(events)
    assert {info.name: info.kinds for info in store.fields()}["hostname"] == ("boolean", "string")


def test_a_field_with_a_column_is_named_only_as_events_have_it(store: TantivyStore) -> None:
    without = stored_event()
    body = {name: value for name, value in without.body.items() if name != "summary"}
    store.write([Event(without.id, body)])
    assert "summary" not in {info.name for info in store.fields()}
    store.write([stored_event(summary=5)])
    assert {info.name: info.kinds for info in store.fields()}["summary"] == ("number",)
    store.write([stored_event()])
    assert {info.name: info.kinds for info in store.fields()}["summary"] == ("number", "text")


@pytest.mark.parametrize("ask", ["groups", "numbers", "histogram", "fields", "count"])
def test_what_takes_too_long_says_what_to_narrow(store: TantivyStore, ask: str) -> None:
    store.write([stored_event(details={"k": "v"})])
    store.time_limit_s = 0
    slow = Regexp("summary", "nothi.*")
    with pytest.raises(QueryTimeoutError, match="narrow the query or take a shorter time"):
        {
            "groups": lambda: store.groups("details.k"),
            "numbers": lambda: store.numbers("details.k"),
            "histogram": lambda: store.histogram(All(), [0, 1, BASE_US * 2]),
            "fields": store.fields,
            "count": lambda: store.count(slow),
        }[ask]()


def test_splitting_stops_when_the_time_is_up(store: TantivyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tantivy_values, "MOST_VALUES", 2)
    store.write([stored_event(details={"k": f"v{step}"}) for step in range(20)])
    left = iter([False] * 6 + [True] * 1000)
    monkeypatch.setattr(Deadline, "passed", property(lambda _self: next(left)))
    with pytest.raises(QueryTimeoutError):
        store.groups("details.k")


def test_a_text_makes_no_groups_without_any_partition(store: TantivyStore) -> None:
    with pytest.raises(groups.QueryError, match="a text makes no groups"):
        store.groups("summary")
