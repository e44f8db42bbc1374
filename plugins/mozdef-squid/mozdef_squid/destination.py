"""The destination: whom a request's URL asks for. Squid logs what clients send, so it may be anything."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

_PORTS: Final = {"http": 80, "https": 443}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_END: Final = re.compile(r"[/?#\\]")
_NAME: Final = re.compile(r"[^\s:@\[\]<>\"'|^`{}]+")


def read_destination(url: str) -> tuple[str | None, int | None]:
    """Return host and port of a URL, or of the ``host:port`` of a CONNECT; None for what cannot be told.

    An address in brackets is returned without them. The port is the one that stands there, else the scheme's.
    """
    match = _SCHEME.match(url)
    rest = url[match.end() :] if match is not None else url
    authority = _END.split(rest, maxsplit=1)[0].rpartition("@")[2]
    host, port = _split(authority)
    if match is not None:
        port = _PORTS.get(match[1].lower()) if port is None and not _names_port(authority) else port
        return host, port
    if port is None and (host is None or "." not in host):
        return None, None  # "error:invalid-request", "urn:isbn:...", "*"
    return host, port


def _split(authority: str) -> tuple[str | None, int | None]:
    if authority.startswith("["):
        inside, closed, after = authority[1:].partition("]")
        host = inside if closed and _is_v6(inside) else None
        return host, _port(after[1:]) if after.startswith(":") else None
    if _is_v6(authority) and _port(authority.rpartition(":")[2]) is None:
        return authority, None
    front, colon, back = authority.rpartition(":")
    name, port = (front, _port(back)) if colon else (authority, None)
    return (name if _NAME.fullmatch(name) or _is_v6(name) else None), port


def _names_port(authority: str) -> bool:
    """Return whether something that is no port stands where one belongs, so that the scheme's would be a guess."""
    after = authority.rpartition("]")[2]
    return after.partition(":")[2] != "" and not _is_v6(authority)


def _port(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        return None
    return int(text) if int(text) <= 65_535 else None


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
