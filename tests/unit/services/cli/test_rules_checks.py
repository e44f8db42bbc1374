"""``mozdef rules coverage`` and ``mozdef rules lint``, as somebody at a terminal has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mozdef_core.casework import audit, exceptions
from mozdef_core.config import load
from mozdef_core.event import now_us
from mozdef_core.query.lists import NO_LISTS
from mozdef_core.services.cli.rules import command
from mozdef_core.services.compose import open_book, open_store
from mozdef_core.testing_contracts.store_events import stored_event

DAY_US = 86_400_000_000
DETAILS = {"program": "sshd", "authstatus": "Failed", "sourceipaddress": "203.0.113.9", "username": "root"}


def call(*arguments: str) -> Any:
    return CliRunner().invoke(command, arguments)


def site(path: Path, text: str, *, age_us: int = 60_000_000) -> str:
    """Make a site with one event, and return its configuration file."""
    file = path / "mozdef.toml"
    file.write_text(f'{text}\n[core]\ndata_dir = "{path / "var"}"\n')
    settings = load(file, {})
    store = open_store(settings, "writer")
    store.write([stored_event(now_us() - age_us, summary="Failed password", details=DETAILS)])
    store.close()
    open_book(settings).close()
    return str(file)


ENABLED = 'plugins = ["linux"]\n[alerts]\nenabled = ["bruteforce_ssh", "ssh_access"]'


def test_coverage_counts_what_is_enabled_tested_and_fed(tmp_path: Path) -> None:
    config = site(tmp_path, ENABLED)
    outcome = call("coverage", "bruteforce_ssh", "ssh_access", "ssh_root_login", "--config", config, "--json")
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert found["covered"] == {"T1021.004": ["bruteforce_ssh"], "T1110": ["bruteforce_ssh"]}
    assert "T1078" in found["uncovered"]
    assert {rule["rule"]: rule["reasons"] for rule in found["rules"]} == {
        "bruteforce_ssh": [],
        "ssh_access": ["it can find nothing as it is configured: watchlist is empty"],
        "ssh_root_login": ["it is not enabled"],
    }


def test_coverage_as_text_says_why_a_rule_does_not_count(tmp_path: Path) -> None:
    config = site(tmp_path, ENABLED, age_us=2 * DAY_US)
    outcome = call("coverage", "bruteforce_ssh", "--config", config)
    assert outcome.exit_code == 0, outcome.output
    assert "no event of this time has the field details.sourceipaddress" in " ".join(outcome.stdout.split())
    assert "0 techniques are covered by 0 rules; 2 more would be by the 1 that do not count" in outcome.stdout
    outcome = call("coverage", "bruteforce_ssh", "--config", config, "--since", "3d")
    assert "2 techniques are covered by 1 rules" in outcome.stdout


def test_coverage_knows_what_cannot_start(tmp_path: Path) -> None:
    config = site(tmp_path, f"{ENABLED}\n[alerts.bruteforce_ssh]\nthreshold = 0")
    outcome = call("coverage", "bruteforce_ssh", "--config", config, "--json")
    (rule,) = json.loads(outcome.stdout)["rules"]
    assert rule["reasons"][0].startswith("it cannot start: alerts.bruteforce_ssh.threshold: expected")


def test_lint_remarks_and_its_status_says_so(tmp_path: Path) -> None:
    config = site(tmp_path, ENABLED)
    outcome = call("lint", "bruteforce_ssh", "--config", config, "--json")
    assert outcome.exit_code == 1
    found = json.loads(outcome.stdout)
    assert {remark["code"] for remark in found["remarks"]} == {"leading-wildcard"}
    assert (found["rules"], found["problems"]) == (1, [])
    assert "processname: the pattern '*/sshd' begins with a wildcard" in found["remarks"][0]["message"]
    outcome = call("lint", "bruteforce_ssh", "--config", config, "--ignore", "leading-wildcard")
    assert (outcome.exit_code, outcome.stdout) == (0, "1 rules, 0 remarks\n")


def test_lint_knows_exceptions_retention_and_what_cannot_start(tmp_path: Path) -> None:
    text = 'plugins = ["linux"]\n[retention]\ndefault = "1m"\n[alerts]\nenabled = ["bruteforce_ssh", "ssh_access"]'
    config = site(tmp_path, f"{text}\n[alerts.ssh_access]\nwrong = 1")
    now = now_us()
    wanted = exceptions.Wanted("rule", "bruteforce_ssh", "hostname:x", "ines", "moving", now, now + DAY_US)
    book = open_book(load(Path(config), {}))
    with book.database.write() as session:
        exceptions.create(session, wanted, NO_LISTS, audit.Actor("ines", "user"))
    book.close()
    outcome = call("lint", "--config", config)
    assert outcome.exit_code == 1
    assert "[exception-ending]" in outcome.stdout
    assert "it looks back 0:02:00, but events are kept for 0:01:00 [window-too-long]" in outcome.stdout
    assert "error: alerts.ssh_access: unknown option 'wrong'" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("coverage", "bruteforce_sh"), "no rule 'bruteforce_sh' is there; did you mean 'bruteforce_ssh'?"),
        (("lint", "ssh_root_login"), "no rule 'ssh_root_login' is there"),
        (("lint", "--since", "tomorrow"), "tomorrow"),
        (("lint", "--since", "2999-01-01"), "expected an earlier time"),
        (("lint", "--ignore", "wildcards"), "'wildcards' is none of leading-wildcard"),
    ],
)
def test_a_command_without_a_meaning_says_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    config = site(tmp_path, ENABLED)
    outcome = call(*arguments, "--config", config)
    assert outcome.exit_code != 0
    assert said in outcome.stderr
