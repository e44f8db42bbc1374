"""Which alerts an enricher is for, and what all of them share."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from mozdef_core import Alert, Occasion, Site

Network: TypeAlias = IPv4Network | IPv6Network


def selected(alert: Alert, occasion: Occasion, names: Iterable[str]) -> bool:
    """Return whether an alert was raised just now and has one of the tags or rule names; ``*`` is any."""
    return occasion is Occasion.RAISED and any(
        name == "*" or name == alert.rule or name in alert.tags for name in names
    )


def address(value: object) -> str | None:
    """Return an address in its usual spelling, or None for what is none; 0.0.0.0 and :: stand for none."""
    found = _address(value)
    return None if found is None else str(found)


def _address(value: object) -> IPv4Address | IPv6Address | None:
    if not isinstance(value, str):
        return None
    try:
        found = ip_address(value.strip())
    except ValueError:
        return None
    return None if found.is_unspecified else found


def within(value: str, networks: Iterable[Network]) -> bool:
    """Return whether an address lies in one of the networks."""
    found = _address(value)
    return found is not None and any(found in network for network in networks)


def network(text: str) -> Network:
    """Return a network; host bits may be set.

    :raises ValueError: it is none.
    """
    return ip_network(text.strip(), strict=False)


def source_address(alert: Alert) -> str | None:
    """Return the source address of an alert: of its details, else of its first sample."""
    found = address(alert.details.get("sourceipaddress"))
    if found is None and alert.events:
        found = address(alert.events[0].get("details.sourceipaddress"))
    return found


class Searching:
    """What an enricher that looks into stored events keeps: the site, and until when it looks."""

    site = Site()

    def use_site(self, site: Site) -> None:
        """Take what can search."""
        self.site = site
