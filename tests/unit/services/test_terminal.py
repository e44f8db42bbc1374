from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_fields,
    print_json,
    print_table,
    safe,
)


@given(st.text())
def test_what_is_printed_of_any_text_cannot_repaint_the_terminal(text: str) -> None:
    shown = safe(text)
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)
    assert len(shown) == len(text)
    assert all(one == other or not one.isprintable() for one, other in zip(text, shown, strict=True))


def test_a_control_sequence_is_made_visible() -> None:
    assert safe("a\x1b[2Jb\r\n\tc") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}\n\tc"


def test_sentences_go_to_standard_error_and_end_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fail("this is wrong", "and that", status=3)
    assert caught.value.code == 3
    assert capsys.readouterr() == ("", "error: this is wrong\nerror: and that\n")


def test_a_wrong_configuration_ends_the_command_with_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mozdef.toml"
    path.write_text("[corn]\n[web]\nport = 1\n")
    with pytest.raises(SystemExit) as caught:
        configured(path)
    assert caught.value.code == 1
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 2
    assert "unknown table 'corn'; did you mean 'core'?" in printed[0]
    assert printed[1].startswith("error: web: unknown key 'port'")


def test_overrides_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mozdef.toml"
    path.write_text("")
    monkeypatch.setenv("MOZDEF_CORE__NODE", "siem9")
    assert configured(path).core.node == "siem9"


def test_json_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2026, 1, 2, tzinfo=UTC), 1: Path("a"), "text": "x\ny"})
    assert capsys.readouterr().out == '{"at":"2026-01-02T00:00:00+00:00","1":"a","text":"x\\ny"}\n'


def test_a_table_has_headings_and_none_is_empty_and_nothing_is_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "count"), [("[red]linux[/red]", 3), ("\x1b[2J", None)])
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.split() == ["name", "count"]
    assert second.split() == ["[red]linux[/red]", "3"]
    assert third.split() == ["\N{REPLACEMENT CHARACTER}[2J"]


def test_a_long_cell_is_folded_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [("x" * 500,)])
    assert capsys.readouterr().out.count("x") == 500


def test_fields_stand_under_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"id": 7, "summary": "a\x07"})
    assert capsys.readouterr().out == "id       7\nsummary  a\N{REPLACEMENT CHARACTER}\n"
    print_fields({})
    assert capsys.readouterr().out == ""


def test_the_shared_options_are_given_as_path_and_flag(tmp_path: Path) -> None:
    got: list[tuple[Path | None, bool]] = []

    @click.command()
    @config_option
    @json_option
    def command(config: Path | None, as_json: bool) -> None:  # as click gives them
        got.append((config, as_json))

    CliRunner().invoke(command, [])
    CliRunner().invoke(command, ["--json", "--config", str(tmp_path / "a.toml")])
    assert got == [(None, False), (tmp_path / "a.toml", True)]
    assert CliRunner().invoke(command, ["--config", str(tmp_path)]).exit_code == 2
