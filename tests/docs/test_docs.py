"""The documentation tells the truth: its commands, files, hooks and examples are the real ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mozdef_core
from mozdef_core.services.cli import main
from tests.docs import codes, generate_reference
from tests.docs.console import Session
from tests.running import Service, eventually

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ANCHOR = re.compile(r"[^\w\- ]")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page):
    commands = set(main.list_commands(None))
    named = set(re.findall(r"\bmozdef ([a-z][a-z-]+)", page.read_text()))
    assert named <= commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_of_a_command_that_a_page_names_exists(page):
    known = set(re.findall(r"--[a-z-]+", (ROOT / "docs/reference.md").read_text()))
    for line in page.read_text().splitlines():
        if re.search(r"\bmozdef [a-z]", line) and "generate.py" not in line and "curl" not in line:
            assert set(re.findall(r"(?<![\w-])--[a-z-]+", line.partition("|")[0])) <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_path_leads_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)[^)]*\)", text) + re.findall(r"\b(contrib/[\w./-]+\w)", text):
        assert (page.parent / target).exists() or (ROOT / target).exists(), target
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        there = (page.parent / target if target else page).read_text()
        heads = re.findall(r"^#+ (.+)$", there, re.MULTILINE)
        assert anchor in {ANCHOR.sub("", head.lower()).replace(" ", "-") for head in heads}, anchor


def test_the_reference_is_what_the_code_says():
    wanted = "run python -m tests.docs.generate_reference"
    assert generate_reference.PAGE.read_text() == generate_reference.page(), wanted


def test_every_machine_code_is_explained():
    explained = {code for table in codes.TABLES.values() for code in table}
    assert {code for code in explained if "-" in code} == generate_reference.found_codes()


def test_every_table_that_the_pages_and_the_sample_name_is_in_the_reference():
    known = set(re.findall(r"^### `\[([^`]+)\]`", (ROOT / "docs/reference.md").read_text(), re.MULTILINE))
    kinds = {name.partition(".")[0] for name in known} | {"input", "plugin"}
    for page in [*PAGES, ROOT / "contrib/mozdef.toml"]:
        text = page.read_text()
        tables = (
            text if page.suffix == ".toml" else "\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
        )
        for name in re.findall(r"^\[([a-z_.<>]+)\]$", tables, re.MULTILINE):
            assert name.partition(".")[0] in kinds, name


def test_all_public_names_have_a_sentence():
    text = (ROOT / "docs/reference.md").read_text().partition("## Public names")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))
    assert rows.keys() == set(mozdef_core.__all__)
    assert [name for name, row in rows.items() if not row.endswith((".", "`"))] == []


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


def test_what_the_readme_shows_after_the_start_works(tmp_path):
    text = (ROOT / "README.md").read_text()
    commands = [
        line.removeprefix(".venv/bin/") for line in re.findall(r"^\.venv/bin/mozdef .+$", text, re.MULTILINE)
    ]
    assert [command.split()[1] for command in commands] == ["demo", "alerts", "search"]
    service = Service(tmp_path, plugins=["linux"], tables='[alerts]\nenabled = ["ssh_*"]\n').start()
    try:
        session = Session(service)
        commands[0] += " --speed 1000"
        sent = session.run(commands[0])
        assert re.search(r"[1-9]\d+ events were sent", sent)
        assert eventually(lambda: "ssh_root_login" in session.run(commands[1]))
        assert eventually(lambda: "Failed password" in session.run(commands[2]))
    finally:
        service.stop()
