from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mozdef_core import Event, EventRule, RuleOptions, Term
from mozdef_core.discovery import as_plugin
from mozdef_core.errors import ConfigError
from mozdef_core.host import Plugin
from mozdef_core.services.examples import Example, Examples, Sending, read, rule_of
from mozdef_core.services.rule_trial import judge, try_example


class Opened(EventRule[RuleOptions]):
    """A door was opened."""

    query = Term("details.door", "open")
    attack = ("T1200",)

    def summary(self, event: Event) -> str:
        return f"door {self.value(event, 'details.number')} opened"


def make(options: Any) -> Plugin:
    return as_plugin("opened", Opened, options, "alerts.opened")


def door(number: str, state: str = "open", **more: Any) -> dict[str, Any]:
    return {"document": {"details": {"door": state, "number": number}}, **more}


def write(tmp_path: Path, text: str, name: str = "door.examples.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_example_that_fires_is_as_it_says_or_each_difference_is_told() -> None:
    examples = Examples()
    example = Example(
        send=[door("{n}", times=2)], alerts=[{"summary": "door 1 opened"}, {"summary": "door 2 opened"}]
    )  # type: ignore[list-item]
    assert judge(make, examples, example, fires=True) == []
    wrong = example.model_copy(
        update={
            "alerts": [
                Example.model_validate({"send": "x", "alerts": {"summary": "no", "count": 2}}).alerts[0]
            ]
        }  # type: ignore[index]
    )
    assert judge(make, examples, wrong, fires=True) == [
        "expected 1 alerts, got 2: 'door 1 opened' (1); 'door 2 opened' (1)"
    ]
    one = Example.model_validate(
        {"send": door("1"), "alerts": {"summary": "no", "count": 2, "details": {"a": 1}}}
    )
    assert judge(make, examples, one, fires=True) == [
        "alert 1: summary: expected 'no', got 'door 1 opened'",
        "alert 1: count: expected 2, got 1",
        "alert 1: details.a: expected 1, got None",
    ]


def test_an_example_that_nearly_fires_must_not() -> None:
    assert judge(make, Examples(), Example(send=[door("1", "shut")]), fires=False) == []  # type: ignore[list-item]
    found = judge(make, Examples(), Example(send=[door("1")]), fires=False)  # type: ignore[list-item]
    assert found == ["expected 0 alerts, got 1: 'door 1 opened' (1)"]


def test_the_options_of_an_example_take_the_place_of_those_of_the_file() -> None:
    examples = Examples(options={"severity": "ERROR"})
    example = Example.model_validate({"send": door("1"), "options": {"severity": "INFO"}})
    assert [alert.severity for alert in try_example(make, examples, example).alerts] == ["INFO"]
    example = Example.model_validate({"send": door("1")})
    assert [alert.severity for alert in try_example(make, examples, example).alerts] == ["ERROR"]


def test_an_input_gets_the_options_that_it_must_have() -> None:
    example = Example.model_validate({"send": "no record"})
    access = {"domain": "lab.auth0.example", "client_id": "reader", "client_secret": "file:/dev/null"}
    assert judge(make, Examples(input="auth0", input_options=access), example, fires=False) == []
    with pytest.raises(ConfigError, match=r"input\.auth0\.domain: required"):
        judge(make, Examples(input="auth0"), example, fires=False)
    with pytest.raises(ConfigError, match="the input json has none"):
        judge(make, Examples(input_options=access), example, fires=False)


def test_what_becomes_a_dead_letter_is_said() -> None:
    example = Example.model_validate({"send": "no json"})
    (problem,) = judge(make, Examples(), example, fires=False)
    assert "became a dead letter" in problem


def test_a_sending_is_filled_in_at_each_time() -> None:
    sending = Sending(
        line="{n} {who} {iso} {rfc3164} {epoch} {other}",
        times=3,
        every=timedelta(seconds=90),
        after=timedelta(seconds=1),
        vary={"who": ["a", "b"]},
    )
    start = Example(send=["x"]).received  # type: ignore[list-item]
    lines = [raw.decode() for _, raw in sending.sent(start)]
    assert lines == [
        "1 a 2026-11-24T10:00:01.000000+00:00 Nov 24 10:00:01 1795514401 {other}",
        "2 b 2026-11-24T10:01:31.000000+00:00 Nov 24 10:01:31 1795514491 {other}",
        "3 a 2026-11-24T10:03:01.000000+00:00 Nov 24 10:03:01 1795514581 {other}",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fires:\n  - send: x\n    alert: {}\n", ":3: fires.0.alert: Extra inputs are not permitted"),
        (
            "fires:\n  - send:\n      - line: x\n        times: 0\n",
            ":4: fires.0.send.0.times: Input should be",
        ),
        ("nearly:\n  - send: x\n    alerts: {}\n", "an example that nearly fires has no alerts"),
        ("fires:\n  - send:\n      every: 5s\n", "expected either 'line' or 'document'"),
        ("fires: [\n", "is no YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(write(tmp_path, text))
    assert said in error.value.problems[0]
    assert "door.examples.yaml" in error.value.problems[0]


def test_the_rule_is_the_one_of_the_module_beside_the_file(tmp_path: Path) -> None:
    import mozdef_alerts.ssh.root_login as module

    beside = Path(module.__file__).with_suffix(".examples.yaml")
    assert rule_of(beside, read(beside)) == "ssh_root_login"
    with pytest.raises(
        ConfigError, match=r"the rules installed from door.py are: none; expected an entry point"
    ):
        rule_of(write(tmp_path, "fires: []"), Examples())
