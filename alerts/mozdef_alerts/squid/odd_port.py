"""Tunnels to odd ports that the proxy did not open (detections.md D31)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from mozdef_alerts.conditions import one_of
from mozdef_alerts.items import split_items
from mozdef_alerts.squid.proxied import DENIED, MOST, ProxiedRule
from mozdef_core import Field, Group, Query, Term


class ProxyDropNonStandardPort(ProxiedRule["ProxyDropNonStandardPort.Options"]):
    """The proxy refused somebody a tunnel to a port that is not usual for HTTPS."""

    class Options(ProxiedRule.Options):
        """Options in the table ``[alerts.proxy_drop_non_standard_port]``."""

        excludedports: Annotated[list[int], BeforeValidator(split_items)] = Field(
            [443, 8443], description="ports that never alert"
        )

    attack: ClassVar[Sequence[str]] = ("T1571", "T1572")

    def condition(self) -> Query:
        """A refused CONNECT to another port."""
        wanted = DENIED & Term("details.method", "CONNECT")
        return wanted & ~one_of("details.destinationport", self.options.excludedports)

    def summary(self, group: Group) -> str:
        """Who, and whereto."""
        return f"{group.key} was refused tunnels to odd ports: {group.listed('details.destination', MOST)}"
