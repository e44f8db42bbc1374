"""What a sender wrote where an address is expected."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final, NamedTuple

LONGEST: Final = 320
"""A longer text is neither an address nor a name."""

_NOTHING: Final = frozenset({"", "-", "unknown"})
_AROUND: Final = " \t\r\n\"'`()[]<>{}"
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\]:(\d{1,5})")
_WITH_PORT: Final = re.compile(r"([^:]*):(\d{1,5})")
_NAME: Final = re.compile(
    r"(?=.{0,253}[A-Za-z])(?=.{1,254}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"
    r"(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?",
    re.ASCII,
)


class Reading(NamedTuple):
    """What a text says: an address, or a name, or that there is none, or nothing that can be read.

    :param address: the canonical text: IPv4 also where it was mapped into IPv6, IPv6 in its short form.
    :param version: 4 or 6 of an address, else 0.
    :param name: of a host, where it is no address.
    :param port: that stood behind it.
    """

    address: str = ""
    version: int = 0
    name: str = ""
    port: int | None = None


@lru_cache(maxsize=65_536)
def read(text: str) -> Reading:
    """Return what a text says, whatever blanks, quotes, brackets, zone index and port there are around it."""
    if len(text) > LONGEST:
        return Reading()
    bare = text.strip(" \t\r\n\"'`")
    found = _BRACKETED.fullmatch(bare) or _WITH_PORT.fullmatch(bare)
    port = int(found[2]) if found is not None and int(found[2]) <= 65_535 else None
    bare = (bare if found is None or port is None else found[1]).strip(_AROUND)
    if bare.lower() in _NOTHING:
        return Reading()
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return Reading(name=bare, port=port) if _NAME.fullmatch(bare) else Reading()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    return Reading(str(address), address.version, port=port)
