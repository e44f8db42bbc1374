"""The Auth0 input keeps what all inputs promise."""

from __future__ import annotations

import pytest

from mozdef_core.testing import InputContract


class TestAuth0(InputContract):
    @pytest.fixture
    def make(self, new_input):
        return new_input

    @pytest.fixture
    def deliver(self, server):
        return lambda _source, lines: server.add(*lines)
