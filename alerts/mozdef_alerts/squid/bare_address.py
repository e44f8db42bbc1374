"""Requests for bare addresses that the proxy did not let through (detections.md D30)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.addresses import Addresses, covers, within
from mozdef_alerts.squid.proxied import DENIED, MOST, ProxiedRule
from mozdef_core import Event, Field, Group, Query, Wildcard

_HOST = "details.host"
_ANY = ("0.0.0.0/0", "::/0")


class ProxyDropIp(ProxiedRule["ProxyDropIp.Options"]):
    """The proxy refused somebody a destination that is an address without a name, as malware likes to use."""

    class Options(ProxiedRule.Options):
        """Options in the table ``[alerts.proxy_drop_ip]``."""

        ip_whitelist: Addresses = Field(
            ["169.254.169.254"], description="addresses, networks and ranges a-b that never alert"
        )

    attack: ClassVar[Sequence[str]] = ("T1071.001", "T1105")

    def condition(self) -> Query:
        """A refused request whose host is an address that is not excepted, or stands in brackets."""
        address = within(_HOST, _ANY) & ~within(_HOST, self.options.ip_whitelist)
        return DENIED & (address | Wildcard(_HOST, "[*]"))

    def matches(self, event: Event) -> bool:
        """Look at what is in brackets, for which there is no query."""
        return any(map(self._meant, map(str, event.values(_HOST))))

    def _meant(self, host: str) -> bool:
        address = host.removeprefix("[").removesuffix("]") if host.endswith("]") else host
        return covers(_ANY, address) and not covers(self.options.ip_whitelist, address)

    def summary(self, group: Group) -> str:
        """Who, and which addresses they wanted."""
        return f"{group.key} was refused bare addresses: {group.listed(_HOST, MOST)}"
