"""The documentation tells the truth: its commands, files, hooks and examples are the real ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mozdef_core
from mozdef_core import hookspecs
from mozdef_core.host import HOOKS
from mozdef_core.services.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page):
    commands = set(main.list_commands(None))
    named = set(re.findall(r"mozdef ([a-z][a-z-]+)", page.read_text()))
    assert named <= commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_path_leads_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"\b(contrib/[\w./-]+\w)", text):
        assert (page.parent / target).exists() or (ROOT / target).exists(), target


def test_the_page_on_plugins_names_every_hook_with_its_arguments():
    text = (ROOT / "docs/plugins.md").read_text()
    for hook in HOOKS:
        function = getattr(hookspecs, hook)
        arguments = ", ".join(function.__annotations__.keys() - {"return"}) if hook == "on_event" else None
        assert f"`{hook}(" in text
        if arguments:
            assert f"`{hook}({arguments})`" in text


@pytest.mark.parametrize("page", ["plugins", "rules"])
def test_the_examples_run(page):
    for code in re.findall(r"```python\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL):
        names: dict[str, object] = {"__name__": "example"}
        exec(compile(code, page, "exec"), names)
        assert set(re.findall(r"from mozdef_core import (.*)", code)[0].split(", ")) <= set(
            mozdef_core.__all__
        )


def test_the_sample_configuration_is_right(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "mozdef_core.services", "check", "--config", str(ROOT / "contrib/mozdef.toml")],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "MOZDEF_CORE__DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("command", sorted(set(main.list_commands(None))))
def test_every_command_explains_itself(command):
    result = subprocess.run(
        [sys.executable, "-m", "mozdef_core.services", command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: mozdef")
