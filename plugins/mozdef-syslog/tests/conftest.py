"""A receiver that runs in a thread, and an intake that remembers."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter

import pytest
from mozdef_syslog import SyslogInput, SyslogOptions

from mozdef_core import Intake, PutResult


class RememberedIntake(Intake):
    """Keeps what it is given, unless ``refusal`` is set, and waits for ``gate`` before it does."""

    def __init__(self):
        self.calls = []
        self.losses = Counter()
        self.refusal = None
        self.asked = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    def put(self, raw, *, peer=None, sender_ids=None, fields=None):
        self.asked.set()
        assert self.gate.wait(20)
        if self.refusal is not None:
            raise self.refusal
        with self._lock:
            self.calls.append((list(raw), peer, dict(fields)))
        return PutResult([""] * len(raw), 0)

    def lost(self, count, reason):
        self.losses[reason] += count

    @property
    def messages(self):
        with self._lock:
            return [message for raw, _, _ in self.calls for message in raw]

    def until(self, number, timeout_s=20):
        """Wait until so many messages are here and return them."""
        end_s = time.monotonic() + timeout_s
        while len(self.messages) < number and time.monotonic() < end_s:
            time.sleep(0.005)
        assert len(self.messages) >= number
        return self.messages


class Receiver:
    """A syslog input under test, listening on free ports."""

    def __init__(self, **options):
        self.intake = RememberedIntake()
        self.input = SyslogInput(SyslogOptions(**({"udp": [], "tcp": ["127.0.0.1:0"]} | options)))
        self.input.bind()
        self.listeners = self.input.listeners
        self.stopping = threading.Event()
        self.error = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self.input.run(self.intake, self.stopping)
        except ValueError as error:  # what a test lets the intake raise
            self.error = error

    def address(self, kind="tcp"):
        return next(tuple(one.address) for one in self.listeners if one.kind == kind)

    def connect(self):
        return socket.create_connection(self.address(), timeout=20)

    def stop(self):
        self.stopping.set()
        self.intake.gate.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def receive():
    made = []

    def start(**options):
        made.append(Receiver(**options))
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def ended_cleanly():
    """Give a function that tells whether the receiver has ended a connection cleanly, and not reset it."""

    def ask(connection):
        try:
            return connection.recv(100) == b""
        except (ConnectionResetError, ssl.SSLError):
            return False

    return ask
