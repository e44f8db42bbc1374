"""One accepted connection, over TCP or TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence

from mozdef_syslog.framing import Framer
from mozdef_syslog.sockets import CLEAN_ON_CLOSE

_READ_BYTES = 65_536
_READS = 8


class Connection:
    """Reads messages from one sender and ends the connection in a way that tells the sender what became of them.

    Closed without :meth:`confirm`, or by the death of the process, the connection is reset.

    :param opened: a non-blocking socket that lingers for zero seconds.
    :param context: how TLS is spoken, or None.
    :raises OSError: the sender is gone already.
    """

    def __init__(
        self, opened: socket.socket, peer: str, framer: Framer, context: ssl.SSLContext | None
    ) -> None:
        self.socket = opened
        self.peer = peer
        self.active_s = 0.0
        self.ended = False
        self.mark = 0
        self._framer = framer
        self._secure: ssl.SSLSocket | None = None
        if context is not None:
            self._secure = context.wrap_socket(opened, server_side=True, do_handshake_on_connect=False)
            self.socket = self._secure
        self._greeting = context is not None

    @property
    def greeting(self) -> bool:
        """Whether the TLS handshake is still under way."""
        return self._greeting

    def read(self) -> list[bytes]:
        """Return the messages that are complete with what can be read now, at most some 512 KiB.

        At the end of the stream, clean or not, ``ended`` is set and what had no delimiter is a message too.
        """
        if self._greeting and not self._greet():
            return []
        messages: list[bytes] = []
        for received in self._receive():
            messages += self._framer.feed(received)
        if self.ended:
            messages += self._framer.finish()
        return messages

    def _receive(self) -> Sequence[bytes]:
        """Return what can be read now; a TLS record is smaller than one read, so none is left behind decrypted."""
        parts: list[bytes] = []
        try:
            while len(parts) < _READS:
                received = self.socket.recv(_READ_BYTES)
                if not received:
                    self.ended = True
                    break
                parts.append(received)
                if self._secure is None and len(received) < _READ_BYTES:
                    break
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, InterruptedError):
            pass
        except OSError:
            self.ended = True
        return parts

    def _greet(self) -> bool:
        """Go on with the TLS handshake; return whether it is done. A failed one ends the connection."""
        if self._secure is None:
            return True
        try:
            self._secure.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            self.ended = True
            return False
        self._greeting = False
        return True

    def finish(self) -> list[bytes]:
        """Return what stands without a delimiter, when this side ends the connection."""
        self.ended = True
        return self._framer.finish()

    def confirm(self) -> None:
        """End the connection cleanly: all that was read from it is on stable storage.

        If something arrived meanwhile that was not read, the kernel resets the connection all the same.
        """
        if self._secure is not None and not self._greeting:
            # Sends close_notify; the answer, if the sender gives one, is not waited for.
            with contextlib.suppress(OSError, ValueError):
                self._secure.unwrap()
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLEAN_ON_CLOSE)
        self.socket.close()

    def close(self) -> None:
        """Reset the connection."""
        self.socket.close()
