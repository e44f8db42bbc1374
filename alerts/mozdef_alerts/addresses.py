"""Addresses as options name them: single ones, networks, ranges from one to another, and lists that people keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network, summarize_address_range
from typing import Annotated

from pydantic import AfterValidator

from mozdef_alerts.conditions import any_of
from mozdef_core import In, Items, Query, Subnet


def within(field: str, addresses: Iterable[str]) -> Query:
    """Return the condition that an address under a field is one of these; without any it never holds."""
    given = list(addresses)
    lists = [In(field, text[1:]) for text in given if text.startswith("@")]
    networks = [str(network) for network in _all(given)]
    return any_of([*([Subnet(field, networks)] if networks else []), *lists])


def covers(addresses: Iterable[str], text: str) -> bool:
    """Return whether a text is an address that is one of these; what only a list holds is not known here."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = None if isinstance(address, IPv4Address) else address.ipv4_mapped
    return any((mapped or address) in network for network in _all(addresses))


def _all(addresses: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    return [network for text in addresses if not text.startswith("@") for network in _read(text)]


def _read(text: str) -> Sequence[IPv4Network | IPv6Network]:
    """Return the networks that together are an address, a network or a range."""
    first, dash, last = text.partition("-")
    if not dash:
        return [ip_network(text.strip(), strict=False)]
    low, high = ip_address(first.strip()), ip_address(last.strip())
    return list(summarize_address_range(low, high))


def _check(values: list[str]) -> list[str]:
    for text in values:
        try:
            if not text.startswith("@"):
                _read(text)
        except (ValueError, TypeError):
            raise ValueError(
                f"{text!r}: expected an address, a network such as 192.0.2.0/24, a range such as "
                "192.0.2.10-192.0.2.20, or a list such as @scanners"
            ) from None
    return values


Addresses = Annotated[Items, AfterValidator(_check)]
"""An option that takes addresses, networks, ranges ``a-b`` and lists ``@name``."""
