from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from mozdef_core.drivers import tantivy_document
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_compile import Compiler
from mozdef_core.event import Event, isoformat
from mozdef_core.query import evaluate
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    Range,
    Regexp,
    Search,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.query.order import position
from mozdef_core.query.plain import plain
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event


@pytest.fixture(autouse=True, scope="module")
def short_terms() -> Iterator[None]:
    """Cut strings at 40 characters, so that what holds for long ones is tested with short ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tantivy_document, "LONGEST", 40)
        patch.setattr(tantivy_document, "_CUT", 20)
        patch.setattr(tantivy_document, "_LONGEST_SUMMARY", 500)
        yield


OPTIONS = TantivyStore.Options(heap_mb=15)

STRINGS = [
    "ines",
    "Ines",
    "INÉS",
    "ſtraße",
    "STRASSE",
    "K",
    "\u212a",
    "two words",
    "",
    "0",
    "443",
    "443.0",
    "-0",
    "1e3",
    "1e+19",
    "true",
    "True",
    "false",
    "nan",
    "inf",
    "AND",
    "TO",
    "10.1.2.3",
    "10.1.2.300",
    "::ffff:10.1.2.3",
    "2001:db8::1",
    "fe80::1%eth0",
    "10.0.0.0/8",
    "2026-03-29",
    "2026-03-29T10:00:00Z",
    "2026-03-29T10:00:00+00:00",
    "2026-03-29 10:00:00",
    "2026-03-29T10:00:00Z\x02",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z",
    "a*b",
    "a?b",
    "a\\b",
    "a/b",
    'a"b',
    "a\nb",
    "\x00",
    "\x01\x02",
    "王小明",
    "🙂",
    "a.b",
    "-",
    "--",
    "[x]",
    "{",
    "A" * 41,
    "A" * 41 + "b",
    "A" * 100,
    "A" * 1000,
    "Failed password for root",
    "keyboard-interactive/pam",
    isoformat(BASE_US),
    isoformat(BASE_US + 1_000_000),
]
NUMBERS: list[Any] = [
    0,
    -0.0,
    1,
    7,
    7.5,
    -5,
    443,
    443.0,
    1000,
    2**53 - 1,
    2**53,
    2**53 + 1,
    float(2**53),
    2**63 - 1,
    -(2**63),
    2**63,
    2**64 - 1,
    1e19,
    1e300,
    5e-324,
    0.1,
    True,
    False,
]
KEYS = [
    "a",
    "b",
    "a.b",
    "sourceipaddress",
    "x-y",
    "ü z",
    "A",
    "",
    "a..b",
    ".a",
    "e",
    "\x01",
    "back\\slash",
    'q"(:',
]
FIELDS = [
    "details.a",
    "details.b",
    "details.a.b",
    "details.a.a",
    "details.b.a",
    "details.a.b.a",
    "details",
    "details.sourceipaddress",
    "details.x-y",
    "details.ü z",
    "details.A",
    "details.a..b",
    "details.a.",
    "details..a",
    "details.\x01",
    "details.back\\slash",
    'details.q"(:',
    "details.a.sourceipaddress",
    "summary",
    "utctimestamp",
    "timestamp",
    "receivedtimestamp",
    "tags",
    "hostname",
    "hostname.a",
    "mozdef.defaulted",
    "mozdef",
    "details.destinationipaddress",
    "nothing",
]

scalars = st.one_of(st.sampled_from(STRINGS), st.sampled_from(NUMBERS), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=6,
)
details = st.dictionaries(st.sampled_from(KEYS), values, max_size=5)
usual = st.fixed_dictionaries(
    {"details": details},
    optional={
        "summary": st.sampled_from(STRINGS),
        "tags": st.lists(st.sampled_from(STRINGS), max_size=2),
        "hostname": st.sampled_from(["UNKNOWN", "db4"]),
        "details.a": values,
        "mozdef": st.fixed_dictionaries(
            {"defaulted": st.lists(st.sampled_from(["hostname", "summary", "timestamp", "details.a"]))}
        ),
    },
)
odd = st.fixed_dictionaries(
    {},
    optional={
        "summary": values,
        "timestamp": scalars,
        "hostname": values,
        "mozdef": values,
        "details": values,
        "utctimestamp": st.sampled_from(
            ["2026-03-29T10:00:00Z", "2026-03-29 12:00:00.25+02:00", "20260329T100000+0000"]
        ),
    },
)
offsets = st.sampled_from([0, 0, 0, 1, -1, 1_000_000, -DAY_US, 3 * DAY_US])
stored = st.one_of(usual, usual, usual, odd)

fields = st.sampled_from(FIELDS)
wide = st.one_of(fields, st.just("*"))
texts = st.one_of(
    st.sampled_from(STRINGS),
    st.sampled_from(STRINGS).map(lambda text: text[: len(text) // 2]),
    st.sampled_from(["password failed", "pass", "PAM", "2026", "2026-03", "in", "alp", "nam", "1"]),
)
patterns = st.one_of(
    texts,
    texts.map(lambda text: text + "*"),
    texts.map(lambda text: "*" + text),
    texts.map(lambda text: text[:1] + "?" + text[2:]),
    st.sampled_from(["*", "?", "", "??*", "i?es", "A*b", "a\\*b", "*\\\\*", "*-*", "2*Z", "k*", "s*e"]),
)
expressions = st.sampled_from(
    [".*", "", "[a-z]+", "i.es", r"\d+", r"\D+", r"\w+", "A+b", "a.b", "2026.*Z", r"\p{Han}+", "(?i)INES"]
)
equals = st.one_of(st.sampled_from(STRINGS), st.sampled_from(NUMBERS))
limits = st.one_of(
    st.sampled_from([number for number in NUMBERS if not isinstance(number, bool)]), st.sampled_from(STRINGS)
)


def _ranges(field: str, low: Any, high: Any, kinds: tuple[str, str]) -> Query | None:
    given_bounds = {kinds[0]: low, kinds[1]: high}
    try:
        query = Range(field, **given_bounds)
        evaluate.compile(query)
    except evaluate.QueryError:
        return None
    return query


ranges = st.builds(
    _ranges,
    fields,
    st.one_of(st.none(), limits),
    st.one_of(st.none(), limits),
    st.tuples(st.sampled_from(["gte", "gt"]), st.sampled_from(["lte", "lt"])),
).filter(lambda query: query is not None)
networks = st.lists(
    st.sampled_from(
        ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "::/0", "2001:db8::/32", "::ffff:0:0/96", "fe80::/10"]
    ),
    max_size=2,
)
leaves: st.SearchStrategy[Query] = st.one_of(
    st.builds(Term, fields, equals, st.booleans()),
    st.builds(Terms, fields, st.lists(equals, max_size=4), st.booleans()),
    ranges,
    st.builds(Exists, fields),
    st.builds(Prefix, wide, texts, st.booleans()),
    st.builds(Wildcard, wide, patterns, st.booleans()),
    st.builds(Regexp, wide, expressions, st.booleans()),
    st.builds(Match, wide, texts),
    st.builds(MatchPhrase, wide, texts),
    st.builds(Subnet, fields, networks),
    st.just(All()),
)
queries = st.recursive(
    leaves,
    lambda inner: st.builds(
        Bool,
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2),
    ),
    max_leaves=4,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(
    batches=st.lists(st.lists(st.tuples(stored, offsets, offsets), max_size=6), min_size=1, max_size=3),
    asked=st.lists(queries, min_size=1, max_size=8),
    between=st.sampled_from(
        [(None, None), (BASE_US, BASE_US + 1), (None, BASE_US), (BASE_US - DAY_US, None)]
    ),
)
def test_the_store_finds_what_evaluation_in_memory_finds(
    batches: list[list[tuple[dict[str, Any], int, int]]],
    asked: list[Query],
    between: tuple[int | None, int | None],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = TantivyStore(OPTIONS, Path(directory) / "store", "writer")
        kept: list[Event] = []
        for batch in batches:
            events = [
                stored_event(BASE_US + offset, received_us=BASE_US + max(0, delay), **body)
                for body, offset, delay in batch
            ]
            refused = {refusal.event.id for refusal in store.write(events)}
            kept += [one for one in events if one.id not in refused]
        assert {one.id: one.body for one in store.search(Search(size=1000)).events} == {
            one.id: one.body for one in kept
        }
        low, high = between
        inside = [
            one
            for one in kept
            if (low is None or one.time_us >= low) and (high is None or one.time_us < high)
        ]
        for query in asked:
            matches = evaluate.compile(query)
            for view in (partition.view() for partition in store._shelf.all()):
                event(f"exact: {Compiler(view).compile(plain(query)).exact}")
            expected = [one for one in sorted(inside, key=position, reverse=True) if matches(one)]
            found = store.search(Search(query, between, size=1000)).events
            assert [one.id for one in found] == [one.id for one in expected], query
            assert store.count(query, between) == len(expected), query
        store.close()


few_numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([-2.5, -1.0, -0.5, 0.0, 0.5, 1.5, 2.0, 2.5, 1e6, -1e6, 2**53 - 1, 1 - 2**53]),
    st.floats(-4, 4),
)


@settings(max_examples=100, deadline=None)
@given(
    written=st.lists(st.one_of(few_numbers, st.lists(few_numbers, max_size=3)), min_size=1, max_size=12),
    mixed=st.lists(st.one_of(few_numbers, st.sampled_from(["word", True, None])), max_size=4),
    asked=st.lists(
        st.builds(
            _ranges,
            st.just("details.n"),
            st.one_of(st.none(), few_numbers),
            st.one_of(st.none(), few_numbers, st.sampled_from([1e300, 2**60 + 0.5, 10**380])),
            st.tuples(st.sampled_from(["gte", "gt"]), st.sampled_from(["lte", "lt"])),
        ).filter(lambda query: query is not None),
        min_size=1,
        max_size=10,
    ),
)
def test_ranges_of_numbers_are_answered_by_the_index_alone(
    written: list[Any], mixed: list[Any], asked: list[Query]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = TantivyStore(OPTIONS, Path(directory) / "store", "writer")
        events = [stored_event(details={"n": value}) for value in [*written, *mixed]]
        store.write(events[: len(written)])
        store.write(events[len(written) :])
        (partition,) = store._shelf.all()
        for query in asked:
            matches = evaluate.compile(query)
            expected = {one.id for one in events if matches(one)}
            found = store.search(Search(query, size=1000)).events
            assert {one.id for one in found} == expected, query
            limits = [query.gte, query.gt, query.lte, query.lt]
            if all(limit is None or abs(limit) < 2**52 for limit in limits):
                assert Compiler(partition.view()).compile(query).exact
        store.close()
