"""The sockets that are listened on, and what has to be set on them so that nothing is lost unnoticed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Literal

from mozdef_syslog.address import Address, parse_address
from mozdef_syslog.settings import SyslogOptions

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CLEAN_ON_CLOSE = struct.pack("ii", 0, 0)
BACKLOG = 256
_SO_RCVBUFFORCE = 33  # <asm-generic/socket.h>; beyond net.core.rmem_max, for the superuser only
_SO_MEMINFO = 55  # <asm-generic/socket.h>: nine numbers, the last of which counts dropped datagrams
_MEMINFO_BYTES = 36


@dataclass(frozen=True, slots=True)
class Listener:
    """An open socket.

    :param context: how TLS is spoken on accepted connections; None for UDP and plain TCP.
    """

    kind: Literal["udp", "tcp", "tls"]
    address: Address
    socket: socket.socket
    context: ssl.SSLContext | None = None

    def dropped(self) -> int:
        """Return how many datagrams the kernel has had no room for since the socket was opened; 0 if it can't say."""
        try:
            return int(
                struct.unpack("9I", self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES))[8]
            )
        except (OSError, struct.error):
            return 0

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def open_listeners(options: SyslogOptions) -> list[Listener]:
    """Open every socket that the options name, or none.

    :raises OSError: a port is in use, or a certificate can't be read; the text names the address or the file.
    """
    context = _make_context(options) if options.tls else None
    wanted: list[tuple[Literal["udp", "tcp", "tls"], str]] = [
        *(("udp", text) for text in options.udp),
        *(("tcp", text) for text in options.tcp),
        *(("tls", text) for text in options.tls),
    ]
    opened: list[Listener] = []
    try:
        for kind, text in wanted:
            opened.append(_open(kind, parse_address(text), context if kind == "tls" else None, options))
    except OSError:
        for listener in opened:
            listener.close()
        raise
    return opened


def _open(
    kind: Literal["udp", "tcp", "tls"],
    address: Address,
    context: ssl.SSLContext | None,
    options: SyslogOptions,
) -> Listener:
    sort = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    try:
        family, *_, target = socket.getaddrinfo(address.host, address.port, type=sort)[0]
    except OSError as error:
        raise OSError(error.errno, f"{kind} {address}: {error.strerror}") from error
    opened = socket.socket(family, sort)
    try:
        opened.setblocking(False)
        if kind == "udp":
            _widen(opened, options.receive_buffer_bytes)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Accepted sockets inherit it: from its first byte on, a connection that ends because this process
            # dies is reset, so that no sender takes the end for the confirmation that all was stored.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        opened.bind(target)
        if kind != "udp":
            opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise OSError(error.errno, f"{kind} {address}: {error.strerror}") from error
    host, port = opened.getsockname()[:2]
    return Listener(kind, Address(host, port), opened, context)


def _widen(opened: socket.socket, size_bytes: int) -> None:
    """Ask for a receive buffer of this size; what the kernel grants without privileges is taken."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size_bytes)
    except OSError:
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)


def _make_context(options: SyslogOptions) -> ssl.SSLContext:
    if options.certificate is None:
        raise OSError("tls: no certificate is configured")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Many senders end TCP without ending TLS first. What they sent counts, and they too are told that it is stored.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    try:
        context.load_cert_chain(options.certificate, options.key, password=_refuse_passphrase)
    except OSError as error:
        raise OSError(error.errno, f"tls: cannot use certificate {options.certificate}: {error}") from error
    if options.client_ca is not None:
        try:
            context.load_verify_locations(options.client_ca)
        except OSError as error:
            raise OSError(error.errno, f"tls: cannot use client_ca {options.client_ca}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _refuse_passphrase() -> str:
    """Answer OpenSSL, which would otherwise ask on the terminal; an empty passphrase is an error there."""
    return ""
