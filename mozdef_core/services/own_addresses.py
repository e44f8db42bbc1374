"""The addresses of this machine, as its kernel knows them."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import closing, suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

_SIOCGIFADDR: Final = 0x8915
_IF_INET6: Final = Path("/proc/net/if_inet6")


def own_addresses() -> Sequence[str]:
    """Return the first IPv4 address and all IPv6 addresses of each interface; nothing is sent or looked up."""
    found = []
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):  # an interface without an IPv4 address
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
                found.append(socket.inet_ntoa(answer[20:24]))
    with suppress(OSError):  # no IPv6, or no Linux
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
        found.extend(str(IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines)
    return found


def caller_addresses() -> Sequence[str]:
    """Return the address that the person at a command has logged in from over ssh, if so."""
    origin = os.environ.get("SSH_CONNECTION", "").split()
    return origin[:1]
