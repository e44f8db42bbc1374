from __future__ import annotations

import pytest

from mozdef_core.errors import QueryError
from mozdef_core.query.lucene import parse
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
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


@pytest.mark.parametrize(
    "query",
    [
        Wildcard("*", "a*", case_insensitive=True),
        Wildcard("*", "a-b"),
        Term("a\nb", "x"),
        Wildcard("*", "a\nb*"),
    ],
)
def test_the_few_that_search_strings_cannot_say_are_refused(query: Query) -> None:
    with pytest.raises(QueryError, match="cannot be written"):
        to_lucene(query)


@pytest.mark.parametrize(
    "query", [Range("f", gt=1, lte="b"), Subnet("f", ["10.0.0.0/33"]), QueryString("f:(")]
)
def test_a_query_without_meaning_is_not_written(query: Query) -> None:
    with pytest.raises(QueryError):
        to_lucene(query)
