from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.query.text import contains_phrase, remembered_tokens, tokens
from mozdef_core.query.values import fold


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3", ["10.1.2.3"]),
        ("Host.Example", ["host.example"]),
        ("keyboard-interactive/pam", ["keyboard", "interactive", "pam"]),
        ("ldap_count_entries", ["ldap_count_entries"]),
        ("user=ines, port 22!", ["user", "ines", "port", "22"]),
        ("don't 1,000", ["don't", "1,000"]),
        ("王小明 Größe", ["王", "小", "明", "größe"]),
        ("a\nb\x00c", ["a", "b", "c"]),
        ("", []),
        ("-- !!", []),
    ],
)
def test_text_is_cut_at_the_boundaries_of_words(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected
    assert remembered_tokens(text) == tuple(expected)


@given(st.text())
def test_tokens_stand_in_the_text_in_order_and_without_case(text: str) -> None:
    rest = fold(text)
    for token in tokens(text):
        assert token in rest
        rest = rest[rest.index(token) + len(token) :]


@given(st.lists(st.sampled_from("ab"), max_size=6), st.lists(st.sampled_from("ab"), max_size=3))
def test_a_phrase_is_a_run_of_words(words: list[str], phrase: list[str]) -> None:
    expected = bool(phrase) and f" {' '.join(phrase)} " in f" {' '.join(words)} "
    assert contains_phrase(tuple(words), tuple(phrase)) == expected


@given(st.text())
def test_folding_keeps_the_length_and_is_done_once(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)
