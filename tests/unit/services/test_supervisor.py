"""The supervisor in a process of its own, with roles that say what they do; every wait is for what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HEAD = """
import logging, os, signal, sys, threading, time
from mozdef_core.services import supervisor as module
from mozdef_core.services.supervisor import Supervisor

logging.basicConfig(level="INFO", stream=sys.stdout, format="%(levelname)s %(message)s")

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def role(name, begin=lambda: None):
    def run(ready):
        done = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: done.set())
        begin()
        say(name, "runs", os.getpid())
        ready()
        done.wait()
        say(name, "ends")
    return name, run
"""


IN_VAIN_S = 60
"""After so long a test that still waits has waited in vain; the end of the process ends its wait."""


class Supervised:
    """A supervisor in a process of its own."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + textwrap.dedent(code)],
            cwd=Path(__file__).resolve().parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self.patience = threading.Timer(IN_VAIN_S, self.process.kill)
        self.patience.start()

    def until(self, beginning: str) -> str:
        """Return the next line that begins like this; those before it are passed over."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(beginning):
                return line.rstrip()
        raise AssertionError(f"nothing begins with {beginning!r} in {self.lines}")

    def pid_of(self, name: str) -> int:
        """Return the process id of a role that starts next."""
        return int(self.until(f"{name} runs").split()[-1])

    def stop(self) -> list[str]:
        """Send SIGTERM, and return what is said until the end."""
        self.process.send_signal(signal.SIGTERM)
        return self.rest()

    def rest(self) -> list[str]:
        """Return what is said until the end."""
        said = self.process.communicate(timeout=60)[0].splitlines()
        self.lines += said
        return said


Supervise = Callable[[str], Supervised]


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    made: list[Supervised] = []

    def start(code: str) -> Supervised:
        made.append(Supervised(code))
        return made[-1]

    yield start
    for one in made:
        one.patience.cancel()
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


THREE = 'sys.exit(Supervisor([role("web"), role("worker"), role("scheduler")], lambda: say("ready")).run())'


def test_when_all_are_ready_it_says_so_once_and_on_sigterm_it_stops_them_in_order(
    supervise: Supervise,
) -> None:
    supervised = supervise(THREE)
    supervised.until("ready")
    said = supervised.stop()
    assert [line for line in said if line.endswith("ends")] == ["web ends", "worker ends", "scheduler ends"]
    assert supervised.process.returncode == 0
    assert supervised.lines.count("ready") == 1


def test_a_child_that_dies_is_started_again_and_the_others_stay(supervise: Supervise) -> None:
    supervised = supervise(THREE)
    first = supervised.pid_of("worker")
    supervised.until("ready")
    os.kill(first, signal.SIGKILL)
    told = supervised.until("WARNING")
    assert told == "WARNING worker was killed by signal 9; it is started again in 0.2 s"
    assert supervised.pid_of("worker") != first
    said = supervised.stop()
    assert supervised.process.returncode == 0
    assert "worker ends" in said
    assert sum(line.startswith("web runs") for line in supervised.lines) == 1
    assert supervised.lines.count("ready") == 1


def test_a_child_that_goes_on_dying_is_started_again_with_growing_pauses(supervise: Supervise) -> None:
    supervised = supervise("""
        module.RESTART_S = (0.1, 0.2, 0.3)
        Supervisor([role("worker")], lambda: say("ready")).run()
    """)
    pid = supervised.pid_of("worker")
    supervised.until("ready")
    pauses = []
    for _ in range(4):
        os.kill(pid, signal.SIGKILL)
        pauses.append(supervised.until("WARNING").removeprefix("WARNING worker was killed by signal 9; "))
        pid = supervised.pid_of("worker")
    assert pauses == [f"it is started again in {wait_s} s" for wait_s in (0.1, 0.2, 0.3, 0.3)]
    supervised.stop()


def test_a_child_that_has_run_for_long_has_its_failures_forgotten(supervise: Supervise) -> None:
    supervised = supervise("""
        module.RESTART_S, module.STEADY_S = (0.1, 300), -1
        Supervisor([role("worker")], lambda: say("ready")).run()
    """)
    pid = supervised.pid_of("worker")
    supervised.until("ready")
    for _ in range(2):
        os.kill(pid, signal.SIGKILL)
        assert supervised.until("WARNING").endswith("it is started again in 0.1 s")
        pid = supervised.pid_of("worker")
    supervised.stop()


def test_a_role_that_ends_before_all_are_ready_ends_everything(supervise: Supervise) -> None:
    supervised = supervise("""
        def refuse(ready):
            sys.exit(1)
        sys.exit(Supervisor([role("web"), ("worker", refuse)], lambda: say("ready")).run())
    """)
    said = supervised.rest()
    assert "ERROR worker ended with status 1 before everything was ready" in said
    assert "ready" not in said
    assert supervised.process.returncode == 1
    assert not [line for line in said if "started again" in line]


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ("raise ZeroDivisionError('a bug')", 1, "ZeroDivisionError: a bug"),
        ("sys.exit(7)", 7, "WARNING"),
        ("sys.exit('a sentence')", 1, "WARNING"),
    ],
)
def test_how_a_role_ended_is_told_and_it_is_started_again(
    supervise: Supervise, end: str, status: int, said: str
) -> None:
    supervised = supervise(f"""
        def end(*_):
            {end}
        Supervisor(
            [role("worker", lambda: signal.signal(signal.SIGUSR1, end))], lambda: say("ready")
        ).run()
    """)
    pid = supervised.pid_of("worker")
    supervised.until("ready")
    os.kill(pid, signal.SIGUSR1)
    line = supervised.until(said)
    line = line if line.startswith("WARNING") else supervised.until("WARNING")
    assert line == f"WARNING worker was ended with status {status}; it is started again in 0.2 s"
    assert supervised.pid_of("worker") != pid
    supervised.stop()


def test_a_child_that_does_not_stop_in_time_is_killed(supervise: Supervise) -> None:
    supervised = supervise("""
        module.DRAIN_S = 0.1
        def deaf(ready):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ready()
            threading.Event().wait()
        sys.exit(Supervisor([("deaf", deaf), role("web")], lambda: say("ready")).run())
    """)
    supervised.until("ready")
    said = supervised.stop()
    assert "WARNING deaf did not stop within 0 s and is killed" in said
    assert "web ends" in said
    assert supervised.process.returncode == 0


def test_a_child_has_time_to_finish_what_it_has_in_hand(supervise: Supervise) -> None:
    supervised = supervise("""
        def busy(ready):
            told = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: told.set())
            ready()
            told.wait()
            reader, writer = os.pipe()
            threading.Timer(0.1, os.write, (writer, b"x")).start()
            os.read(reader, 1)
            say("all written")
        Supervisor([("busy", busy), role("web")], lambda: say("ready")).run()
    """)
    supervised.until("ready")
    assert [line for line in supervised.stop() if line in ("all written", "web ends")] == [
        "all written",
        "web ends",
    ]


def test_control_c_stops_the_children_through_the_supervisor_only(supervise: Supervise) -> None:
    supervised = supervise(THREE)
    pid = supervised.pid_of("web")
    supervised.until("ready")
    os.kill(pid, signal.SIGINT)
    supervised.process.send_signal(signal.SIGINT)
    said = supervised.rest()
    assert [line for line in said if line.endswith("ends")] == ["web ends", "worker ends", "scheduler ends"]
    assert not [line for line in said if "killed" in line]


def test_when_the_supervisor_is_killed_the_children_stop(supervise: Supervise) -> None:
    supervised = supervise(THREE)
    supervised.until("ready")
    supervised.process.kill()
    said = supervised.rest()  # the pipe ends with the last child
    assert {line for line in said if line.endswith("ends")} == {"web ends", "worker ends", "scheduler ends"}


def test_a_hanging_call_is_ended_and_its_plugin_starts_suspended(
    supervise: Supervise, tmp_path: Path
) -> None:
    pytest.importorskip("mozdef_linux")
    (tmp_path / "mozdef.toml").write_text('plugins = ["linux"]\nhealth = {stuck_s = 0.001}\n')
    supervised = supervise(f"""
        from functools import partial
        from pathlib import Path
        from mozdef_core.config import load
        from mozdef_core.services import compose
        from mozdef_core.services.cli.serve import _stuck

        config = load(Path({str(tmp_path / "mozdef.toml")!r}), {{}})

        def worker(ready):
            host = compose.open_host(config, "worker")
            suspended = host.health.suspended("linux")
            if not suspended:
                calls = host.health.in_flight
                calls.begin(calls.label("linux", "on_event"), "event1", 1)  # as old as the machine is up
            begin = lambda: say("suspended", suspended)
            role("worker", begin)[1](ready)
            compose.close_host(host)

        Supervisor([("worker", worker), role("web")], lambda: say("ready"), partial(_stuck, config)).run()
    """)
    assert supervised.until("suspended") == "suspended False"
    supervised.until("worker hangs in on_event of plugin linux at event1 for ")
    assert supervised.until("WARNING worker was killed by signal 9")
    assert supervised.until("suspended") == "suspended True"
    supervised.pid_of("worker")
    supervised.stop()
    assert list((tmp_path / "var" / "run").iterdir()) == []


def test_a_hanging_process_of_another_supervisor_is_left_alone(supervise: Supervise, tmp_path: Path) -> None:
    (tmp_path / "mozdef.toml").write_text("")
    supervised = supervise(f"""
        from pathlib import Path
        from mozdef_core.config import load
        from mozdef_core.inflight import InFlight
        from mozdef_core.services import compose
        from mozdef_core.services.cli.serve import _stuck

        config = load(Path({str(tmp_path / "mozdef.toml")!r}), {{}})
        calls = InFlight(compose.in_flight_path(config, "worker", os.getpid()))
        calls.begin(calls.label("linux", "on_event"), "event1", 1)
        looks = []

        def watch(children):
            found = _stuck(config, children)
            looks.append(found)
            if len(looks) == 3:
                say("looked", looks)
            return found

        Supervisor([role("worker")], lambda: say("ready"), watch).run()
    """)
    assert supervised.until("looked") == "looked [[], [], []]"
    supervised.stop()
