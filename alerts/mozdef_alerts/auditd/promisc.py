"""An interface that goes promiscuous, as auditd records it (detections.md D27)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.conditions import like_any
from mozdef_core import Event, EventRule, Field, Items, Match, Query, RuleOptions, Severity, Term


class PromiscAudit(EventRule["PromiscAudit.Options"]):
    """A network interface began to take in the traffic of others, as sniffers make it do (audit daemon)."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.promisc_audit]``."""

        ignore_devices: Items = Field(
            ["veth*"],
            description="interfaces that never alert, with * and ?, such as the ends of containers' cables",
        )

    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "promisc"
    tags: ClassVar[Sequence[str]] = ("promisc", "audit")
    attack: ClassVar[Sequence[str]] = ("T1040",)
    needs: ClassVar[Sequence[str]] = ("auditd",)

    def condition(self) -> Query:
        """The mode was switched on, on an interface that is not ignored."""
        return (
            Term("category", "promiscuous", case_insensitive=True)
            & Match("summary", "promiscuous")
            & Match("summary", "on")
            & ~like_any("details.dev", self.options.ignore_devices)
        )

    def summary(self, event: Event) -> str:
        """The host and the interface."""
        return (
            f"promiscuous mode on {self.value(event, 'hostname')}, device {self.value(event, 'details.dev')}"
        )
