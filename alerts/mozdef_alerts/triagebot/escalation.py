"""A user denied having caused an alert (detections.md D40)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mozdef_core import Event, EventRule, Exists, RuleOptions, Severity, Term


class TriagebotEscalation(EventRule[RuleOptions]):
    """Somebody who was asked about an alert says that it was not they who caused it."""

    query = (
        Term("category", "triagebot")
        & Term("details.userresponse", "no")
        & Exists("details.email")
        & Exists("details.identifier")
    )
    severity: ClassVar[Severity] = Severity.INFO
    category: ClassVar[str] = "access"
    tags: ClassVar[Sequence[str]] = ("triagebot_escalation",)
    attack: ClassVar[Sequence[str]] = ("T1078",)

    def summary(self, event: Event) -> str:
        """Which alert, who denies it."""
        return (
            f"alert {self.value(event, 'details.identifier')}: "
            f"{self.value(event, 'details.email')} denies having caused it"
        )

    def details(self, event: Event) -> Mapping[str, Any]:
        """As always, and the alert that it is about, so that the one leads to the other."""
        pairs = ((name, event.get(f"details.{name}")) for name in ("identifier", "email"))
        return {**super().details(event), **dict(pairs)}
