"""The calls in flight are seen from another process, also when the writer has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mozdef_core.inflight import SLOTS, InFlight, path_of, remove_stale, running_calls

ROOT = Path(__file__).resolve().parents[2]


def test_calls_begin_and_end(tmp_path):
    flight = InFlight(tmp_path / "a")
    now = time.monotonic_ns()
    first = flight.begin(flight.label("geoip", "enrich"), "event1", now - 10**9)
    second = flight.begin(flight.label("linux", "on_event"), "event2", now)
    calls = running_calls(tmp_path / "a")
    assert [(call.plugin, call.hook, call.key) for call in calls] == [
        ("geoip", "enrich", "event1"),
        ("linux", "on_event", "event2"),
    ]
    assert 1 <= calls[0].seconds < 10
    flight.end(first)
    assert [call.plugin for call in running_calls(tmp_path / "a")] == ["linux"]
    flight.end(second)
    assert running_calls(tmp_path / "a") == []


def test_more_calls_than_slots_are_made_but_not_all_published(tmp_path):
    flight = InFlight(tmp_path / "a")
    slots = [flight.begin(flight.label("p", "h"), "k", 1) for _ in range(SLOTS + 3)]
    assert slots.count(-1) == 3
    assert len(running_calls(tmp_path / "a")) == SLOTS
    for slot in slots:
        flight.end(slot)
    assert running_calls(tmp_path / "a") == []
    assert flight.begin(flight.label("p", "h"), "k", 1) >= 0


def test_long_names_and_keys_are_cut_and_do_not_spill_over(tmp_path):
    flight = InFlight(tmp_path / "a")
    slot = flight.begin(flight.label("p" * 500, "enrich"), "k" * 500, 5)
    assert flight.begin(flight.label("short", "enrich"), "", 6) != slot
    long, short = running_calls(tmp_path / "a")
    assert long.plugin == "p" * (192 - len("enrich") - 1)
    assert long.key == "k" * 56
    assert (short.plugin, short.key) == ("short", "")


def test_the_file_is_private_and_its_blocks_are_allocated(tmp_path):
    path = tmp_path / "below" / "a"
    InFlight(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 0


def test_closing_removes_the_file(tmp_path):
    flight = InFlight(tmp_path / "a")
    flight.close()
    assert not (tmp_path / "a").exists()
    assert running_calls(tmp_path / "a") == []


def test_what_a_killed_process_was_doing_can_still_be_read(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from mozdef_core.inflight import InFlight\n"
        "f = InFlight(Path(sys.argv[1])); f.begin(f.label('stuck', 'enrich'), 'event1', time.monotonic_ns())\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "a"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (call,) = running_calls(path)
    assert (call.plugin, call.hook, call.key) == ("stuck", "enrich", "event1")
    assert 0 <= call.seconds < 60


def test_every_process_of_a_role_has_a_file_of_its_own(tmp_path):
    first = InFlight(path_of(tmp_path, "worker", os.getpid()))
    second = InFlight(path_of(tmp_path, "worker", os.getpid() + 1))
    first.begin(first.label("geoip", "enrich"), "event1", 1)
    second.begin(second.label("linux", "on_event"), "event2", 1)
    assert [call.plugin for call in running_calls(path_of(tmp_path, "worker", os.getpid()))] == ["geoip"]


def test_what_ended_processes_have_left_is_removed_and_nothing_else(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    for name in (
        f"worker.{process.pid}.calls",
        f"worker.{process.pid}.suspend",
        f"worker.{os.getpid()}.calls",
        f"scheduler.{os.getppid()}.suspend",
        "notes.of.mine",
        "worker.calls",
    ):
        (tmp_path / name).touch()
    remove_stale(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"worker.{os.getpid()}.calls", f"scheduler.{os.getppid()}.suspend", "notes.of.mine", "worker.calls"]
    )
