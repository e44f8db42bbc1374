"""A user marked a Duo push as fraud (detections.md D09)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_core import Event, EventRule, Exists, RuleOptions, Severity, Term


class DuoAuthfail(EventRule[RuleOptions]):
    """A user refused a Duo push and reported it as fraud: somebody else has the password."""

    query = (
        Term("category", "authentication")
        & Exists("details.sourceipaddress")
        & Exists("details.username")
        & Term("details.result", "fraud", case_insensitive=True)
    )
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "duosecurity"
    tags: ClassVar[Sequence[str]] = ("duosecurity", "duosecurity_auth_fail")
    attack: ClassVar[Sequence[str]] = ("T1621", "T1078")

    def summary(self, event: Event) -> str:
        """Who, from where, and what they did."""
        return (
            f"{self.value(event, 'details.username')} rejected a Duo request from "
            f"{self.value(event, 'details.sourceipaddress')} and reported it as fraud"
        )
