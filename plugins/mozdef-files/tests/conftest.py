"""A files input that runs in a thread, and an intake that remembers and knows repeats."""

from __future__ import annotations

import threading
import time

import pytest
from mozdef_files import FilesInput, FilesOptions

from mozdef_core import Intake, PutResult


class RememberedIntake(Intake):
    """Keeps what it is given, each sender id once, as the queue does; refuses or fails while told to."""

    def __init__(self):
        self.messages = []
        self.fields = []
        self.repeats = 0
        self.asked = threading.Event()
        self.refusal = None
        self.failure_after_put = None
        self.lost_count = 0
        self._seen = set()

    def put(self, raw, *, peer=None, sender_ids=None, fields=None):
        self.asked.set()
        if self.refusal is not None:
            raise self.refusal
        for message, sender_id in zip(raw, sender_ids, strict=True):
            if sender_id is not None and sender_id in self._seen:
                self.repeats += 1
                continue
            self._seen.add(sender_id)
            self.messages.append(message)
            self.fields.append(dict(fields))
        if self.failure_after_put is not None:
            raise self.failure_after_put
        return PutResult([""] * len(raw), 0)

    def lost(self, count, reason):
        self.lost_count += count

    def until(self, *expected, timeout_s=20):
        """Wait until these messages are here, in this order, and nothing else."""
        end_s = time.monotonic() + timeout_s
        while len(self.messages) < len(expected) and time.monotonic() < end_s:
            time.sleep(0.005)
        assert self.messages == list(expected)


class Followed:
    """A files input under test, with an intake that outlives its restarts."""

    def __init__(self, folder, intake, options):
        defaults = {"paths": [str(folder / "*.log")], "state_dir": folder / "state", "interval_s": 0.05}
        self.input = FilesInput(FilesOptions(**(defaults | {"start": "beginning"} | options)))
        self.intake = intake
        self.error = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.input.run(self.intake, self._stop)
        except RuntimeError as error:  # what a test lets the intake raise
            self.error = error

    def start(self):
        self.input.bind()
        self._thread.start()
        return self

    def begun(self):
        """Wait until it has looked for files for the first time."""
        end_s = time.monotonic() + 20
        positions = self.input.options.state_dir / "positions.json"
        while b'"patterns":[]' in positions.read_bytes() and time.monotonic() < end_s:
            time.sleep(0.005)
        return self

    def stop(self):
        self._stop.set()
        self.join()

    def join(self):
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def intake():
    return RememberedIntake()


@pytest.fixture
def follow(tmp_path, intake, monkeypatch):
    """Give a function that starts following ``*.log`` in ``tmp_path``."""
    monkeypatch.setattr("mozdef_files.input._LOOK_S", 0.05)
    monkeypatch.setattr("mozdef_files.watch._QUIET_S", 0.3)
    made = []

    def start(**options):
        made.append(Followed(tmp_path, intake, options).start())
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def write(tmp_path):
    """Give a function that appends to a file."""

    def append(name, content):
        with (tmp_path / name).open("ab") as file:
            file.write(content)

    return append
