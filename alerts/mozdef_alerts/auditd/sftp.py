"""An ssh process that a session of sftp started (detections.md D01)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_core import Event, EventRule, RuleOptions, Severity, Term, Wildcard


class AuditdSftp(EventRule[RuleOptions]):
    """Somebody moves files to or from another host with sftp."""

    query = (
        Term("category", "execve", case_insensitive=True)
        & Term("processname", "audisp-json")
        & Term("details.processname", "ssh")
        & (Term("details.parentprocess", "sftp") | Wildcard("details.parentprocess", "*/sftp"))
    )
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "execve"
    tags: ClassVar[Sequence[str]] = ["audisp-json", "audit"]
    attack: ClassVar[Sequence[str]] = ("T1021.004", "T1048", "T1105")
    needs: ClassVar[Sequence[str]] = ("auditd",)

    def summary(self, event: Event) -> str:
        """Who, on which host, in which directory."""
        user, host = self.value(event, "details.originaluser"), self.value(event, "hostname")
        return f"SFTP use by {user} on {host} in {self.value(event, 'details.cwd')}"
