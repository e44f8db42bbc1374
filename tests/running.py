"""A running MozDef for tests and benchmarks: the real command, real processes, real sockets on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

Found = TypeVar("Found")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], Found], timeout_s: float = 20, every_s: float = 0.05) -> Found:
    """Look until there is something, and return it; the last look is returned when the time is up."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = look()
        if found or time.monotonic() > deadline_s:
            return found
        time.sleep(every_s)


def program(variable: str, default: str = "") -> str:
    """Return a program that a test needs; skip without it, fail where services are required."""
    path = os.environ.get(variable, default)
    if path and shutil.which(path):
        return path
    reason = f"{variable} does not name a program"
    if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def folder(variable: str, default: Path | None = None) -> Path:
    """Return a directory that a test needs; skip without it, fail where services are required."""
    path = Path(os.environ[variable]) if variable in os.environ else default
    if path is not None and path.is_dir():
        return path
    reason = f"{variable} does not name a directory"
    if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Service:
    """``mozdef serve`` in a directory of its own.

    :param tables: lines of mozdef.toml, added to what every test needs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        plugins: list[str] | None = None,
        inputs: list[str] | None = None,
        tables: str = "",
        environ: Mapping[str, str] | None = None,
        data_dir: Path | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.data_dir = data_dir or directory / "var"
        self.config = directory / "mozdef.toml"
        self.port, self.syslog_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environ = {**os.environ, **(environ or {}), "XDG_CACHE_HOME": str(directory / "cache")}
        inputs = ["syslog"] if inputs is None else inputs
        syslog = f'[input.syslog]\nudp = ["127.0.0.1:{self.syslog_port}"]\ntcp = ["127.0.0.1:{self.syslog_port}"]\n'
        self.config.write_text(
            f"plugins = {json.dumps(plugins or [])}\ninputs = {json.dumps(inputs)}\n"
            f'[core]\ndata_dir = "{self.data_dir}"\nnode = "siem.test"\n'
            f'[web]\nlisten = "127.0.0.1:{self.port}"\n' + (syslog if "syslog" in inputs else "") + tables
        )

    def start(self, timeout_s: float = 30) -> Service:
        """Start it and wait until it says that it is ready."""
        self.spawn()
        if not eventually(self.ready, timeout_s):
            pytest.fail(f"not ready after {timeout_s} s:\n{self.output()}")
        return self

    def spawn(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self._began = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mozdef_core.services", "serve", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environ,
                cwd=self.directory,
            )

    def ready(self) -> bool:
        """Return whether this start has come to its end."""
        return b"MozDef is ready" in self.log.read_bytes()[self._began :]

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor."""
        assert self._process is not None
        return self._process

    def children(self) -> dict[int, str]:
        """Return the processes of the roles: id and the second of its creation, oldest first."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid): "" for pid in path.read_text().split()}

    def writers(self) -> list[int]:
        """Return the processes that write the store: the one that the worker has started, if it has."""
        found = []
        for worker in self.children():
            for task in Path(f"/proc/{worker}/task").glob(
                "*/children"
            ):  # each thread has children of its own
                try:
                    found += [int(pid) for pid in task.read_text().split()]
                except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                    continue
        return found

    def roles(self) -> dict[str, int]:
        """Return the process ids of web, worker and scheduler, in the order in which they were forked at first."""
        return dict(zip(("web", "worker", "scheduler"), sorted(self.children()), strict=False))

    def stop(self) -> int:
        """Stop it in good order and return its exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(60)
        self._process = None
        return status

    def kill_all(self) -> None:
        """Kill the supervisor and every role at once."""
        pids = [self.process.pid, *self.children()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)
        self._process = None
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10)

    def output(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")

    def cli(self, *arguments: str, check: bool = True, stdin: bytes | None = None) -> Any:
        """Run a command with ``--json`` and return what it printed."""
        result = self.run(*arguments, "--config", str(self.config), "--json", stdin=stdin)
        if check and result.returncode:
            pytest.fail(f"mozdef {' '.join(arguments)}: {result.stdout.decode()}{result.stderr.decode()}")
        return json.loads(result.stdout)

    def run(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a command."""
        return subprocess.run(
            [sys.executable, "-m", "mozdef_core.services", *arguments],
            capture_output=True,
            input=stdin if stdin is not None else b"",
            env=self._environ,
            cwd=self.directory,
            timeout=120,
            check=False,
        )

    def search(self, query: str, size: int = 1_000) -> list[dict[str, Any]]:
        """Return the newest events that match."""
        found: list[dict[str, Any]] = self.cli("search", query, "--since", "3650d", "--size", str(size))[
            "events"
        ]
        return found

    def count(self, query: str = "*") -> int:
        """Return how many events match."""
        return int(self.cli("search", query, "--since", "3650d", "--count")["count"])

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None, timeout_s: float = 30
    ) -> tuple[int, dict[str, Any]]:
        """Post a body and return status and answer."""
        request = urllib.request.Request(
            self.url + path, data=body, headers=dict(headers or {}), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
