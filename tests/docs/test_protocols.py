"""The pages on protocols and on operating a server show what a real server says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.console import Session, agrees, steps
from tests.running import Service

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SOURCES = [*ROOT.glob("mozdef_core/**/*.py"), *ROOT.glob("plugins/*/mozdef_*/**/*.py")]
VALUES = (
    "127.0.0.1:8080",
    "address already in use",
    "4242",
    "0.2",
    "0.5",
    "worker",
    "30",
    "5 ",
    "'syslog'",
    "var/events",
    "was killed by SIGKILL",
)
"""What stands in the page's messages for a value that the code puts in."""


@pytest.mark.parametrize("name", ["protocols", "operate", "api"])
def test_a_page_shows_what_a_real_server_says(name, tmp_path):
    made = Service(tmp_path, plugins=["linux"], tables='[alerts]\nenabled = ["ssh_*"]\n').start()
    session = Session(made)
    wrong = []
    try:
        found = list(steps(DOCS / f"{name}.md"))
        assert len(found) > 5
        for step in found:
            printed = session.play(step)
            if printed is not None:
                wrong.append(
                    f"{name}.md:{step.line}: {step.command}\n  says   {step.printed}\n  prints {printed}"
                )
    finally:
        made.stop()
    assert not wrong, "\n".join(wrong)


def test_a_page_that_says_something_else_is_found_out():
    assert agrees('{"ids":["..."]}\n200', '{"ids":["01M8"]}\n200')
    assert not agrees('{"ids":["..."]}\n200', '{"ids":["01M8"]}\n400')
    assert not agrees("200", "")


def test_the_messages_that_one_meets_are_in_the_code():
    table = (DOCS / "operate.md").read_text().partition("## What one meets")[2]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) > 10
    texts = [path.read_text() for path in SOURCES]
    source = " ".join(re.sub(r'"\s*\n\s*f?"', "", text) for text in texts)
    for message in messages:
        words = re.escape(message)
        for value in VALUES:
            words = words.replace(re.escape(value), rf"(?:{re.escape(value)}|\{{[^}}]*\}}+|%[\w.]+)")
        assert re.search(words, source), message
