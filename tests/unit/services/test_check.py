from __future__ import annotations

import os
from pathlib import Path

import pytest

from mozdef_core.config import Config, load
from mozdef_core.services.check import check


def config_of(folder: Path, text: str = "") -> Config:
    path = folder / "mozdef.toml"
    path.write_text(text)
    return load(path, {})


def test_a_right_configuration_has_no_problems_and_nothing_is_written(tmp_path: Path) -> None:
    report = check(config_of(tmp_path, '[core]\ndata_dir = "a/b"'))
    assert report == ([], [])
    assert [path.name for path in tmp_path.iterdir()] == ["mozdef.toml"]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = """
        plugins = ["nowhere"]
        inputs = ["nothing"]
        [core]
        store = "floppy"
        queue = "memory"
        data_dir = "mozdef.toml/data"
        [queue.memory]
        limit_bytes = 1
        [alerts]
        enabled = ["no_such_rule"]
    """
    problems = check(config_of(tmp_path, text)).problems
    for beginning in (
        "plugins: ",
        "inputs: ",
        "alerts.enabled: ",
        "core.store: ",
        "queue.memory.",
        "core.data_dir: ",
    ):
        assert [problem for problem in problems if problem.startswith(beginning)], (beginning, problems)
    assert len(problems) == 6


def test_a_data_directory_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (problem,) = check(config_of(tmp_path, '[core]\ndata_dir = "mozdef.toml/data"')).problems
    directory = tmp_path / "mozdef.toml"
    assert problem == f"core.data_dir: cannot make {directory / 'data'}: {directory} is not a directory"


def test_a_data_directory_in_which_nothing_can_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def access(path: Path, mode: int) -> bool:
        asked.append((path, mode))
        return False

    monkeypatch.setattr("mozdef_core.services.check.os.access", access)
    (problem,) = check(config_of(tmp_path, '[core]\ndata_dir = "a/b"')).problems
    assert problem == f"core.data_dir: cannot write in {tmp_path}: permission denied"
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


def test_what_is_enabled_and_does_nothing_is_a_notice(tmp_path: Path) -> None:
    pytest.importorskip("mozdef_geoip")
    report = check(config_of(tmp_path, 'plugins = ["geoip"]'))
    assert report.problems == []
    (notice,) = report.notices
    assert notice.startswith("geoip is enabled but inactive: ")
