"""The input itself: what the core finds under the entry point ``syslog``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mozdef_core import Input, Intake
from mozdef_syslog.message import parse_message
from mozdef_syslog.reception import Reception
from mozdef_syslog.settings import SyslogOptions
from mozdef_syslog.sockets import Listener, open_listeners


class SyslogInput(Input[SyslogOptions]):
    """Receives syslog from other programs and machines, over UDP, TCP and TLS."""

    Options = SyslogOptions
    kind = "syslog"
    decoder = "syslog"

    def __init__(self, options: SyslogOptions) -> None:
        super().__init__(options)
        self._listeners: list[Listener] = []

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The open sockets with their addresses; empty before ``bind`` and after ``run``."""
        return tuple(self._listeners)

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        """Read a message of RFC 5424 or RFC 3164; see :func:`mozdef_syslog.message.parse_message`."""
        return parse_message(raw, json_in_message=self.options.json_in_message)

    def bind(self) -> None:
        """Open the sockets; nothing is read from them before ``run``."""
        if not self._listeners:
            self._listeners = open_listeners(self.options)

    def run(self, intake: Intake, stop: threading.Event) -> None:
        """Receive until ``stop`` is set, then put what the kernel still holds and end all connections."""
        self.bind()
        try:
            Reception(self._listeners, self.options, intake).run(stop)
        finally:
            for listener in self._listeners:
                listener.close()
            self._listeners = []
