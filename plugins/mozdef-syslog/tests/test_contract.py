"""The syslog input keeps what all inputs promise; once for each way of sending."""

from __future__ import annotations

import socket

import pytest
from mozdef_syslog import SyslogInput, SyslogOptions

from mozdef_core.testing import InputContract


class TestSyslogOverTcp(InputContract):
    @pytest.fixture
    def make(self):
        return lambda: SyslogInput(SyslogOptions(udp=[], tcp=["127.0.0.1:0"]))

    @pytest.fixture
    def deliver(self):
        def send(source, lines):
            address = tuple(source.listeners[0].address)
            with socket.create_connection(address, timeout=20) as connection:
                connection.sendall(b"".join(f"<34>app: {line}\n".encode() for line in lines))

        return send
