from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mozdef_core.config import Config
from mozdef_core.errors import (
    BookUnavailableError,
    ConfigError,
    MozdefError,
    QueueUnavailableError,
    StoreUnavailableError,
)
from mozdef_core.services import compose
from mozdef_core.services.startup import run_role, start_up


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The log records of a test stay pytest's; what would have been configured is noted."""
    configured: list[Config] = []
    monkeypatch.setattr(compose, "configure_logging", configured.append)
    return configured


def written(folder: Path, text: str) -> Path:
    path = folder / "mozdef.toml"
    path.write_text(text)
    return path


def test_a_right_configuration_is_returned_its_directory_made_and_logging_configured(
    tmp_path: Path, logged: list[Config]
) -> None:
    config, notices = start_up(written(tmp_path, '[core]\ndata_dir = "a/b"'))
    assert config.data_dir == tmp_path / "a" / "b"
    assert config.data_dir.is_dir()
    assert notices == []
    assert logged == [config]


def test_a_wrong_configuration_ends_the_command_with_every_problem_and_nothing_is_made(
    tmp_path: Path, logged: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        start_up(written(tmp_path, 'plugins = ["nowhere"]\ninputs = ["nothing"]'))
    assert caught.value.code == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: plugins: no plugin 'nowhere' is installed")
    assert second.startswith("error: inputs: no input 'nothing' is installed")
    assert not (tmp_path / "var").exists()
    assert logged == []


def test_a_directory_that_cannot_be_made_after_all_ends_the_command_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = written(tmp_path, "")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SystemExit) as caught:
        start_up(path)
    assert caught.value.code == 1
    expected = f"error: core.data_dir: cannot make {tmp_path / 'var'}: No space left on device\n"
    assert capsys.readouterr().err == expected


def failing(error: Exception) -> Callable[[Callable[[], None]], None]:
    def role(_ready: Callable[[], None]) -> None:
        raise error

    return role


@pytest.mark.parametrize(
    ("error", "sentences"),
    [
        (ConfigError(["a: wrong", "b: wrong too"]), ["error: a: wrong", "error: b: wrong too"]),
        (StoreUnavailableError("the store is open elsewhere"), ["error: the store is open elsewhere"]),
        (BookUnavailableError("no such database"), ["error: no such database"]),
        (QueueUnavailableError("the disk is full"), ["error: the disk is full"]),
    ],
)
def test_what_keeps_a_role_from_starting_is_told_in_sentences(
    error: MozdefError, sentences: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_role(failing(error), lambda: None)
    assert caught.value.code == 1
    assert capsys.readouterr().err.splitlines() == sentences


def test_a_bug_in_a_role_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_role(failing(ZeroDivisionError()), lambda: None)


def test_a_role_is_given_what_it_says_that_it_is_ready_with() -> None:
    said = []
    run_role(lambda ready: ready(), lambda: said.append("ready"))
    assert said == ["ready"]
