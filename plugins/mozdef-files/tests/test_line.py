"""Where lines end, and what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_files.line import LONGEST, Line, cut_lines, parse_line

from mozdef_core import InvalidItemError


def test_lines_are_known_by_where_they_begin():
    cut = cut_lines(b"one\r\n\n \ntwo\npart", 100, 10)
    assert cut.lines == [Line(100, b"one"), Line(108, b"two")]
    assert cut.size_bytes == 12


def test_a_last_line_without_end_counts_only_when_nothing_more_comes():
    assert cut_lines(b"part", 0, 10) == ([], 0)
    assert cut_lines(b"part", 0, 10, final=True) == ([Line(0, b"part")], 4)


def test_no_more_lines_are_cut_than_asked_for():
    assert cut_lines(b"a\nb\nc\n", 0, 2) == ([Line(0, b"a"), Line(2, b"b")], 4)


def test_the_hole_that_a_truncated_file_keeps_is_not_part_of_a_line():
    assert cut_lines(b"\0" * 50 + b"text\n", 0, 10).lines == [Line(0, b"text")]
    assert cut_lines(b"\0" * 50 + b"\n", 0, 10) == ([], 51)


def test_a_line_that_is_too_long_is_cut_into_pieces(monkeypatch):
    monkeypatch.setattr("mozdef_files.line.LONGEST", 4)
    assert cut_lines(b"abcdefghij\nkl\nmnop\n", 0, 10).lines == [
        Line(0, b"abcd"), Line(4, b"efgh"), Line(8, b"ij"), Line(11, b"kl"), Line(14, b"mnop"),
    ]  # fmt: skip


@given(
    st.binary(max_size=200).map(lambda text: text.replace(b"a", b"\n")),
    st.integers(0, 200),
    st.integers(1, 9),
)
def test_where_reading_was_interrupted_makes_no_difference(content, split, longest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mozdef_files.line.LONGEST", longest)
        whole = cut_lines(content, 0, 1000)
        first = cut_lines(content[:split], 0, 1000)
        second = cut_lines(content[first.size_bytes :], first.size_bytes, 1000)
    assert first.lines + second.lines == whole.lines


@pytest.mark.parametrize(
    ("raw", "form", "expected"),
    [
        (b'{"summary": "x", "n": 1}', "auto", {"summary": "x", "n": 1}),
        (b'{"summary": "x"}', "json", {"summary": "x"}),
        (b'{"summary": "x"}', "text", {"message": '{"summary": "x"}'}),
        (b"{broken", "auto", {"message": "{broken"}),
        (b"[1] text", "auto", {"message": "[1] text"}),
        (b" caf\xe9 ", "auto", {"message": "caf\ufffd"}),
    ],
)
def test_a_line_is_an_object_or_the_text_of_a_message(raw, form, expected):
    assert parse_line(raw, form) == expected


@pytest.mark.parametrize(
    ("raw", "form", "code"),
    [
        (b"{broken", "json", "invalid-json"),
        (b'{"a": NaN}', "json", "invalid-json"),
        (b"[1]", "json", "not-an-object"),
        (b"null", "json", "not-an-object"),
        (b" ", "text", "empty-message"),
        (b" ", "auto", "empty-message"),
    ],
)
def test_a_line_that_cannot_be_understood_is_refused(raw, form, code):
    with pytest.raises(InvalidItemError) as caught:
        parse_line(raw, form)
    assert caught.value.code == code


@given(st.binary(max_size=100), st.sampled_from(["auto", "json", "text"]))
def test_no_bytes_make_it_fail_otherwise(raw, form):
    try:
        read = parse_line(raw, form)
    except InvalidItemError:
        read = {}
    assert isinstance(read, dict)


def test_a_line_cut_into_pieces_is_never_cut_within_a_character():
    text = "a" + "é" * LONGEST
    pieces = cut_lines(text.encode() + b"\n", 0, 10).lines
    assert "".join(line.raw.decode() for line in pieces) == text
