"""A receiver that runs in a thread, with an intake that remembers."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from mozdef_syslog import SyslogInput, SyslogOptions

from mozdef_core.testing import RememberedIntake


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
