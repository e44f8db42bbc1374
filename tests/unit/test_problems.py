"""Problems: sentences for operators, without secrets."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from mozdef_core.options import Duration, Field, Options, Secret
from mozdef_core.problems import describe, holds_secret, suggestion


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Server(BaseModel):
    model_config = {"extra": "forbid"}
    host: str = "localhost"
    token: Secret | None = None


class Model(Options):
    database: Path = Field(default=Path("x"), description="the file")
    retries: int = Field(default=3, ge=1, le=9)
    share: float = 0.5
    shout: bool = False
    names: list[str] = Field(default=[])
    colour: Colour = Colour.RED
    wait: Duration = timedelta(0)
    limit: int | None = None
    key: Secret | None = None
    keys: list[Secret] = Field(default=[])
    other_key: SecretStr | None = None
    password: str = ""
    api_key_number: int = 0
    server: Server = Server()
    servers: list[Server] = Field(default=[])
    note: str = Field(default="", max_length=3)


class Needs(Options):
    url: str = Field(description="where to send it")


def said(document: dict[str, object], model: type[BaseModel] = Model) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return describe(caught.value, model, "plugin.x")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"databse": "x"}, "plugin.x: unknown option 'databse'; did you mean 'database'?"),
        ({"retries": "4x"}, "plugin.x.retries: expected a whole number, got '4x'"),
        ({"retries": 1.5}, "plugin.x.retries: expected a whole number, got 1.5"),
        ({"retries": [1]}, "plugin.x.retries: expected a whole number, got a list of 1"),
        ({"retries": 0}, "plugin.x.retries: expected at least 1, got 0"),
        ({"retries": 10}, "plugin.x.retries: expected at most 9, got 10"),
        ({"share": "half"}, "plugin.x.share: expected a number, got 'half'"),
        ({"shout": "loud"}, "plugin.x.shout: expected true or false, got 'loud'"),
        ({"names": "a"}, "plugin.x.names: expected a list, got 'a'"),
        ({"names": ["a", 3]}, "plugin.x.names[1]: expected text, got 3"),
        ({"colour": "green"}, "plugin.x.colour: expected 'red' or 'blue', got 'green'"),
        (
            {"wait": "soon"},
            "plugin.x.wait: expected a duration such as '30s', '5m', '2h' or '90d', got 'soon'",
        ),
        (
            {"wait": [1]},
            "plugin.x.wait: expected a duration such as '30s', '5m', '2h' or '90d', got a list of 1",
        ),
        ({"limit": "x"}, "plugin.x.limit: expected a whole number, got 'x'"),
        ({"database": 3}, "plugin.x.database: expected a path, got 3"),
        ({"server": {"hots": "x"}}, "plugin.x.server: unknown option 'hots'; did you mean 'host'?"),
        ({"server": 3}, "plugin.x.server: expected a table, got 3"),
        ({"servers": [{"host": 3}]}, "plugin.x.servers[0].host: expected text, got 3"),
        ({"note": "long"}, "plugin.x.note: expected at most 3 characters, got 'long'"),
    ],
)
def test_a_wrong_option_is_said_in_the_words_of_an_operator(document, sentence):
    assert said(document) == [sentence]


def test_a_missing_option_says_what_it_is_for():
    assert said({}, Needs) == ["plugin.x.url: required, but not set (where to send it)"]


@pytest.mark.parametrize(
    "document",
    [
        {"key": "hunter2"},
        {"keys": ["hunter2"]},
        {"keys": "hunter2"},
        {"other_key": ["hunter2"]},
        {"password": ["hunter2"]},
        {"pasword": "hunter2"},
        {"api_key_number": "hunter2"},
        {"server": {"token": "hunter2"}},
        {"servers": [{"token": "hunter2", "host": 3}]},
        {"server": {"tokne": "hunter2"}},
        {"server": "hunter2 in a table", "password": 3},
    ],
)
def test_a_secret_is_never_in_the_sentence(document):
    text = "\n".join(said(document)).replace("'hunter2 in a table'", "")
    assert text
    assert "hunter2" not in text


def test_a_value_from_the_environment_names_its_variable():
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"retries": "4x"})
    sentences = describe(
        caught.value, Model, "plugin.x", sources={"plugin.x.retries": "MOZDEF_PLUGIN__X__RETRIES"}
    )
    assert sentences == [
        "plugin.x.retries: expected a whole number, got '4x' (from MOZDEF_PLUGIN__X__RETRIES)"
    ]


def test_a_long_value_is_cut():
    assert len(said({"retries": "x" * 5_000})[0]) < 150


def test_a_union_says_all_that_it_takes_once():
    class Either(Options):
        value: int | list[int]

    assert said({"value": "x"}, Either) == ["plugin.x.value: expected a whole number or a list, got 'x'"]


def test_nothing_near_lists_what_there_is():
    assert suggestion("zzz", ["geoip", "linux"]) == "; there are geoip, linux"
    assert suggestion("zzz", ["geoip"]) == "; there is geoip"
    assert suggestion("zzz", []) == "; there is none"
    assert suggestion("Geoip", ["geoip", "linux"]) == "; did you mean 'geoip'?"


def test_secrets_are_found_at_any_depth_of_a_type():
    assert holds_secret(dict[str, list[Secret] | None])
    assert not holds_secret(dict[str, list[str]])
