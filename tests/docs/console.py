"""Console sessions in the documentation: read, run against a real server, and compared."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.running import Service

FENCE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LOOKS = re.compile(
    r"mozdef (search|status|alerts list|alerts show|dead-letters list|dead-letters show)\b|curl .*/api/v1/"
)
"""Commands that only look, at what may still be on its way."""
SHELL = """
mozdef() {{
    case $1 in
        send|demo) command mozdef "$@" --url {url} ;;
        *) command mozdef "$@" ;;
    esac
}}
"""


class Step(NamedTuple):
    """A command and what it prints, with ``...`` for what differs each time."""

    line: int
    command: str
    printed: str


def steps(page: Path) -> Iterator[Step]:
    """Yield the steps of all sessions of a page; lines that begin with ``> `` continue a command."""
    text = page.read_text()
    for block in FENCE.finditer(text):
        line = text.count("\n", 0, block.start(1)) + 1
        command: list[str] = []
        printed: list[str] = []
        began = line
        for row in block[1].splitlines():
            if row.startswith("$ "):
                if command:
                    yield Step(began, "\n".join(command), "\n".join(printed))
                began, command, printed = line, [row[2:]], []
            elif row.startswith("> ") or row == ">":
                command.append(row[2:])
            else:
                printed.append(row.rstrip())
            line += 1
        yield Step(began, "\n".join(command), "\n".join(printed))


class Session:
    """One shell for one page, in the directory of a service; variables set by a step are there for the next."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "200",
        }
        self.kept = service.directory / "variables"
        self.kept.touch()

    def run(self, command: str) -> str:
        """Run a command and return what it prints, on either stream."""
        own = command.replace("127.0.0.1:8080", f"127.0.0.1:{self.service.port}")
        own = own.replace("127.0.0.1:5514", f"127.0.0.1:{self.service.syslog_port}")
        own = own.replace('("127.0.0.1", 5514)', f'("127.0.0.1", {self.service.syslog_port})')
        script = f"{SHELL.format(url=self.service.url)}. {self.kept}\n{own}\ndeclare -p TOKEN ID > {self.kept} 2>/dev/null\ntrue"
        result = subprocess.run(
            ["bash", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=self.service.directory,
            env=self.environ,
            timeout=60,
        )
        lines = [line.rstrip() for line in result.stdout.splitlines()]
        return "\n".join(lines).replace(f"127.0.0.1:{self.service.port}", "127.0.0.1:8080")

    def play(self, step: Step) -> str | None:
        """Run a step; return what was printed where it is not what the page says."""
        deadline_s = time.monotonic() + (15 if LOOKS.match(step.command) else 0)
        while True:
            printed = self.run(step.command)
            if agrees(step.printed, printed):
                return None
            if time.monotonic() >= deadline_s:
                return printed
            time.sleep(0.2)


def agrees(wanted: str, printed: str) -> bool:
    """Return whether a page says what was printed; ``...`` stands for anything."""
    checker = doctest.OutputChecker()
    return checker.check_output(f"{wanted}\n", f"{printed}\n", doctest.ELLIPSIS)
