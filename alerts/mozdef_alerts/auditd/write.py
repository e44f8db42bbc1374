"""Writing to paths that are audited (detections.md D42)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Final

from mozdef_core import AggregationRule, Event, Field, Group, Items, ListOption, Query, Severity, Term

_MOST_PATHS: Final = 10


class WriteAudit(AggregationRule["WriteAudit.Options"]):
    """Somebody wrote to files that the audit daemon watches."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.write_audit]``."""

        skipprocess: ListOption = Field(ListOption(), description="names of processes that may write")
        expectedusers: Items = Field([], description="users who may; their alerts are only a NOTICE")

    by = "details.originaluser"
    window = timedelta(minutes=15)
    threshold = 2
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "write"
    tags: ClassVar[Sequence[str]] = ("audit",)
    attack: ClassVar[Sequence[str]] = ("T1565.001",)
    needs: ClassVar[Sequence[str]] = ("auditd",)

    def condition(self) -> Query:
        """A write that was audited, by a process that is not to be skipped."""
        return (
            Term("category", "write", case_insensitive=True)
            & Term("details.auditkey", "audit")
            & ~self.options.skipprocess.condition("details.processname")
        )

    def severity_of(self, group: Group) -> Severity:
        """A WARNING, but a NOTICE where the user is expected to write."""
        return Severity.NOTICE if group.key in self.options.expectedusers else self.severity

    def summary(self, group: Group) -> str:
        """How many, which paths, as which users, by whom, and on which hosts if there are several."""
        found = sorted({path for event in group.events for path in _paths(event)})
        shown = [*found[:_MOST_PATHS], "\u2026"] if len(found) > _MOST_PATHS else found
        paths, users = ", ".join(shown) or "unknown", group.listed("details.user")
        hosts = f" on {group.top('hostname')}" if group.distinct("hostname") > 1 else ""
        return f"{group.count} audited writes to {paths} as {users} by {group.key}{hosts}"


def _paths(event: Event) -> Sequence[str]:
    """Return what was written to: the second word of the summary where no field says it."""
    if event.exists("details.path"):
        return [str(value) for value in event.values("details.path")]
    return event.text("summary").split()[1:2]
