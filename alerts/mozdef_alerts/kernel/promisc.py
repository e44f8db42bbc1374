"""An interface that goes promiscuous, as the kernel says it (detections.md D28)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_alerts.conditions import like_any
from mozdef_core import AggregationRule, Field, Group, Items, Match, Query, Severity, Term


class PromiscKernel(AggregationRule["PromiscKernel.Options"]):
    """A network interface began to take in the traffic of others, as sniffers make it do (kernel)."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.promisc_kernel]``."""

        ignore_devices: Items = Field(
            ["veth*"],
            description="interfaces that never alert, with * and ?, such as the ends of containers' cables",
        )

    by = "hostname"
    window = timedelta(minutes=2)
    threshold = 1
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "promisc"
    tags: ClassVar[Sequence[str]] = ("promisc", "kernel")
    attack: ClassVar[Sequence[str]] = ("T1040",)

    def condition(self) -> Query:
        """The kernel tells that the mode was entered, and names no interface that is ignored."""
        return (
            Term("category", "syslog")
            & Match("summary", "promiscuous")
            & Match("summary", "entered")
            & ~like_any("summary", self.options.ignore_devices)
        )

    def summary(self, group: Group) -> str:
        """The host, and how often."""
        events = "event" if group.count == 1 else "events"
        return f"promiscuous mode entered on {group.key}, {group.count} {events}"
