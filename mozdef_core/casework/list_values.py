"""The values of lists: what is allowed in a list of each kind, and how it is written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from mozdef_core.errors import QueryError
from mozdef_core.query.addresses import read_address
from mozdef_core.query.members import read_network

LONGEST: Final = 1_024
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]+", re.ASCII)
_HASHES: Final = {32: "MD5", 40: "SHA-1", 56: "SHA-224", 64: "SHA-256", 96: "SHA-384", 128: "SHA-512"}


def canonical(kind: str, text: str) -> str:
    """Return a value as it is kept in a list.

    :param kind: key of :data:`mozdef_core.query.members.KINDS`.
    :raises ValueError: it does not belong into such a list; the sentence says what would be right.
    """
    value = text.strip()
    if not value:
        raise ValueError("expected a value, got nothing")
    if len(value) > LONGEST:
        raise ValueError(f"expected at most {LONGEST} characters, got {len(value)}")
    if not value.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"expected no control characters, got {value!r}")
    return _CANONICAL[kind](value)


def _address(value: str) -> str:
    try:
        network = read_network(value)
    except QueryError as error:
        raise ValueError(str(error)) from None
    if not network.length:
        raise ValueError(f"expected an address or a network, got {value!r}, which holds every address")
    return str(network)


def _host(value: str) -> str:
    name = value.rstrip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            raise ValueError(f"expected a host name, got {value!r}") from None
    if read_address(name) is not None:
        raise ValueError(f"expected a host name, got the address {value!r}; that needs a list of addresses")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"expected a host name such as db1.lab.example, got {value!r}")
    return name


def _hash(value: str) -> str:
    digest = value.lower()
    if len(digest) not in _HASHES or _HEX.fullmatch(digest) is None:
        lengths = ", ".join(f"{length} ({name})" for length, name in _HASHES.items())
        raise ValueError(f"expected a hash of {lengths} hexadecimal digits, got {value!r}")
    return digest


def _as_it_is(value: str) -> str:
    return value


_CANONICAL: Final[Mapping[str, Callable[[str], str]]] = {
    "addresses": _address,
    "hosts": _host,
    "users": _as_it_is,
    "hashes": _hash,
    "texts": _as_it_is,
}
