from __future__ import annotations

import pytest
from hypothesis import given

from mozdef_core.errors import QueryError
from mozdef_core.query import evaluate
from mozdef_core.query.lists import GivenLists, Listed, resolve
from mozdef_core.query.lucene import parse
from mozdef_core.query.members import TextMembers
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    In,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    QueryString,
    Range,
    Regexp,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.query.printing import to_lucene
from mozdef_core.testing_contracts.queries import queries
from mozdef_core.testing_contracts.store_events import stored_event

A, B = Term("f", "a"), Term("f", "b")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (All(), "*:*"),
        (Term("f", 'a "b\\'), r'f:"a \"b\\"'),
        (Term("f", 443), '(f:"443" OR f:"443.0")'),
        (Term("f", True), 'f:"true"'),
        (Term("f", "A", case_insensitive=True), '(f:"A" OR f:"a" OR f:/(?i)A/ OR f:/(?i)a/)'),
        (Term("summary", "a/b"), r"summary:/a\/b/"),
        (Term("a key:b", "x"), r'a\ key\:b:"x"'),
        (Term("NOT", "x"), r'\NOT:"x"'),
        (Term("_exists_", "x"), r'\_exists_:"x"'),
        (Terms("f", []), "(NOT *:*)"),
        (Term("sourceipaddress", "10.0.0.0/8"), 'sourceipaddress:["10.0.0.0" TO "10.255.255.255"]'),
        (Range("f", gt="a", lte="b c"), 'f:{"a" TO "b c"]'),
        (Range("f", lt=5), 'f:[* TO "5"}'),
        (Exists("a key"), '_exists_:"a key"'),
        (Prefix("summary", "ab"), "summary:ab*"),
        (Wildcard("*", "a b*"), r"a\ b*"),
        (Wildcard("f", "a/*"), r"f:/a\/.*/"),
        (Regexp("f", "a/b\\/c"), r"f:/a\/b\/c/"),
        (Match("summary", "one two"), '(summary:"one" AND summary:"two")'),
        (MatchPhrase("*", "one two"), '"one two"'),
        (A & B, '(f:"a" AND f:"b")'),
        (A | ~B, '(f:"a" OR (NOT f:"b"))'),
        (Bool(must=[A], should=[B, All()], must_not=[B]), '(f:"a" AND (f:"b" OR *:*) AND NOT f:"b")'),
        (QueryString("f:a && f:b"), '(f:"a" AND f:"b")'),
        (Subnet("f", ["10.1.2.3"]), 'f:["10.1.2.3" TO "10.1.2.3"]'),
    ],
)
def test_a_query_is_written_as_a_search_string_that_can_be_read(query: Query, text: str) -> None:
    assert to_lucene(query) == text
    parse(text)


SOME = TextMembers([("a-b", None), ("one two", None)])
KINDS: list[Query] = [
    All(),
    Term("f", 'a "b\\'),
    Term("a\nb", "x"),
    Term("summary", "a/b"),
    Term("_glob_", "x"),
    Term("\ue00a\n", "x"),
    Terms("f", [1, True, "a"], case_insensitive=True),
    Range("f", gt="a", lte="b c"),
    Exists("a key"),
    Prefix("*", "a b", case_insensitive=True),
    Wildcard("*", "a*", case_insensitive=True),
    Wildcard("*", "a-b"),
    Wildcard("*", "a\nb*"),
    Wildcard("*", 'a"\\*?', case_insensitive=True),
    Wildcard("*", "\ue00a*"),
    Regexp("*", "a/b\n."),
    Match("*", "one two"),
    MatchPhrase("summary", "one two"),
    Subnet("f", ["10.0.0.0/8", "2001:db8::/32"]),
    In("f", "some"),
    Listed("f", "some", SOME),
    QueryString("f:a && f:b"),
    Bool(must=[A], should=[B, All()], must_not=[B]),
]
VALUES = [
    "a",
    "A",
    "a-b",
    "a b",
    "aB",
    "a\nb",
    "a\nbc",
    "one two",
    "a/b",
    "a/b\nc",
    "x",
    "10.1.2.3",
    'a"*?',
    "\ue00ax",
]


def test_every_kind_of_query_is_written_and_read_again() -> None:
    assert {type(query).__name__ for query in KINDS} == {kind.__name__ for kind in Query.__subclasses__()}
    for query in KINDS:
        again, before = (
            evaluate.compile(resolve(one, GivenLists({"some": SOME})))
            for one in (parse(to_lucene(query)), query)
        )
        for value in VALUES:
            for name in ("f", "summary", "a\nb", "a key", "_glob_", "\ue00a\n"):
                event = stored_event(**{"summary": "none", name: value})
                assert again(event) == before(event), (query, to_lucene(query), name, value)


@given(queries)
def test_every_query_is_written(query: Query) -> None:
    parse(to_lucene(query))


@pytest.mark.parametrize("depth", [10, 23, 24, 25, 48, 49, 50, 51, 99])
def test_what_is_written_can_be_read_or_is_refused(depth: int) -> None:
    mixed, negated = A, A
    for _ in range(depth):
        mixed = Bool(must=[Bool(should=[mixed, B]), A], must_not=[B]) if depth < 50 else Bool(must=[mixed, A])
        negated = ~negated
    for query in (mixed, negated):
        if depth <= 23:
            text = to_lucene(query)
        else:
            try:
                text = to_lucene(query)
            except QueryError:
                continue  # refused, so that nothing is written which cannot be read
        assert evaluate.compile(parse(text))(stored_event(f="a")) == evaluate.compile(query)(
            stored_event(f="a")
        )


def test_a_query_that_is_longer_than_a_search_string_is_refused() -> None:
    with pytest.raises(QueryError, match="longer than 32768 characters"):
        to_lucene(Terms("f", range(10_000)))


@pytest.mark.parametrize(
    "query", [Range("f", gt=1, lte="b"), Subnet("f", ["10.0.0.0/33"]), QueryString("f:(")]
)
def test_a_query_without_meaning_is_not_written(query: Query) -> None:
    with pytest.raises(QueryError):
        to_lucene(query)
