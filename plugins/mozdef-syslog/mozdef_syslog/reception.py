"""Reception: the loop that accepts connections and reads from all sockets, in one thread."""

from __future__ import annotations

import functools
import logging
import selectors
import socket
import threading
import time
from collections.abc import Sequence

from mozdef_core import Intake
from mozdef_syslog.address import peer_text
from mozdef_syslog.connection import Connection
from mozdef_syslog.delivery import Delivery
from mozdef_syslog.framing import Framer
from mozdef_syslog.settings import SyslogOptions
from mozdef_syslog.sockets import BACKLOG, Listener

log = logging.getLogger(__name__)

_TURN_S = 0.25
_TICK_S = 1.0
_GRACE_S = 5.0
_HANDSHAKE_S = 10.0
_DATAGRAM_BYTES = 65_535
_DATAGRAMS = 500
_ACCEPTS = 64
_BLANK = b"\r\n\0 "
_KEEPALIVE_IDLE_S = 300


class Reception:
    """Reads while the queue takes what was read; otherwise leaves it to the kernel to hold back the senders."""

    def __init__(self, listeners: Sequence[Listener], options: SyslogOptions, intake: Intake) -> None:
        self._listeners = listeners
        self._options = options
        self._intake = intake
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._ending: list[Connection] = []
        self._dropped = {listener: listener.dropped() for listener in listeners if listener.kind == "udp"}
        self._refused = 0
        self._ticked_s = time.monotonic()
        self._wake_reader, self._waker = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._waker.setblocking(False)
        self._delivery = Delivery(intake, self._wake)

    def run(self, stop: threading.Event) -> None:
        """Receive until ``stop`` is set; then read what the kernel holds, put it, and end the connections.

        :raises Exception: what ended the delivery; connections are reset then.
        """
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._drain_wakes)
        for listener in self._listeners:
            read = self._read_datagrams if listener.kind == "udp" else self._accept
            self._selector.register(listener.socket, selectors.EVENT_READ, functools.partial(read, listener))
            log.info("syslog: listening on %s %s", listener.kind, listener.address)
        try:
            while not stop.is_set():
                self._turn()
            self._read_the_rest()
        finally:
            self._close()

    def _turn(self) -> None:
        if self._delivery.accepting:
            for key, _events in self._selector.select(_TURN_S):
                key.data()
        else:
            self._delivery.wait(_TURN_S)
        self._confirm_stored()
        if time.monotonic() - self._ticked_s >= _TICK_S:
            self._tick()

    def _wake(self) -> None:
        if self._ending:
            try:
                self._waker.send(b"\0")
            except OSError:
                log.debug("syslog: the reading thread is awake already")

    def _drain_wakes(self) -> None:
        try:
            self._wake_reader.recv(4096)
        except BlockingIOError:
            return

    def _read_datagrams(self, listener: Listener) -> None:
        received: dict[str, list[bytes]] = {}
        receive = listener.socket.recvfrom
        try:
            for _ in range(_DATAGRAMS):
                datagram, address = receive(_DATAGRAM_BYTES)
                if message := datagram.rstrip(_BLANK):
                    received.setdefault(address[0], []).append(message)
        except BlockingIOError:
            pass
        except OSError as error:
            log.warning("syslog: cannot read from udp %s: %s", listener.address, error)
        for host, messages in received.items():
            self._delivery.add(peer_text(host), messages)

    def _accept(self, listener: Listener) -> None:
        for _ in range(_ACCEPTS):
            try:
                opened, address = listener.socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError as error:
                log.warning("syslog: cannot accept on %s %s: %s", listener.kind, listener.address, error)
                self._selector.unregister(
                    listener.socket
                )  # until the next tick: it would be ready all the time
                return
            try:
                self._welcome(opened, peer_text(address[0]), listener)
            except OSError as error:
                log.debug("syslog: a connection ended at once: %s", error)
                opened.close()

    def _welcome(self, opened: socket.socket, peer: str, listener: Listener) -> None:
        opened.setblocking(False)
        if len(self._connections) >= self._options.max_connections:
            self._refused += 1
            opened.close()
            return
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
        framer = Framer(self._options.framing, self._options.max_message_bytes)
        connection = Connection(opened, peer, framer, listener.context)
        connection.active_s = time.monotonic()
        self._connections.add(connection)
        self._selector.register(
            connection.socket, selectors.EVENT_READ, functools.partial(self._read, connection)
        )

    def _read(self, connection: Connection) -> None:
        connection.active_s = time.monotonic()
        self._delivery.add(connection.peer, connection.read())
        if connection.ended:
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        """Read no more from a connection; it is closed when all that came from it is stored."""
        self._selector.unregister(connection.socket)
        self._connections.discard(connection)
        connection.mark = self._delivery.added
        self._ending.append(connection)

    def _confirm_stored(self) -> None:
        if not self._ending:
            return
        stored = self._delivery.stored
        for connection in self._ending:
            if connection.mark <= stored:
                connection.confirm()
        self._ending = [connection for connection in self._ending if connection.mark > stored]

    def _tick(self) -> None:
        """Do what is due each second: count losses, end silent connections, accept again after a shortage."""
        now_s = self._ticked_s = time.monotonic()
        for listener, before in self._dropped.items():
            self._dropped[listener] = dropped = listener.dropped()
            if dropped > before:
                self._intake.lost(
                    dropped - before, f"the kernel had no room for datagrams on {listener.address}"
                )
        if self._refused:
            log.warning("syslog: %d connections over max_connections were reset", self._refused)
            self._refused = 0
        limits_s = {True: _HANDSHAKE_S, False: self._options.idle_timeout_s}
        for connection in [one for one in self._connections if now_s - one.active_s > limits_s[one.greeting]]:
            self._delivery.add(connection.peer, connection.finish())
            self._leave(connection)
        for listener in self._listeners:
            if listener.socket not in self._selector.get_map():
                self._selector.register(
                    listener.socket, selectors.EVENT_READ, functools.partial(self._accept, listener)
                )

    def _read_the_rest(self) -> None:
        """Read what the kernel holds now, from connections that nobody has accepted yet too.

        A connection that still brings more after that is reset by the kernel when it is closed.
        """
        until_s = time.monotonic() + _GRACE_S / 2
        for listener in self._listeners:
            if listener.kind != "udp":
                for _ in range(BACKLOG // _ACCEPTS):
                    self._accept(listener)
                if listener.socket in self._selector.get_map():
                    self._selector.unregister(listener.socket)
        while (ready := self._selector.select(0)) and time.monotonic() < until_s:
            for key, _events in ready:
                key.data()
            while not self._delivery.accepting and time.monotonic() < until_s:
                self._delivery.wait(_TURN_S)
        for connection in list(self._connections):
            self._delivery.add(connection.peer, connection.finish())
            self._leave(connection)

    def _close(self) -> None:
        try:
            self._delivery.close(_GRACE_S)
            self._confirm_stored()
        finally:
            for connection in [*self._connections, *self._ending]:
                connection.close()
            self._selector.close()
            self._wake_reader.close()
            self._waker.close()
