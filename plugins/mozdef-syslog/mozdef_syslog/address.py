"""An address to listen on, as ``host:port``, and the text form of a peer's address."""

from __future__ import annotations

import functools
import ipaddress
from typing import NamedTuple


class Address(NamedTuple):
    """A host, by address or name, and a port; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it; a name other than ``localhost`` is taken for reachable."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Read ``host:port``; an IPv6 address stands in brackets.

    :raises ValueError: with what would be right.
    """
    host, colon, port = text.strip().rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (colon and bare and port.isascii() and port.isdigit()) or (":" in bare) != bracketed:
        raise ValueError(f"expected host:port such as 127.0.0.1:5514 or [::1]:5514, got {text!r}")
    if int(port) > 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port} in {text!r}")
    return Address(bare, int(port))


@functools.lru_cache(maxsize=4096)
def peer_text(host: str) -> str:
    """Return a peer's address without a zone, and as IPv4 if it is IPv4 over an IPv6 socket."""
    host = host.partition("%")[0]
    return host.removeprefix("::ffff:") if "." in host else host
