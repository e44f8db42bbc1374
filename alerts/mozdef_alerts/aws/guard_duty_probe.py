"""A port probe that GuardDuty saw (detections.md D14)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_core import AggregationOptions, AggregationRule, Event, Exists, Group, Query, Severity, Term


class GuardDutyProbe(AggregationRule[AggregationOptions]):
    """GuardDuty saw an address probe open ports."""

    by = "details.sourceipaddress"
    window = timedelta(minutes=20)
    severity: ClassVar[Severity] = Severity.INFO
    category: ClassVar[str] = "bruteforce"
    tags: ClassVar[Sequence[str]] = ("guardduty", "bruteforce")
    attack: ClassVar[Sequence[str]] = ("T1046", "T1595.001")
    needs: ClassVar[Sequence[str]] = ("guardduty",)

    def condition(self) -> Query:
        """A finding about a probe, as the mapper writes it or as it was sent, whose source is known."""
        mapped = Term("details.type", "port_probe", case_insensitive=True)
        sent = Term("details.finding.action.actiontype", "PORT_PROBE", case_insensitive=True)
        return Term("source", "guardduty") & (mapped | sent) & Exists("details.sourceipaddress")

    def summary(self, group: Group) -> str:
        """Who probed, how often, what."""
        targets = dict.fromkeys(text for event in group.events if (text := _target(event)))
        shown = ", ".join(list(targets)[:5]) or "unknown"
        return f"GuardDuty saw {group.key} probe {shown} (probes: {group.count})"


def _target(event: Event) -> str:
    """Return ``address:port`` of what was probed, as far as it is known."""
    address, port = event.text("details.destinationipaddress"), event.get("details.destinationport")
    if not address:
        return "" if port is None else f"unknown:{port}"
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{'unknown' if port is None else port}"
