from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.query import evaluate
from mozdef_core.query.dialect import Own
from mozdef_core.query.lists import resolve
from mozdef_core.query.lucene import parse, read
from mozdef_core.query.lucene_source import LONGEST
from mozdef_core.query.model import All, Bool, Exists, In, MatchPhrase, Query, Range, Regexp, Term, Wildcard
from mozdef_core.query.printing import to_lucene
from mozdef_core.testing_contracts.queries import events, lists_of, queries
from mozdef_core.testing_contracts.store_events import stored_event

A, B, C = (Term("f", value) for value in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f:a", A),
        ('f:"two words"', Term("f", "two words")),
        ('summary:"two words"', MatchPhrase("summary", "two words")),
        ("summary:word", MatchPhrase("summary", "word")),
        ("word", MatchPhrase("*", "word")),
        ('"two words"', MatchPhrase("*", "two words")),
        ("*", All()),
        ("*:*", All()),
        ("*:x", MatchPhrase("*", "x")),
        ("f:*", Exists("f")),
        ("_exists_:details.a", Exists("details.a")),
        ('_exists_:"details.a key"', Exists("details.a key")),
        ("f:a*b?", Wildcard("f", "a*b?")),
        (r"f:a\*b*", Wildcard("f", r"a\*b*")),
        (r"f:a\*b", Term("f", "a*b")),
        ('f:"a*"', Term("f", "a*")),
        ("fail*", Wildcard("*", "fail*")),
        ("f:/a.b/", Regexp("f", "a.b")),
        (r"f:/a\/b && (c)/", Regexp("f", "a/b && (c)")),
        ("/a/", Regexp("*", "a")),
        ("f:[1 TO 5]", Range("f", gte="1", lte="5")),
        ("f:{1 TO 5}", Range("f", gt="1", lt="5")),
        ("f:[1 TO 5}", Range("f", gte="1", lt="5")),
        ("f:{-1 TO *]", Range("f", gt="-1")),
        ("f:[* TO 5]", Range("f", lte="5")),
        ("f:[* TO *]", Exists("f")),
        ('f:["a b" TO "*"]', Range("f", gte="a b", lte="*")),
        ("f:>5", Range("f", gt="5")),
        ("f:>=-5", Range("f", gte="-5")),
        ("f:<5", Range("f", lt="5")),
        ("f:<=5", Range("f", lte="5")),
        ("utctimestamp:>=2026-03-29T10:00:00+02:00", Range("utctimestamp", gte="2026-03-29T10:00:00+02:00")),
        (
            "utctimestamp:[2026-03-29T10:00 TO 2026-03-30}",
            Range("utctimestamp", gte="2026-03-29T10:00", lt="2026-03-30"),
        ),
        ("f:-5", Term("f", "-5")),
        ("f:10.0.0.0/8", Term("f", "10.0.0.0/8")),
        ("2001:db8::1", MatchPhrase("*", "2001:db8::1")),
        ("2001:db8::/32", MatchPhrase("*", "2001:db8::/32")),
        ("::1", MatchPhrase("*", "::1")),
        ("details.sourceipaddress:2001:db8::1", Term("details.sourceipaddress", "2001:db8::1")),
        ("details.sourceipaddress:2001:db8:*", Wildcard("details.sourceipaddress", "2001:db8:*")),
        (
            "details.sourceipaddress:[2001:db8::1 TO 2001:db8::9]",
            Range("details.sourceipaddress", gte="2001:db8::1", lte="2001:db8::9"),
        ),
        ("url:http://h.example/a", Term("url", "http://h.example/a")),
        (r"f:a\ b\:c\(d\)\\", Term("f", "a b:c(d)\\")),
        (r"a\:b\ c:d", Term("a:b c", "d")),
        ("a\\\nb:c\\\nd", Term("a\nb", "c\nd")),
        ("f:\\\ue00a\ue00a", Term("f", "\ue00a\ue00a")),
        ('_glob_:"a-b"', Wildcard("*", "a-b")),
        (r'_iglob_:"a\\**"', Wildcard("*", r"a\**", case_insensitive=True)),
        (r"\_glob_:a", Term("_glob_", "a")),
        ("_glob_:a", Term("_glob_", "a")),
        ("f:a&&b!", Term("f", "a&&b!")),
        ("f:@user", In("f", "user")),
        ("TO", MatchPhrase("*", "TO")),
        ("f : a", A),
        ("f:a~2", A),
        ("f:a^3", A),
        ('f:"a"~5^2', A),
    ],
)
def test_a_single_condition_is_read(text: str, expected: Query) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f:a AND f:b", A & B),
        ("f:a && f:b", A & B),
        ("f:a OR f:b", A | B),
        ("f:a || f:b", A | B),
        ("f:a f:b", A | B),
        ("f:(a b)", A | B),
        ("f:(a OR b OR c)", A | B | C),
        ("f:(a AND f:b)", A & B),
        ("NOT f:a", ~A),
        ("!f:a", ~A),
        ("! f:a", ~A),
        ("-f:a", ~A),
        ("+f:a", A),
        ("NOT f:a AND f:b", ~A & B),
        ("f:a OR f:b AND f:c", A | (B & C)),
        ("f:a f:b AND f:c", A | (B & C)),
        ("f:a AND f:b f:c", (A & B) | C),
        ("f:a AND NOT f:b OR f:c", (A & ~B) | C),
        ("(f:a OR f:b) AND f:c", (A | B) & C),
        ("f:a OR NOT f:b", A | ~B),
        ("f:a AND -f:b", A & ~B),
        ("f:a -f:b", A & ~B),
        ("+f:a f:b", A),
        ("+f:a +f:b -f:c", A & B & ~C),
        ("f:a f:b -f:c", (A | B) & ~C),
        ("NOT NOT f:a", A),
        ("f:(a && !b) || f:c", (A & ~B) | C),
        ("*:* AND NOT f:*", ~Exists("f")),
    ],
)
def test_conditions_combine(text: str, expected: Query) -> None:
    found, wanted = evaluate.compile(parse(text)), evaluate.compile(expected)
    for values in ([], ["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["b", "c"], ["a", "b", "c"]):
        event = stored_event(f=values)
        assert found(event) == wanted(event), values


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"),
        ("f:", 2, "expected a word"),
        ("f:a AND", 7, "expected a word"),
        ("a && || b", 5, "'|| b'"),
        ("x && (a || b", 5, r"expected '\)'"),
        ("a)", 1, r"unexpected '\)'"),
        ("f:[1 TO 2", 2, "expected ']'"),
        ("f:[1 2]", 5, "TO"),
        ("f:[1 TO (2]", 8, "in a range"),
        ('&& f:"a', 5, "closing quote"),
        ("f:/a", 2, "closing '/'"),
        ("f:/var/log/x", 7, "quotes"),
        ('f:a"b"', 3, "backslash"),
        ("f:a~b", 4, "backslash"),
        ("a\\", 1, "backslash"),
        ("[1 TO 2]", 0, "needs a field"),
        ("a && >5", 5, "needs a field"),
        ("! f:/(/", 4, "RE2"),
        ("!! f:/(/", 5, "RE2"),
        ("f:a && ipaddress:[1 TO x]", 17, "IPv4"),
        ("details.*:x", 0, "one field"),
        ("_exists_:*", 9, "one field"),
        ("_exists_:a*", 9, "one field"),
        ("utctimestamp:>yesterday", 13, "ISO 8601"),
        ("(" * 51, 50, "deep"),
        ("!" * 5000 + "a", None, "deep"),
        ("a" * (LONGEST + 1), LONGEST, "longer"),
    ],
)
def test_what_does_not_parse_is_refused_with_its_place(
    text: str, position: int | None, expected: str
) -> None:
    with pytest.raises(QueryError, match=expected) as caught:
        parse(text)
    if position is not None:
        assert caught.value.position == position


def test_what_has_no_effect_is_warned_about() -> None:
    assert read("f:a").warnings == ()
    assert read("f:a && b~2 c^3").warnings == (
        "position 7: '~' has no effect here and is ignored",
        "position 11: '^' has no effect here and is ignored",
    )


@given(st.text() | st.text("ab:\"'/\\()[]{}+-!&|*?~^<>= \nTORANDN", max_size=30))
def test_any_text_is_read_or_refused_with_a_position(text: str) -> None:
    found = position = None
    try:
        found = parse(text)
    except QueryError as error:
        position = error.position
    if found is None:
        assert position is not None
        assert 0 <= position <= len(text)
    else:
        assert evaluate.compile(found)(stored_event()) in (True, False)


@given(queries, events())
def test_a_query_that_is_written_and_read_again_means_the_same(query: Query, event: Event) -> None:
    text = to_lucene(query)
    again = parse(text)
    bound = resolve(again, lists_of(query))
    assert evaluate.compile(bound)(event) == evaluate.compile(query)(event), text
    assert to_lucene(again) == to_lucene(parse(to_lucene(again)))


def test_many_clauses_are_read_quickly_enough() -> None:
    found = parse(" OR ".join(f"f:{number}" for number in range(2000)))
    assert isinstance(found, Bool)
    assert len(found.should) == 2000


def test_threads_read_search_strings_side_by_side() -> None:
    def work(number: int) -> int:
        text = f"f:{number} AND (g:a{number} OR NOT h:[{number} TO {number + 1}])"
        expected = Term("f", str(number)) & (
            Term("g", f"a{number}") | ~Range("h", gte=str(number), lte=str(number + 1))
        )
        return sum(parse(text) == expected for _ in range(50))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [50] * 16


class _Elsewhere(Own):
    """Calls one field by another name and knows what ``now`` is."""

    def name(self, written: str) -> str:
        return {"when": "utctimestamp", "user": "details.username"}.get(written, written)

    def times(self, query: Range) -> Range:
        return replace(query, gte="2026-03-29") if query.gte == "now" else query


def test_a_dialect_names_fields_and_times() -> None:
    def found(text: str) -> Query:
        return read(text, dialect=_Elsewhere()).query

    assert found("user:joe") == Term("details.username", "joe")
    assert found("user:(joe OR f:a)") == Bool(should=[Term("details.username", "joe"), A])
    assert found("_exists_:user") == Exists("details.username")
    assert found("when:[now TO *]") == Range("utctimestamp", gte="2026-03-29")
    with pytest.raises(QueryError, match="ISO 8601"):
        parse("utctimestamp:[now TO *]")


def test_clauses_without_a_field_or_an_operator_may_be_meant_otherwise() -> None:
    assert read("a g:b", default_field="f").query == Bool(should=[A, Term("g", "b")])
    assert read("f:a f:b", all_words=True).query == A & B
    assert read("f:a +f:b -f:c", all_words=True).query == Bool(must=[B, A], must_not=[C])
