"""A files input that runs in a thread, with an intake that remembers and knows repeats."""

from __future__ import annotations

import threading
import time

import pytest
from mozdef_files import FilesInput, FilesOptions

from mozdef_core.testing import RememberedIntake


class LineIntake(RememberedIntake):
    """An intake of which the tests look at single lines."""

    @property
    def fields(self):
        return [fields for raw, _, fields in self.calls for _ in raw]

    def until_just(self, *expected):
        """Wait until these lines are here, in this order, and nothing else."""
        assert self.until(len(expected)) == list(expected)


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
    return LineIntake()


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
