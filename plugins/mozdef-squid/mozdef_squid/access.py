"""A line of the access log, in the format that Squid has by default or in the extended one of 15 fields."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from mozdef_squid.destination import read_destination

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"(\d{9,10})(?:\.(\d{1,6}))?", re.ASCII)
_ELAPSED: Final = re.compile(r"-?\d{1,12}", re.ASCII)
_PORT: Final = re.compile(r"-|\d{1,5}", re.ASCII)
_RESULT: Final = re.compile(r"[A-Z][A-Z0-9_]*(?:/\S*)?", re.ASCII)
_STATUS: Final = re.compile(r"-|\d{1,3}", re.ASCII)
_SIZE: Final = re.compile(r"-|\d{1,18}", re.ASCII)
_HIERARCHY: Final = re.compile(r"[A-Z_]+/\S*|-", re.ASCII)
_ANY: Final = re.compile(r".*", re.DOTALL)

_EXTENDED: Final = (
    *(_TIME, _ELAPSED, _ANY, _PORT, _ANY, _PORT, _RESULT, _STATUS, _SIZE, _SIZE),
    *(_ANY, _ANY, _ANY, _ANY, _ANY),
)
_NATIVE: Final = (_TIME, _ELAPSED, _ANY, _RESULT, _SIZE, _ANY, _ANY, _ANY, _HIERARCHY, _ANY)
_DENIED: Final = "TCP_DENIED"


class Request(NamedTuple):
    """What a line says.

    :param began: when the request came, which is before it was logged; None where that is no time.
    :param fields: by their names below ``details``.
    """

    began: str | None
    fields: dict[str, Any]


def read_access(line: str) -> Request | None:
    """Return what a line says, None for one of neither format."""
    words = line.split()
    if _fits(words, _EXTENDED):
        read = _extended
    elif _fits(words, _NATIVE):
        read = _native
    else:
        return None
    elapsed_ms = int(words[1])
    fields: dict[str, Any] = {"duration": elapsed_ms / 1000}
    _put_address(fields, "source", words[2])
    read(words, fields)
    return Request(_began(words[0], elapsed_ms), fields)


def _fits(words: list[str], shape: tuple[re.Pattern[str], ...]) -> bool:
    return len(words) == len(shape) and all(
        part.fullmatch(word) for word, part in zip(words, shape, strict=True)
    )


def _extended(words: list[str], fields: dict[str, Any]) -> None:
    fields["sourceport"] = _port(words[3])
    if _is_address(words[4]):
        fields["destinationipaddress"] = words[4]
    action = words[6].partition("/")[0]
    fields |= {"proxyaction": action, "status": words[7]}
    _put_size(fields, "requestsize", words[8])
    _put_size(fields, "responsesize", words[9])
    method, url, protocol, server = words[10:14]
    fields |= {"method": method, "destination": url, "mimetype": words[14]}
    fields["proto"] = "ssl" if protocol == "-" and method == "CONNECT" else protocol
    asked = read_destination(url)
    if action.startswith(_DENIED):  # nobody was asked, so the request itself has to say who was meant
        _put_asked(fields, asked)
        return
    host = asked[0] if server == "-" else server
    if host is not None:
        fields["host"] = host
    fields["destinationport"] = _port(words[5])


def _native(words: list[str], fields: dict[str, Any]) -> None:
    action, _, status = words[3].partition("/")
    fields |= {"proxyaction": action, "status": status}
    _put_size(fields, "responsesize", words[4])
    fields |= {"method": words[5], "destination": words[6], "mimetype": words[9]}
    if words[7] != "-":
        fields["username"] = words[7]
    server = words[8].partition("/")[2]
    if _is_address(server):
        fields["destinationipaddress"] = server
    _put_asked(fields, read_destination(words[6]))  # this format names the server by its address, at most
    if "host" not in fields and server not in ("", "-") and not action.startswith(_DENIED):
        fields["host"] = server


def _put_asked(fields: dict[str, Any], asked: tuple[str | None, int | None]) -> None:
    host, port = asked
    if host is not None:
        fields["host"] = host
    if port is not None:
        fields["destinationport"] = port


def _put_address(fields: dict[str, Any], end: str, word: str) -> None:
    """Put an address under its name; a client that is logged by name goes where names go."""
    if _is_address(word):
        fields[f"{end}ipaddress"] = word
    elif word != "-":
        fields[end] = word


def _put_size(fields: dict[str, Any], name: str, word: str) -> None:
    if word != "-":
        fields[name] = int(word)


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _port(word: str) -> int:
    return 0 if word == "-" else int(word)


def _began(logged: str, elapsed_ms: int) -> str | None:
    """Return when a request came in ISO 8601 and UTC: Squid logs the end of what it took so long to do."""
    seconds, _, fraction = logged.partition(".")
    us = int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")) - elapsed_ms * 1_000
    if not 1_000_000 <= us < 10**17:
        return None
    return (_EPOCH + timedelta(microseconds=us)).isoformat()
