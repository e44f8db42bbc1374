"""Reception: one loop over all sockets that reads, puts what it has read, and only then confirms."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mozdef_core import Intake, QueueError
from mozdef_syslog.connection import Connection
from mozdef_syslog.framing import Framer
from mozdef_syslog.settings import SyslogOptions
from mozdef_syslog.sockets import Listener

_LOOK_S: Final = 0.25
_DATAGRAMS: Final = 1_000
_BATCH: Final = 1_000
_DATAGRAM_BYTES: Final = 65_536
_DRAIN_S: Final = 5.0


class Reception:
    """Receives on some listeners until it is told to stop.

    What was read is put before anything more is read from the same sender. While the queue takes nothing, nothing
    is read: TCP senders are held back by their windows, and datagrams that the kernel has no room for are counted.
    """

    def __init__(self, listeners: Sequence[Listener], options: SyslogOptions, intake: Intake) -> None:
        self._listeners = listeners
        self._options = options
        self._intake = intake
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._dropped = {id(listener): listener.dropped() for listener in listeners}
        self._pending: dict[str, list[bytes]] = {}
        self._ending: list[Connection] = []
        self._resume_s = 0.0
        self._waiting = False

    def run(self, stop: threading.Event) -> None:
        """Receive until ``stop`` is set, then read what the kernel holds, put it, and end every connection."""
        for listener in self._listeners:
            self._selector.register(listener.socket, selectors.EVENT_READ, listener)
        try:
            while not stop.is_set():
                if self._waiting:
                    stop.wait(max(0.0, min(self._resume_s - time.monotonic(), _LOOK_S)))
                    if time.monotonic() >= self._resume_s:
                        self._put()
                    continue
                self._read(_LOOK_S)
                self._put()
                self._close_idle()
            self._drain()
        finally:
            for connection in list(self._connections):
                connection.close()
            self._selector.close()

    def _read(self, wait_s: float) -> None:
        """Read what is there from each socket, once."""
        for key, _ in self._selector.select(wait_s):
            source = key.data
            if isinstance(source, Connection):
                self._read_connection(source)
            elif source.kind == "udp":
                self._read_datagrams(source)
            else:
                self._accept(source)
        for listener in self._listeners:
            if listener.kind == "udp":
                self._count_dropped(listener)

    def _read_connection(self, connection: Connection) -> None:
        messages = connection.read()
        connection.active_s = time.monotonic()
        if messages:
            self._pending.setdefault(connection.peer, []).extend(messages)
        if connection.ended:
            self._selector.unregister(connection.socket)
            self._connections.discard(connection)
            self._ending.append(connection)
        elif connection.wants_write():
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        else:
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _read_datagrams(self, listener: Listener) -> None:
        for _ in range(_DATAGRAMS):
            try:
                message, address = listener.socket.recvfrom(_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            if message := message.rstrip(b"\r\n\0"):
                self._pending.setdefault(str(address[0]), []).append(message)

    def _count_dropped(self, listener: Listener) -> None:
        dropped = listener.dropped()
        before = self._dropped[id(listener)]
        if dropped > before:
            self._intake.lost(dropped - before, f"udp {listener.address}: no room in the kernel's buffer")
        self._dropped[id(listener)] = dropped

    def _accept(self, listener: Listener) -> None:
        while True:
            try:
                opened, address = listener.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return
            if len(self._connections) >= self._options.max_connections:
                opened.close()  # it lingers for zero seconds, so the sender sees a reset
                self._intake.lost(0, f"{listener.kind} {listener.address}: too many connections")
                continue
            opened.setblocking(False)
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            framer = Framer(self._options.framing, self._options.max_message_bytes)
            try:
                connection = Connection(opened, str(address[0]), framer, listener.context)
            except OSError:
                opened.close()
                continue
            connection.active_s = time.monotonic()
            self._connections.add(connection)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _put(self) -> None:
        """Put what was read; then tell the senders that have ended that all of it is stored."""
        while self._pending:
            peer, messages = next(iter(self._pending.items()))
            part = messages[:_BATCH]
            try:
                self._intake.put(part, peer=peer, fields=_fields(peer))
            except QueueError as error:
                self._waiting = True
                self._resume_s = time.monotonic() + error.retry_after_s
                return
            del messages[:_BATCH]
            if not messages:
                del self._pending[peer]
        self._waiting = False
        for connection in self._ending:
            connection.confirm()
        self._ending.clear()

    def _close_idle(self) -> None:
        """End connections that have been silent for too long; they have nothing that was not put."""
        oldest_s = time.monotonic() - self._options.idle_timeout_s
        for connection in [one for one in self._connections if one.active_s < oldest_s]:
            self._end(connection)
        self._put()

    def _end(self, connection: Connection) -> None:
        self._selector.unregister(connection.socket)
        self._connections.discard(connection)
        rest = connection.finish()
        if rest:
            self._pending.setdefault(connection.peer, []).extend(rest)
        self._ending.append(connection)

    def _drain(self) -> None:
        """Read what has arrived already, put it, and end the connections cleanly; gives up when nothing is taken."""
        deadline_s = time.monotonic() + _DRAIN_S
        for listener in self._listeners:
            if listener.kind != "udp":
                self._accept(listener)
                self._selector.unregister(listener.socket)
        while time.monotonic() < deadline_s and self._selector.select(0):
            self._read(0)
            self._put()
            if self._waiting:
                break
        for connection in list(self._connections):
            self._end(connection)
        while True:
            self._put()
            if not self._waiting or time.monotonic() > deadline_s:
                return
            time.sleep(0.1)


def _fields(peer: str) -> Mapping[str, Any]:
    """Return what this entrance adds (event-format.md section 3)."""
    return {"category": "syslog", "details.eventsourceipaddress": peer, "hostname": peer}
