from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mozdef_core.services.cli import main


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mozdef.toml"
    path.write_text(
        f'[core]\ndata_dir = "{tmp_path / "var"}"\n'
        '[blocks]\nwhitelist_networks = "198.51.100.0/24"\nnetwork_whitelist_file = "partners"\n'
    )
    (tmp_path / "partners").write_text("203.0.113.99\n")
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["blocks", arguments[0], "--config", str(config), *arguments[1:]])


def test_an_address_is_blocked_shown_and_lifted(config: Path) -> None:
    added = run(config, "add", "203.0.113.9", "--for", "1w", "--comment", "scans", "--reference", "T-7")
    assert added.output.startswith("203.0.113.9 is blocked until 2")
    (entry,) = json.loads(run(config, "list", "--json").output)
    assert (entry["address"], entry["comment"], entry["reference"]) == ("203.0.113.9", "scans", "T-7")
    assert "203.0.113.9" in run(config, "list").output
    assert run(config, "lift", "203.0.113.9").exit_code == 1  # nobody has said yes
    assert run(config, "lift", "203.0.113.9", "--yes").output == "203.0.113.9 is not blocked any more\n"
    again = run(config, "lift", "203.0.113.9", "--yes")
    assert (again.exit_code, "not blocked: 203.0.113.9" in again.output) == (1, True)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("198.51.100.1", "198.51.100.0/24 is on the white list"),
        ("203.0.113.0/24", "203.0.113.99/32 is on the white list"),
        ("10.0.0.1", "10.0.0.0/8 is private"),
        ("nowhere", "expected an address or a network"),
    ],
)
def test_what_is_refused_is_refused_as_a_whole(config: Path, address: str, reason: str) -> None:
    result = run(config, "add", "192.0.2.77", address)
    assert result.exit_code == 1
    assert reason in result.output
    assert json.loads(run(config, "list", "--json").output) == []


def test_who_comes_over_ssh_does_not_shut_himself_out(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.77 50000 198.51.100.1 22")
    assert "an address of your own" in run(config, "add", "192.0.2.77").output
    assert run(config, "add", "192.0.2.77", "--confirm").exit_code == 0


def test_other_commands_cannot_fill_it(config: Path) -> None:
    result = CliRunner().invoke(
        main, ["lists", "create", "ipblocklist", "--kind", "addresses", "--config", str(config)]
    )
    assert (result.exit_code, "mozdef blocks" in result.output) == (1, True)


def test_a_network_that_is_none_is_reported_by_check(config: Path) -> None:
    config.write_text('[blocks]\nwhitelist_networks = ["198.51.100.0/33"]\n')
    result = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 1
    assert "blocks.whitelist_networks" in result.output
