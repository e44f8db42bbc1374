"""Strategies for Hypothesis: events and queries out of few names and values, so that they often meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import Event, Scalar
from mozdef_core.query import evaluate, glob
from mozdef_core.query import expressions as expressions_of
from mozdef_core.query.aggregations import (
    Aggregation,
    Cardinality,
    DateHistogram,
    Percentiles,
    Stats,
    TermsAgg,
    TopHits,
)
from mozdef_core.query.lists import MOST_SPELT, GivenLists, Listed
from mozdef_core.query.members import KINDS, NetworkMembers
from mozdef_core.query.model import (
    ANY_FIELD,
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    Range,
    Regexp,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.testing_contracts.store_events import BASE_US, SECOND_US, stored_event

words = st.sampled_from(
    [
        "a",
        "A",
        "ab",
        "abc",
        "ABC",
        "é",
        "É",
        "ß",
        "ẞ",
        "ς",
        "σ",
        "a b",
        "a-b",
        "a_b",
        "x.y",
        "",
        "AND",
        "TO",
        "*",
        "a*",
        "?",
        "\\",
        '"',
        "/",
    ]
)
texts = words | st.text("aAbB 1.*?\\/\"'()[]{}:+-!&|~^<>=@_\nß\U0001f600", max_size=6)
numbers = (
    st.sampled_from([0, 1, -1, 443, 443.0, 0.5, 10**15, 1e16, -0.0, 2**53 + 1, 2**63 - 1, -(2**63)])
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
digits = st.sampled_from(["0", "1", "443", "443.0", "0.5", "-1", "007", "1e16", "true", "false", "TRUE"])
addresses = st.sampled_from(
    [
        "10.1.2.3",
        "10.255.0.1",
        "192.0.2.7",
        "2001:db8::1",
        "2001:DB8:0::1",
        "::ffff:10.1.2.3",
        "10.1.2",
        "fe80::1%eth0",
    ]
)
times = st.sampled_from(
    ["2026-03-29", "2026-03-29T12:00:00Z", "2026-03-29T14:00:00.25+02:00", "2026", "2026-03"]
)
scalars = texts | numbers | digits | st.booleans() | addresses | times
names = st.sampled_from(
    ["key", "k y", "net", "net.zone", "a.b", "sourceipaddress", "when", "AND", "_exists_", 'o"d:d']
)
nodes = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)


near = st.integers(-3, 3)
"""Microseconds from the base time: events side by side."""

far = st.builds(
    lambda days, hours, us: (days * 24 + hours) * 3600 * SECOND_US + us,
    st.integers(-2, 2),
    st.integers(-13, 13),
    st.integers(-1, 1),
)
"""Microseconds from the base time: events on several days, around a change of clocks in Europe."""


group_fields = st.sampled_from(["tags", "hostname", "extra", "details"]) | names.map("details.{}".format)


@st.composite
def events(draw: st.DrawFn, offsets: st.SearchStrategy[int] = near) -> Event:
    """Make an event with odd shapes and values under the names that :data:`queries` asks for.

    :param offsets: of its time from the base time, in microseconds.
    """
    body: dict[str, Any] = {
        "summary": draw(texts | st.lists(texts, max_size=2)),
        "details": draw(st.dictionaries(names, nodes, max_size=4) | st.just("none")),
        "tags": draw(st.lists(texts, max_size=2)),
    }
    body.update(
        draw(st.dictionaries(st.sampled_from(["details.key", "hostname", "extra"]), nodes, max_size=2))
    )
    if draw(st.booleans()):
        body["mozdef"] = {
            "plugins": [],
            "problems": [],
            "defaulted": draw(st.lists(group_fields, max_size=2)),
        }
    return stored_event(BASE_US + draw(offsets), **body)


fields = st.sampled_from(["summary", "tags", "hostname", "extra", "utctimestamp", "details"]) | names.map(
    "details.{}".format
)
wide = fields | st.just("*")
expressions = st.sampled_from(
    ["a.*", "[ab]+", "(?i)abc", "", ".", "a/b", r"\d+", r"a\\b", "443|80", r"\Qa/b\E", "\\\n|\n"]
)
networks = st.sampled_from(
    ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "::/0", "2001:db8::/32", "::ffff:10.0.0.0/104"]
)
bounds = st.none() | texts | numbers | digits | addresses | times


@st.composite
def ranges(draw: st.DrawFn) -> Query:
    """Make a range whose bounds have a meaning; everything in place of one that has none."""
    low, high = draw(st.sampled_from(["gte", "gt"])), draw(st.sampled_from(["lte", "lt"]))
    try:
        query = Range(draw(fields), **{low: draw(bounds), high: draw(bounds)})
        evaluate.compile(query)
    except QueryError:
        return All()
    return query


_FILLERS = {
    "addresses": [(f"198.18.{number // 250}.{number % 250}", None) for number in range(MOST_SPELT + 1)],
    "texts": [(f"filler {number}", None) for number in range(MOST_SPELT + 1)],
}


@st.composite
def listed(draw: st.DrawFn) -> Query:
    """Make a question for what is in a list, short or too long to be spelt out; some members have expired."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    values = networks if KINDS[kind] is NetworkMembers else texts | digits | addresses
    expiry = st.none() | st.just(1) | near.map(BASE_US.__add__)
    entries = draw(st.lists(st.tuples(values, expiry), max_size=4))
    if draw(st.booleans()):
        entries += _FILLERS.get(kind, _FILLERS["texts"])
    field = draw(fields.filter(lambda name: name != "summary"))
    name = blake2b(repr((kind, entries)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return Listed(field, name, KINDS[kind](entries))


def lists_of(query: Query) -> GivenLists:
    """Return the lists that a query was resolved with."""
    if isinstance(query, Listed):
        return GivenLists({query.name: query.members})
    parts = (query.must, query.should, query.must_not) if isinstance(query, Bool) else ()
    found = [lists_of(clause) for part in parts for clause in part]
    return GivenLists(
        {name: members for one in found for name in one.names() if (members := one.members(name))}
    )


leaves = (
    st.just(All())
    | listed()
    | st.builds(Term, fields, scalars, st.booleans())
    | st.builds(Terms, fields, st.lists(scalars, max_size=3), st.booleans())
    | ranges()
    | st.builds(Exists, fields)
    | st.builds(Prefix, wide, texts, st.booleans())
    | st.builds(Wildcard, wide, texts, st.booleans())
    | st.builds(Regexp, wide, expressions, st.booleans())
    | st.builds(Match, wide, texts)
    | st.builds(MatchPhrase, wide, texts)
    | st.builds(Subnet, fields, st.lists(networks, max_size=2))
)
queries = st.recursive(
    leaves,
    lambda inner: st.builds(
        Bool, st.lists(inner, max_size=2), st.lists(inner, max_size=2), st.lists(inner, max_size=2)
    ),
    max_leaves=4,
)


def about(made: Sequence[Event]) -> st.SearchStrategy[Query]:
    """Make queries that hold for some of these events and not for others, which queries by chance seldom do."""
    pairs = sorted({pair for event in made for pair in _pairs("", event.body)}, key=repr)
    some = st.sampled_from(pairs).flatmap(_on_value)
    return st.recursive(
        some,
        lambda inner: (
            st.builds(lambda one, other: one & ~other, inner, inner)
            | st.builds(lambda one, other: one | other, inner, inner)
            | st.builds(lambda one: ~one, inner)
        ),
        max_leaves=4,
    )


def _pairs(path: str, node: object) -> Iterator[tuple[str, Scalar]]:
    """Yield path and value of everything that is in an event by chance, not as its times and bookkeeping are."""
    if isinstance(node, dict):
        for key, value in node.items():
            if path or key in ("summary", "details", "tags", "hostname", "extra", "category"):
                yield from _pairs(f"{path}.{key}" if path else key, value)
    elif isinstance(node, list):
        for value in node:
            yield from _pairs(path, value)
    elif node is not None and path:
        yield path, node  # type: ignore[misc]


def _on_value(pair: tuple[str, Scalar]) -> st.SearchStrategy[Query]:
    path, value = pair
    text = str(value).lower() if isinstance(value, bool) else str(value)
    found = [
        st.builds(Term, st.just(path), st.sampled_from([value, text]), st.booleans()),
        st.builds(Term, st.just(path), st.just(text.swapcase()), st.booleans()),
        st.builds(Terms, st.just(path), st.tuples(st.just(value), scalars), st.booleans()),
        st.just(Exists(path)),
        st.builds(lambda end: Prefix(path, text[:end]), st.integers(0, 3)),
        st.builds(
            lambda end: Prefix(ANY_FIELD, text[:end].swapcase(), case_insensitive=True), st.integers(1, 3)
        ),
        st.builds(lambda start: Wildcard(path, f"*{glob.escape(text[start:])}"), st.integers(0, 3)),
        st.builds(lambda end: Wildcard(path, f"{glob.escape(text[:end])}?*"), st.integers(0, 3)),
        st.builds(Regexp, st.just(path), st.just(f"{expressions_of.escape(text[:2])}.*"), st.booleans()),
        st.builds(Match, st.sampled_from([path, ANY_FIELD]), st.just(text)),
        st.builds(MatchPhrase, st.sampled_from([path, ANY_FIELD]), st.just(text)),
    ]
    if not isinstance(value, bool):
        for name in ("gte", "gt", "lte", "lt"):
            query = Range(path, **{name: value})
            try:
                evaluate.compile(query)
            except QueryError:
                continue
            found.append(st.just(query))
    return st.one_of(found)


intervals = st.sampled_from(["7h", "1d", "90m", "hour", "day", "week", "month", "quarter", "year"])
zones = st.sampled_from(["UTC", "Europe/Madrid", "Asia/Kathmandu", "America/New_York"])
figures: st.SearchStrategy[Aggregation] = (
    st.builds(Cardinality, group_fields)
    | st.builds(Stats, group_fields)
    | st.builds(
        Percentiles,
        group_fields,
        st.lists(st.sampled_from([0, 25, 50, 99.9, 100]), min_size=1, max_size=3, unique=True),
    )
    | st.builds(TopHits, st.integers(1, 3), st.sampled_from(["newest", "oldest"]))
)


def _within(inner: st.SearchStrategy[Aggregation]) -> st.SearchStrategy[Aggregation]:
    sub = st.dictionaries(st.sampled_from(["one", "two"]), inner, max_size=2)
    sizes = st.none() | st.integers(1, 3)
    orders = st.sampled_from(["count", "key"])
    return st.builds(TermsAgg, group_fields, sizes, st.integers(1, 2), orders, sub) | st.builds(
        DateHistogram, intervals, zones, sub
    )


aggregations = st.recursive(figures | _within(st.nothing()), _within, max_leaves=3)
"""Aggregations that stand in one another, few of them deep."""
