"""Addresses and networks as ranges of 128-bit numbers, IPv4 in its mapped form (RFC 4291 section 2.5.5.2)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple, TypeAlias

from mozdef_core.errors import QueryError

_V4_FIRST: Final = 0xFFFF << 32
_V4_LAST: Final = _V4_FIRST | 0xFFFFFFFF
_LAST: Final = 2**128 - 1
_LONGEST: Final = 64


class Span(NamedTuple):
    """A range of addresses, both ends included."""

    first: int
    last: int


Spans: TypeAlias = Sequence[Span]


@lru_cache(maxsize=4096)
def read_address(text: str) -> int | None:
    """Return an address as a 128-bit number, or None when the text is none; a zone (``%eth0``) is left out."""
    if len(text) > _LONGEST:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return int(address) if address.version == 6 else _V4_FIRST | int(address)


def write_address(number: int) -> str:
    """Return the usual text of a 128-bit number, IPv4 without its mapping."""
    if _V4_FIRST <= number <= _V4_LAST:
        return str(IPv4Address(number & 0xFFFFFFFF))
    return str(IPv6Address(number))


def is_network(text: str) -> bool:
    """Return whether a text is a network in CIDR notation, with its slash."""
    if "/" not in text or len(text) > _LONGEST:
        return False
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def family(number: int) -> Spans:
    """Return all addresses of the family that an address is of."""
    return _FAMILY_4 if _V4_FIRST <= number <= _V4_LAST else _FAMILY_6


def spans(networks: Iterable[str]) -> Spans:
    """Return the addresses inside any of the networks, as disjoint ranges in rising order.

    :raises QueryError: one is neither an address nor a network; it names which.
    """
    found: list[Span] = []
    for text in networks:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            raise QueryError(f"expected an address or a network such as 192.0.2.0/24, got {text!r}") from None
        if isinstance(network, IPv4Network):
            found.append(
                Span(_V4_FIRST | int(network.network_address), _V4_FIRST | int(network.broadcast_address))
            )
        else:
            found.extend(_without_v4(int(network.network_address), int(network.broadcast_address)))
    return merge(found)


def merge(found: Iterable[Span]) -> Spans:
    """Return ranges that cover the same, disjoint and in rising order."""
    merged: list[Span] = []
    for span in sorted(found):
        if merged and span.first <= merged[-1].last + 1:
            merged[-1] = Span(merged[-1].first, max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return tuple(merged)


def holds(found: Spans, number: int) -> bool:
    """Return whether an address lies in one of disjoint, rising ranges; takes the logarithm of their number."""
    index = bisect_right(found, (number, _LAST)) - 1
    return index >= 0 and found[index].last >= number


def _without_v4(first: int, last: int) -> list[Span]:
    """Return an IPv6 range without the mapped IPv4 addresses, unless it lies among them."""
    if first >= _V4_FIRST and last <= _V4_LAST:
        return [Span(first, last)]
    pieces = (Span(first, min(last, _V4_FIRST - 1)), Span(max(first, _V4_LAST + 1), last))
    return [piece for piece in pieces if piece.first <= piece.last]


_FAMILY_4: Final = (Span(_V4_FIRST, _V4_LAST),)
_FAMILY_6: Final = tuple(_without_v4(0, _LAST))
