"""The use of strace (detections.md D39)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_core import AggregationRule, Field, Group, ListOption, Query, Severity


class TraceAudit(AggregationRule["TraceAudit.Options"]):
    """Somebody looks into running programs with strace or the like, where passwords can be read."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.trace_audit]``."""

        hostfilter: ListOption = Field(ListOption(), description="hosts that never alert")
        processnames: ListOption = Field(
            ListOption(("strace",)), description="names of the processes that trace others"
        )

    by = "details.originaluser"
    window = timedelta(minutes=5)
    threshold = 1
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "trace"
    tags: ClassVar[Sequence[str]] = ("audit",)
    attack: ClassVar[Sequence[str]] = ("T1055.008", "T1003.007")
    needs: ClassVar[Sequence[str]] = ("auditd",)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without the name of a process."""
        return None if self.options.processnames else "processnames is empty"

    def condition(self) -> Query:
        """One of the processes, on a host that is not ignored."""
        query = self.options.processnames.condition("details.processname")
        return query & ~self.options.hostfilter.condition("hostname")

    def summary(self, group: Group) -> str:
        """How many, who, on which hosts: all of them."""
        hosts = group.listed("hostname", most=group.distinct("hostname"))
        processes = group.listed("details.processname")
        uses = "use" if group.count == 1 else "uses"
        return f"{group.count} {uses} of {processes} by {group.key} on {hosts}"
