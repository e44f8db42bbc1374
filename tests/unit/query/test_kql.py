from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.query import evaluate
from mozdef_core.query.dialect import Own
from mozdef_core.query.kql import LONGEST, parse
from mozdef_core.query.model import (
    ANY_FIELD,
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Query,
    Range,
    Term,
    Wildcard,
)
from mozdef_core.testing_contracts.store_events import stored_event

A, B, C = (Term("f", value) for value in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", All()),
        (" \n ", All()),
        ("f:a", A),
        ("f : a ", A),
        ("f:two words", Term("f", "two words")),
        ('f:"two words"', Term("f", "two words")),
        ('"f":a', A),
        ("a name:x", Term("a name", "x")),
        ("f:true", Term("f", True)),
        ('f:"true"', Term("f", "true")),
        ("f:443", Term("f", "443")),
        ("details.sourceipaddress:10.0.0.0/8", Term("details.sourceipaddress", "10.0.0.0/8")),
        ("summary:word", Match("summary", "word")),
        ("summary:one two", Bool(should=[Match("summary", "one"), Match("summary", "two")])),
        ('summary:"one two"', MatchPhrase("summary", "one two")),
        ("word", Match("*", "word")),
        ('"one two"', MatchPhrase("*", "one two")),
        (
            "one two",
            Bool(should=[Match("*", "one two"), Match("summary", "one"), Match("summary", "two")]),
        ),
        ("*:word", Match("*", "word")),
        ("*", All()),
        ("*:*", All()),
        ("f:*", Exists("f")),
        ("summary:*", Exists("summary")),
        ('f:"*"', Term("f", "*")),
        (r"f:\*", Term("f", "*")),
        ("f:a*b", Wildcard("f", "a*b")),
        ("f:a* b", Wildcard("f", "a* b")),
        (r"f:a\**", Wildcard("f", r"a\**")),
        ("f:a?*", Wildcard("f", r"a\?*")),
        ("summary:fail* two", Bool(should=[Wildcard("summary", "fail*"), MatchPhrase("summary", "two")])),
        ("fail*", Wildcard("*", "fail*")),
        ("f > 5", Range("f", gt="5")),
        ("f>=5", Range("f", gte="5")),
        ("f < -5", Range("f", lt="-5")),
        ('f <= "a b"', Range("f", lte="a b")),
        ("utctimestamp < 2026-03-29", Range("utctimestamp", lt="2026-03-29")),
        ("utctimestamp:2026-03-29", Range("utctimestamp", gte="2026-03-29", lte="2026-03-29")),
        (r"f:a\:b\(c\)\"\\\<\>\{\}", Term("f", 'a:b(c)"\\<>{}')),
        (r"f:a\tb\u00e9\ud83d\ude00", Term("f", "a\tbé😀")),
        (r'f:"a\"\\\n\q"', Term("f", 'a"\\\n\\q')),
        (r"f:\or \and b", Term("f", "or and b")),
        (r"f:\NOT", Term("f", "NOT")),
        ("f:android", Term("f", "android")),
        ("f:cannot say", Term("f", "cannot say")),
        ("f:or", Term("f", "or")),
        ("path:{ a:1 }", Term("path.a", "1")),
        ("path:{ a:{ b > 1 } }", Range("path.a.b", gt="1")),
        ("path:{ a:1 or b:* }", Bool(should=[Term("path.a", "1"), Exists("path.b")])),
        ("path:{ a:(x or y) }", Bool(should=[Term("path.a", "x"), Term("path.a", "y")])),
    ],
)
def test_a_construct_is_read(text: str, expected: Query) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f:a and f:b", A & B),
        ("f:a AND f:b", A & B),
        ("f:a or f:b", A | B),
        ("f:a oR\n f:b", A | B),
        ("not f:a", ~A),
        ("NOT (f:a)", ~A),
        ("not(f:a)", ~A),
        ("f:a or f:b and f:c", A | (B & C)),
        ("f:a and f:b or f:c", (A & B) | C),
        ("not f:a and f:b", ~A & B),
        ("not f:a or f:b", ~A | B),
        ("(f:a or f:b) and f:c", (A | B) & C),
        ("f:(a or b)", A | B),
        ("f:(a and b or c)", (A & B) | C),
        ("f:(a and not b)", A & ~B),
        ("f:(a and (b or not c))", A & (B | ~C)),
        ("not f:(a or b)", ~(A | B)),
        ("f:(not a)", ~A),
        ("f:a and not (f:b or not f:c)", A & ~(B | ~C)),
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
        ("f:", 2, r"expected a value"),
        ("f:a and", 7, "expected a value, field:value"),
        ("f:a or ", 7, "expected a value, field:value"),
        ("f:a and )", 8, r"unexpected '\)'"),
        ("(f:a", 0, r"expected '\)' for the '\('"),
        ("f:(a or b", 2, r"expected '\)' for the '\('"),
        ("f:a)", 3, "expected 'and', 'or' or the end"),
        ("f:(a b:c)", 6, r"expected 'and', 'or' or '\)'"),
        ('f:"a', 2, "closing quote"),
        (r"f:c\windows", 3, "lone backslash"),
        ("f:a not f:b", 4, "expected 'and', 'or' or the end"),
        ("not not f:a", 4, "unexpected 'not f:a'"),
        ("f:a:b", 3, "unexpected ':b'"),
        ("f >", 3, "a number, a time"),
        ("f > 5*", 4, r"without '\*'"),
        ("* > 5", None, "needs the name of a field"),
        ("f:null", 2, "null is never found"),
        ("f:a and details.*:x", 8, "one field"),
        ("utctimestamp > yesterday", 0, "ISO 8601"),
        ("path:{ a:1 and b:2 }", 10, "not kept apart"),
        ("path:{ not a:1 }", 7, "not kept apart"),
        ("path:{ a:(1 and 2) }", 11, "not kept apart"),
        ("path:{ a:(not 1) }", 10, "not kept apart"),
        ("path:{ a }", 9, "expected ':'"),
        ("path:{ a:1", 5, "expected '}' for the '{'"),
        ("path*:{ a:1 }", 0, "one field"),
        ("(" * 51, 50, "deep"),
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


class _Fields(Own):
    """Knows fields, and calls one by another name."""

    def name(self, written: str) -> str:
        return {"user": "details.username"}.get(written, written)

    def names(self, pattern: str) -> Sequence[str]:
        return {"details.*": ["details.a", "details.b"], "path.x*": ["path.xy"]}.get(pattern, [])


def test_a_dialect_names_the_fields() -> None:
    assert parse("user:joe", dialect=_Fields()) == Term("details.username", "joe")
    assert parse("details.*:x", dialect=_Fields()) == Bool(
        should=[Term("details.a", "x"), Term("details.b", "x")]
    )
    assert parse("path:{ x*:1 }", dialect=_Fields()) == Term("path.xy", "1")
    assert not evaluate.compile(parse("none*:x", dialect=_Fields()))(stored_event(none="x"))


def test_a_long_run_of_blanks_is_read_once() -> None:
    assert parse(f"f:a{' ' * 15_000}b{' ' * 15_000}and f:c") == Term("f", f"a{' ' * 15_000}b") & C


@given(st.text() | st.text('ab:"\\()<>={}*? \tandorNOT', max_size=30))
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


printable = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(printable)
def test_any_text_can_be_quoted(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert parse(f"f:{quoted}") == Term("f", text)
    assert parse(quoted) == MatchPhrase(ANY_FIELD, text)


@given(st.text('ab\\():<>"*{}?.-', min_size=1))
def test_any_special_character_can_be_escaped(text: str) -> None:
    assume(text != ANY_FIELD)  # which is no name of a field
    escaped = "".join(f"\\{character}" if character in '\\():<>"*{}' else character for character in text)
    assert parse(f"f:{escaped}") == Term("f", text)
    assert parse(f"{escaped}:x") == Term(text, "x")
