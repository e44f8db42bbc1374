"""What a store counts by group, number, time and name: named examples, and a truth in plain Python to agree with."""

# the name of a test is its sentence
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozdef_core.aggregation import aggregate
from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.event import Event
from mozdef_core.ports import EventStore, FieldInfo
from mozdef_core.query import evaluate, groups
from mozdef_core.query.aggregations import Aggregation, Cardinality, TermsAgg
from mozdef_core.query.model import All, Query, Search, Term
from mozdef_core.testing_contracts import queries
from mozdef_core.testing_contracts.aggregation_truth import answers, groups_of, numbers_of
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, LONG, stored_event

Mode: TypeAlias = Literal["writer", "reader"]

_DEFAULTED: Final = {"plugins": [], "problems": [], "defaulted": ["hostname", "details.port"]}

FLOCK: Final[Sequence[Mapping[str, Any]]] = (
    {"details": {"port": 443}},
    {"details": {"port": 443.0}},
    {"details": {"port": "443"}},
    {"details": {"port": "443.0"}},
    {"details": {"port": [80, "443", 443, [443.0], None]}},
    {"details": {"port": "https"}},
    {"details": {"port": ["443.0", 443]}},
    {"details": {"port": 4430}, "hostname": "UNKNOWN", "mozdef": _DEFAULTED},
    {"details": {"flag": True}},
    {"details": {"flag": "true"}},
    {"details": {"flag": [False, "TRUE", 1, 0]}},
    {"details": {"size": 2**63 - 1}},
    {"details": {"size": -(2**63)}},
    {"details": {"size": float(-(2**63))}},
    {"details": {"size": 2**53 + 1}},
    {"details": {"size": float(2**53)}},
    {"details": {"size": 1e300}},
    {"details": {"size": "1e+300"}},
    {"details": {"size": -0.0}},
    {"details": {"size": "007"}},
    {"details": {"size": [0.5, "0.5", "0.50", "-1"]}},
    {"details": {"size": True}},
    {"details": {"net": {"zone": "dmz"}}},
    {"details": {"net.zone": "dmz"}},
    {"details.net.zone": "dmz"},
    {"details": {"net": {"zone": ["lan", "dmz"]}, "net.zone": ["dmz", "wan"]}},
    {"details": {"net": [{"zone": "lan"}, {"zone": [["wan"]]}, "zone"]}},
    {"details": {"sourceipaddress": "10.1.2.3"}},
    {"details": {"sourceipaddress": "::ffff:10.1.2.3"}},
    {"details": {"sourceipaddress": ["2001:DB8::1", "2001:db8:0::1", "10.1.2.3"]}},
    {"details": {"sourceipaddress": "fe80::1%eth0"}},
    {"details": {"sourceipaddress": "fe80::1"}},
    {"details": {"sourceipaddress": "10.1.2"}},
    {"details": {"sourceipaddress": "10.0.0.0/8"}},
    {"details": {"sourceipaddress": 443}},
    {"details": {"client": "2001:DB8::1"}},
    {"details": {"client": "2001:db8::1"}},
    {"details": {"maybe": None}},
    {"details": {"maybe": []}},
    {"details": {"maybe": {"inner": "x"}}},
    {"details": {"maybe": [{"inner": "y"}, "z", None]}},
    {"details": {"maybe": ""}},
    {"details": {"user": "a*b"}},
    {"details": {"user": "a?b"}},
    {"details": {"user": "A\\b"}},
    {"details": {"user": 'a"b'}},
    {"details": {"user": "first\nsecond"}},
    {"details": {"user": "a b"}},
    {"details": {"user": "inés"}},
    {"details": {"user": "INÉS"}},
    {"details": {"user": "\U0001f600"}},
    {"details": {"user": "\uffff"}},
    {"details": {"blob": LONG + "x"}},
    {"details": {"blob": LONG + "y"}},
    {"details": {"a key": "1"}},
    {"details": {'schlüssel:"x"\\': "1"}},
    {"details": "none"},
)
"""Events that differ in how a value is written; one second lies between each and the next."""

GROUPS: Final[Sequence[tuple[str, Mapping[str, int]]]] = (
    ("details.port", {"443": 5, "443.0": 2, "80": 1, "https": 1}),
    ("details.flag", {"true": 2, "false": 1, "TRUE": 1, "1": 1, "0": 1}),
    (
        "details.size",
        {
            "9223372036854775807": 1,
            "-9223372036854775808": 2,
            "9007199254740993": 1,
            "9007199254740992": 1,
            "1e+300": 2,
            "0": 1,
            "007": 1,
            "0.5": 1,
            "0.50": 1,
            "-1": 1,
            "true": 1,
        },
    ),
    ("details.net.zone", {"dmz": 4, "lan": 2, "wan": 2}),
    ("details.net", {"zone": 1}),
    (
        "details.sourceipaddress",
        {"10.1.2.3": 3, "2001:db8::1": 1, "fe80::1": 2, "10.1.2": 1, "10.0.0.0/8": 1, "443": 1},
    ),
    ("details.client", {"2001:DB8::1": 1, "2001:db8::1": 1}),
    ("details.maybe", {"z": 1, "": 1}),
    ("details.maybe.inner", {"x": 1, "y": 1}),
    (
        "details.user",
        dict.fromkeys(
            ["a*b", "a?b", "A\\b", 'a"b', "first\nsecond", "a b", "inés", "INÉS", "\U0001f600", "\uffff"], 1
        ),
    ),
    ("details.blob", {LONG + "x": 1, LONG + "y": 1}),
    ("details.a key", {"1": 1}),
    ('details.schlüssel:"x"\\', {"1": 1}),
    ("details", {"none": 1}),
    ("hostname", {"db4.lab.example": len(FLOCK) - 1}),
    ("details.absent", {}),
    ("tags", {}),
)

NUMBERS: Final[Sequence[tuple[str, Mapping[int | float, int]]]] = (
    ("details.port", {443: 6, 80: 1}),
    ("details.flag", {1: 1, 0: 1}),
    (
        "details.size",
        {
            2**63 - 1: 1,
            -(2**63): 2,
            2**53 + 1: 1,
            2**53: 1,
            1e300: 2,
            0: 1,
            0.5: 1,
            -1: 1,
        },
    ),
    ("details.sourceipaddress", {443: 1}),
    ("details.user", {}),
    ("details.absent", {}),
)

_HARD: Final = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


class StoreGroups:
    """What is counted by group, number, time and name."""

    def open_store(self, path: Path, mode: Mode) -> EventStore:
        """Open the store at a path; every call with one path sees the same events."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def flock(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
        """A store with the events of :data:`FLOCK`, for tests that only read."""
        store = cls().open_store(tmp_path_factory.mktemp("flock") / "store", "writer")
        events = [stored_event(BASE_US + second * 1_000_000, **fields) for second, fields in enumerate(FLOCK)]
        assert not store.write(events)
        store.refresh()
        yield store
        store.close()

    @pytest.fixture(scope="class")
    @classmethod
    def many(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EventStore, Iterator[int]]]:
        """A store that examples share, and numbers to keep their events apart."""
        store = cls().open_store(tmp_path_factory.mktemp("many") / "store", "writer")
        yield store, count()
        store.close()

    @pytest.mark.parametrize(("field", "expected"), GROUPS, ids=[field for field, _ in GROUPS])
    def test_a_group_has_every_event_with_its_value_once(
        self, flock: EventStore, field: str, expected: Mapping[str, int]
    ) -> None:
        assert dict(flock.groups(field)) == expected

    @pytest.mark.parametrize(("field", "expected"), GROUPS, ids=[field for field, _ in GROUPS])
    def test_groups_with_fewer_events_than_asked_for_are_left_out(
        self, flock: EventStore, field: str, expected: Mapping[str, int]
    ) -> None:
        for least in (0, 1, 2, 3, 4):
            frequent = {key: events for key, events in expected.items() if events >= least}
            assert dict(flock.groups(field, at_least=least)) == frequent

    @pytest.mark.parametrize(("field", "expected"), GROUPS, ids=[field for field, _ in GROUPS])
    def test_the_query_for_a_group_finds_exactly_its_events(
        self, flock: EventStore, field: str, expected: Mapping[str, int]
    ) -> None:
        assert {key: flock.count(groups.in_group(field, key)) for key in expected} == expected

    @pytest.mark.parametrize(("field", "expected"), NUMBERS, ids=[field for field, _ in NUMBERS])
    def test_a_number_counts_once_for_each_event_however_it_is_written(
        self, flock: EventStore, field: str, expected: Mapping[int | float, int]
    ) -> None:
        assert dict(flock.numbers(field)) == expected

    def test_only_events_that_match_and_lie_in_the_time_are_counted(self, flock: EventStore) -> None:
        between = (BASE_US + 1_000_000, BASE_US + 4_000_000)
        assert dict(flock.groups("details.port", All(), between)) == {"443": 2, "443.0": 1}
        assert dict(flock.groups("details.port", Term("details.port", 80))) == {"80": 1, "443": 1}
        assert dict(flock.numbers("details.port", All(), between)) == {443: 3}
        assert dict(flock.numbers("details.port", Term("details.port", "https"), between)) == {}
        assert dict(flock.groups("hostname", All(), (BASE_US + DAY_US, None))) == {}

    @pytest.mark.parametrize("field", ["summary", "timestamp", "utctimestamp", "receivedtimestamp", "*", ""])
    def test_texts_and_times_make_no_groups(self, flock: EventStore, field: str) -> None:
        with pytest.raises(QueryError):
            flock.groups(field)
        with pytest.raises(QueryError):
            flock.numbers(field)

    def test_a_histogram_counts_from_each_edge_to_before_the_next(self, flock: EventStore) -> None:
        edges = [
            BASE_US - DAY_US,
            BASE_US,
            BASE_US + 1,
            BASE_US + 2_000_000,
            BASE_US + 2_000_001,
            BASE_US + 9_000_000,
        ]
        assert list(flock.histogram(All(), edges)) == [0, 1, 1, 1, 6]
        assert list(flock.histogram(Term("details.port", "443.0"), edges)) == [0, 1, 1, 0, 3]
        assert list(flock.histogram(All(), edges[:2])) == [0]
        assert list(flock.histogram(All(), edges[:1])) == []
        assert list(flock.histogram(All(), [])) == []
        assert list(flock.histogram(All(), [BASE_US, BASE_US + 2 * DAY_US])) == [len(FLOCK)]

    @pytest.mark.parametrize("edges", [[2, 1], [1, 1], [1, 2.5], [1, 3, 2]])
    def test_edges_that_do_not_rise_are_refused(self, flock: EventStore, edges: list[int]) -> None:
        with pytest.raises(QueryError, match="edges"):
            flock.histogram(All(), edges)

    def test_the_names_of_fields_are_known_with_the_kinds_of_their_values(self, flock: EventStore) -> None:
        found = flock.fields()
        assert [info.name for info in found] == sorted(info.name for info in found)
        for info in (
            FieldInfo("category", ("string",)),
            FieldInfo("details", ("string",)),
            FieldInfo("details.flag", ("boolean", "number", "string")),
            FieldInfo("details.maybe.inner", ("string",)),
            FieldInfo("details.net", ("string",)),
            FieldInfo("details.net.zone", ("string",)),
            FieldInfo("details.port", ("number", "string")),
            FieldInfo('details.schlüssel:"x"\\', ("string",)),
            FieldInfo("details.size", ("boolean", "number", "string")),
            FieldInfo("details.sourceipaddress", ("address", "number", "string")),
            FieldInfo("receivedtimestamp", ("time",)),
            FieldInfo("summary", ("text",)),
            FieldInfo("timestamp", ("time",)),
            FieldInfo("utctimestamp", ("time",)),
        ):
            assert info in found
        names = {info.name for info in found}
        assert not names & {"", "tags", "details.absent", "mozdef.problems"}
        assert {info.name for info in flock.fields((BASE_US, BASE_US + 1))} >= {"details.port", "hostname"}
        assert not flock.fields((BASE_US + 9 * DAY_US, None))

    def test_a_defaulted_field_is_in_no_group_and_of_no_name(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        store.write([stored_event(hostname="UNKNOWN", details={"port": 1}, mozdef=_DEFAULTED)])
        store.refresh()
        assert not store.groups("hostname")
        assert not store.numbers("details.port")
        assert not {"hostname", "details.port"} & {info.name for info in store.fields()}
        assert dict(store.groups("mozdef.defaulted")) == {"hostname": 1, "details.port": 1}
        store.close()

    def test_what_was_dropped_is_counted_no_more(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        store.write([stored_event(BASE_US + step * DAY_US, details={"step": step}) for step in range(3)])
        store.refresh()
        assert dict(store.groups("details.step")) == {"0": 1, "1": 1, "2": 1}
        store.drop_before("2026-03-30")
        store.refresh()
        assert dict(store.groups("details.step")) == {"1": 1, "2": 1}
        assert list(store.histogram(All(), [BASE_US, BASE_US + DAY_US, BASE_US + 2 * DAY_US])) == [0, 1]
        store.close()

    def test_more_values_than_are_counted_are_an_error_and_no_cut_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        store.write([stored_event(details={"step": step}) for step in range(60)])
        store.refresh()
        monkeypatch.setattr(groups, "MOST_VALUES", 59)
        for ask in (store.groups, store.numbers):
            with pytest.raises(QueryError, match=r"details\.step: more than 59 distinct values"):
                ask("details.step")
        monkeypatch.setattr(groups, "MOST_VALUES", 60)
        assert len(store.groups("details.step")) == len(store.numbers("details.step")) == 60
        store.close()

    def test_an_answer_that_takes_too_long_is_an_error_and_not_cut(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        store.write([stored_event(BASE_US, details={"step": step}) for step in range(60)])
        store.refresh()
        store.time_limit_s = 0
        with suppress(QueryTimeoutError):  # an engine may have the answer before it looks at the clock
            assert len(store.groups("details.step")) == 60
        store.close()

    def test_the_largest_of_many_groups_are_exact_across_days(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        events = [
            stored_event(BASE_US + day * DAY_US, details={"user": f"u{number}", "port": port})
            for day in range(3)
            for number in range(40)
            for port in range(number % (day + 2))
        ]
        store.write(events)
        store.refresh()
        wanted = {"top": TermsAgg("details.user", 3, sub={"ports": Cardinality("details.port")})}
        assert aggregate(store, wanted) == answers(events, wanted, (None, None))
        counts = Counter(event.get("details.user") for event in events)
        for least in (1, 2, 3, 4, 5, 99):
            frequent = {user: number for user, number in counts.items() if number >= least}
            assert dict(store.groups("details.user", at_least=least)) == frequent
        store.close()

    @_HARD
    @given(st.lists(queries.events(), max_size=6), queries.queries, queries.group_fields, st.data())
    def test_every_count_agrees_with_plain_python(
        self,
        many: tuple[EventStore, Iterator[int]],
        events: list[Event],
        query: Query,
        field: str,
        data: st.DataObject,
    ) -> None:
        store, found, mine = self._stored(many, events, query)
        assert dict(store.groups(field, mine)) == Counter(
            key for event in found for key in groups_of(event, field)
        )
        assert dict(store.numbers(field, mine)) == Counter(
            number for event in found for number in numbers_of(event, field)
        )
        steps = sorted(data.draw(st.sets(st.integers(-4, 4), min_size=2)))
        edges = [BASE_US + step for step in steps]
        assert list(store.histogram(mine, edges)) == [
            sum(1 for event in found if first <= event.time_us < end) for first, end in pairwise(edges)
        ]

    @_HARD
    @given(
        st.lists(queries.events(queries.far), max_size=6),
        queries.queries,
        st.dictionaries(st.sampled_from(["a", "b"]), queries.aggregations, min_size=1),
        st.none() | queries.far,
        st.none() | queries.far,
    )
    def test_every_aggregation_agrees_with_plain_python(
        self,
        many: tuple[EventStore, Iterator[int]],
        events: list[Event],
        query: Query,
        wanted: dict[str, Aggregation],
        first: int | None,
        end: int | None,
    ) -> None:
        store, found, mine = self._stored(many, events, query)
        between = (None if first is None else BASE_US + first, None if end is None else BASE_US + end)
        assert aggregate(store, wanted, mine, between) == answers(found, wanted, between)

    def _stored(
        self, many: tuple[EventStore, Iterator[int]], events: list[Event], query: Query
    ) -> tuple[EventStore, list[Event], Query]:
        """Store events under a mark of their own; return those that match, and the query that finds just them."""
        store, numbers = many
        mark = f"run {next(numbers)}"
        marked = [Event(event.id, {**event.body, "source": mark}) for event in events]
        refused = {refusal.event.id for refusal in store.write(marked)}
        store.refresh()
        matches = evaluate.compile(query)
        kept = [event for event in marked if event.id not in refused]
        stored = {event.id: event for event in store.search(Search(Term("source", mark), size=100)).events}
        assert stored == {event.id: event for event in kept}
        return store, [event for event in kept if matches(event)], Term("source", mark) & query
