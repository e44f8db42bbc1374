"""Tunnels to odd ports that the proxy did not open (detections.md D31)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from mozdef_alerts.squid.proxied import DENIED, MOST, ProxiedRule
from mozdef_core import Field, Group, ListOption, Query, Term


def _ports(option: ListOption) -> ListOption:
    for text in option.texts:
        if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
            raise ValueError(f"{text!r}: expected a port such as 443, or a list such as @ports")
    return option


class ProxyDropNonStandardPort(ProxiedRule["ProxyDropNonStandardPort.Options"]):
    """The proxy refused somebody a tunnel to a port that is not usual for HTTPS."""

    class Options(ProxiedRule.Options):
        """Options in the table ``[alerts.proxy_drop_non_standard_port]``."""

        excludedports: Annotated[ListOption, AfterValidator(_ports)] = Field(
            ListOption(("443", "8443")), description="ports that never alert"
        )

    attack: ClassVar[Sequence[str]] = ("T1571", "T1572")

    def condition(self) -> Query:
        """A refused CONNECT to another port."""
        wanted = DENIED & Term("details.method", "CONNECT")
        return wanted & ~self.options.excludedports.condition("details.destinationport")

    def summary(self, group: Group) -> str:
        """Who, and whereto."""
        return f"{group.key} was refused tunnels to odd ports: {group.listed('details.destination', MOST)}"
