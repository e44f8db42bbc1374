"""Repeated failures of the second factor on the VPN (detections.md D41)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_alerts.conditions import any_of, like_any
from mozdef_core import (
    AggregationRule,
    Field,
    Group,
    Items,
    Query,
    Severity,
    Term,
    Terms,
)


class VpnDuoAuthFailures(AggregationRule["VpnDuoAuthFailures.Options"]):
    """A user's second factor fails on the VPN again and again."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.vpn_duo_auth_failures]``."""

        integrations: Items = Field(
            ["*openvpn*"],
            description="patterns of the names of Duo's integrations or applications that are a VPN, in any case",
        )

    by = "details.username"
    window = timedelta(minutes=2)
    threshold = 5
    samples = 5
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "openvpn"
    tags: ClassVar[Sequence[str]] = ("vpn", "auth", "duo")
    attack: ClassVar[Sequence[str]] = ("T1621", "T1110", "T1133")

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without an integration."""
        return None if self.options.integrations else "integrations is empty"

    def condition(self) -> Query:
        """A login by Duo on one of the integrations that did not succeed."""
        failed = Term("details.success", False) | Terms(
            "details.result", ("failure", "denied", "fraud"), case_insensitive=True
        )
        vpn = any_of(
            like_any(field, self.options.integrations, case_insensitive=True)
            for field in ("details.integration", "details.application.name")
        )
        return Term("category", "authentication") & Term("tags", "duosecurity") & vpn & failed

    def summary(self, group: Group) -> str:
        """How often, who, from where."""
        return f"{group.count} Duo failures on the VPN for {group.key} from {group.top('details.sourceipaddress')}"
