"""Overrides from the environment take the type that the option asks for."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from mozdef_core.environment import EnvironmentText, merge, overrides, typed
from mozdef_core.options import Field, Options, Secret


class Inner(BaseModel):
    ports: list[int] = []


class Model(Options):
    number: int = 0
    text: str = ""
    names: list[str] = Field(default=[])
    pairs: dict[str, int] = Field(default={})
    maybe: list[str] | None = None
    either: str | list[str] = ""
    key: Secret | None = None
    inner: Inner = Inner()


def read(**texts: str) -> Model:
    table = {name: EnvironmentText(text, f"V_{name.upper()}") for name, text in texts.items()}
    return Model.model_validate(typed(table, Model))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["a b", "c"]', ["a b", "c"]),
        ("a, b c", ["a", "b c"]),
        ("a b", ["a", "b"]),
        ("a", ["a"]),
        ("", []),
        ("7", ["7"]),
    ],
)
def test_a_list_is_toml_or_words(text, names):
    assert read(names=text).names == names
    assert read(maybe=text).maybe == names


def test_text_stays_text_even_if_it_looks_like_something_else():
    assert read(text="[1]").text == "[1]"
    assert read(text="12").text == "12"
    assert read(either="a b").either == "a b"
    assert type(read(text="x").text) is str


def test_numbers_and_tables_are_read():
    assert read(number="12").number == 12
    assert read(pairs="{a = 1}").pairs == {"a": 1}


def test_a_secret_may_stand_in_the_environment_itself_or_be_referred_to(monkeypatch):
    monkeypatch.setenv("ELSEWHERE", "other")
    assert read(key="hunter2").key == Secret("hunter2")
    assert read(key="env:ELSEWHERE").key == Secret("other")


def test_nested_tables_are_typed_too():
    found, problems = overrides({"MOZDEF_PLUGIN__X__INNER__PORTS": "1,2"}, ["plugin"])
    assert problems == []
    assert Model.model_validate(typed(found["plugin"]["x"], Model)).inner.ports == [1, 2]


def test_a_value_where_a_table_is_needed_is_a_problem():
    found, problems = overrides({"MOZDEF_PLUGIN__X": "1", "MOZDEF_PLUGIN__X__Y": "2"}, ["plugin"])
    assert problems == [
        "environment MOZDEF_PLUGIN__X__Y: MOZDEF_PLUGIN__X sets a value where this needs a table"
    ]
    assert found == {"plugin": {"x": "1"}}


def test_merging_keeps_what_is_not_overridden_and_changes_neither_side():
    under, over = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "e": {"f": 1}}
    assert merge(under, over) == {"a": {"b": 9, "c": 2}, "d": 3, "e": {"f": 1}}
    assert under == {"a": {"b": 1, "c": 2}, "d": 3}


def test_the_representation_shows_the_variable_and_not_the_value():
    assert repr(EnvironmentText("hunter2", "MOZDEF_X")) == "<MOZDEF_X>"
