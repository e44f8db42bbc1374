"""The Duo input keeps what all inputs promise, with each of its logs."""

from __future__ import annotations

from functools import partial

import pytest

from mozdef_core.testing import InputContract


class TestTelephony(InputContract):
    name = "telephony"

    @pytest.fixture
    def make(self, new_input):
        return partial(new_input, logs=[self.name])

    @pytest.fixture
    def deliver(self, server):
        return lambda _source, lines: server.add(self.name, *lines)


class TestAdministration(TestTelephony):
    name = "administration"

    @pytest.fixture
    def deliver(self, server):
        return lambda _source, lines: server.add(self.name, *lines, username="")


class TestAuthentication(TestTelephony):
    name = "authentication"

    @pytest.fixture
    def deliver(self, server):
        def add(_source, lines):
            for line in lines:
                server.add(self.name, "", event_type=line)

        return add
