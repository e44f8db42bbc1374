from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mozdef_core.event import isoformat, microseconds
from mozdef_core.services.cli.rules import command
from mozdef_core.services.compose import open_book, open_store
from mozdef_core.services.examples import BASE
from mozdef_core.services.rule_tests import Result, find, named, run
from mozdef_core.testing_contracts.store_events import stored_event

MINUTE_US = 60_000_000


def call(*arguments: str) -> Any:
    return CliRunner().invoke(command, arguments)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Twelve failed logins from one address within two minutes, in a store of its own."""
    path = tmp_path / "mozdef.toml"
    path.write_text(f'[core]\ndata_dir = "{tmp_path / "var"}"\n')
    from mozdef_core.config import load

    store = open_store(load(path, {}), "writer")
    start_us = microseconds(BASE)
    events = [
        stored_event(
            start_us + number * 5_000_000,
            summary="Failed password for root",
            hostname="db4",
            details={"program": "sshd", "authstatus": "Failed", "sourceipaddress": "203.0.113.9"},
        )
        for number in range(12)
    ]
    store.write(events)
    store.close()
    open_book(load(path, {})).close()
    return path


def test_a_backtest_says_how_often_for_whom_on_which_hosts_and_changes_nothing(configuration: Path) -> None:
    span = (
        "--since",
        isoformat(microseconds(BASE) - MINUTE_US),
        "--until",
        isoformat(microseconds(BASE) + 30 * MINUTE_US),
    )
    outcome = call(
        "backtest", "bruteforce_ssh", "ssh_access", *span, "--config", str(configuration), "--json"
    )
    assert outcome.exit_code == 0, outcome.output
    brute, access = json.loads(outcome.stdout)["rules"]
    assert (brute["alerts"], brute["groups"], brute["hosts"]) == (1, {"203.0.113.9": 1}, {"db4": 1})
    assert brute["samples"][0]["count"] == 12
    assert (access["alerts"], access["inactive"]) == (0, "watchlist is empty")
    from mozdef_core.casework import alerts
    from mozdef_core.config import load

    book = open_book(load(configuration, {}))
    with book.database.read() as session:
        assert alerts.search(session, alerts.Filter()).lines == []
    assert book.intervals("bruteforce_ssh", 0, microseconds(BASE) * 2) == []
    book.close()


def test_a_backtest_as_text_shows_samples_and_why_a_rule_finds_nothing(configuration: Path) -> None:
    span = (
        "--since",
        isoformat(microseconds(BASE)),
        "--until",
        isoformat(microseconds(BASE) + 30 * MINUTE_US),
    )
    outcome = call("backtest", "ssh_access", "bruteforce_ssh", *span, "--config", str(configuration))
    assert "12 ssh bruteforce attempts by 203.0.113.9" in outcome.stdout
    assert "ssh_access can find nothing as it is configured: watchlist is empty" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "no rule 'nosuch' is installed"),
        (("ssh_access", "--since", "soon"), "expected a span such as 15m"),
        (("ssh_access", "--since", "1h", "--until", "2h"), "--since 1h is not before the end of the span"),
    ],
)
def test_a_wrong_backtest_is_refused(configuration: Path, arguments: tuple[str, ...], said: str) -> None:
    outcome = call("backtest", *arguments, "--config", str(configuration))
    assert outcome.exit_code == 1
    assert said in outcome.stderr


def test_the_examples_of_rules_are_run_and_counted() -> None:
    outcome = call("test", "ssh_root*", "--json")
    assert outcome.exit_code == 0, outcome.output
    (rule,) = json.loads(outcome.stdout)["rules"]
    assert rule == {"rule": "ssh_root_login", "passed": True, "fires": 2, "nearly": 4, "problems": []}


def test_an_example_that_is_not_as_it_says_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "root_login.examples.yaml"
    path.write_text("plugins: {linux: {}}\nfires:\n  - name: nothing\n    send: {document: {summary: x}}\n")
    monkeypatch.setattr("mozdef_core.services.rule_tests.path_of", lambda _target: path)
    outcome = call("test", "ssh_root_login")
    assert outcome.exit_code == 1
    assert "ssh_root_login: fires 1 (nothing): expected 1 alerts, got 0: none" in outcome.stderr
    assert "expected at least one example under 'nearly'" in outcome.stderr


def test_a_rule_without_examples_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mozdef_core.services.rule_tests.path_of", lambda _target: None)
    (rule,) = find(["ssh_root_login"])
    said = "it has no examples; expected root_login.examples.yaml beside its module"
    assert run(rule) == Result("ssh_root_login", 0, 0, [said])


def test_names_may_be_patterns_and_come_once() -> None:
    assert named(["ssh_root_login", "ssh_root*"]) == ["ssh_root_login"]


def test_a_rule_is_switched_while_mozdef_runs_and_back(configuration: Path) -> None:
    def listed() -> list[str]:
        outcome = call("list", "--enabled", "--json", "--config", str(configuration))
        return [rule["rule"] for rule in json.loads(outcome.stdout)["rules"]]

    assert listed() == []
    assert (
        "ssh_root_login is enabled" in call("enable", "ssh_root_login", "--config", str(configuration)).stdout
    )
    assert listed() == ["ssh_root_login"]
    shown = json.loads(call("show", "ssh_root_login", "--json", "--config", str(configuration)).stdout)
    assert (shown["enabled"], shown["kind"], shown["schedule"]) == (True, "event", "stream")
    assert shown["modified_by"]
    assert "T1078.003" in shown["attack"]
    call("disable", "ssh_root_login", "--config", str(configuration))
    assert listed() == []
    call("disable", "--reset", "ssh_root_login", "--config", str(configuration))
    assert listed() == []


def test_a_rule_that_is_not_there_is_refused_with_the_nearest_name(configuration: Path) -> None:
    outcome = call("enable", "ssh_root_logn", "--config", str(configuration))
    assert outcome.exit_code == 1
    assert "there is no rule 'ssh_root_logn'; did you mean 'ssh_root_login'?" in outcome.stderr
