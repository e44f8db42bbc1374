"""What the rules have in common that alert on one change of a directory entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.conditions import like_any
from mozdef_core import (
    Event,
    EventRule,
    Field,
    Items,
    Query,
    RuleOptions,
    Severity,
    Term,
)


class ChangeOptions(RuleOptions):
    """What these rules accept."""

    ignore_actors: Items = Field(["*bind*"], description="patterns of actors whose changes do not alert")


class ChangeRule(EventRule[ChangeOptions]):
    """One kind of change: ``changetype`` as the audit shipper calls it, ``told`` as the summary does."""

    Options = ChangeOptions
    changetype: ClassVar[str]
    told: ClassVar[str]
    severity: ClassVar[Severity] = Severity.INFO
    category: ClassVar[str] = "ldap"
    tags: ClassVar[Sequence[str]] = ("ldap",)

    def condition(self) -> Query:
        """Such a change, unless by an actor to be ignored."""
        ignored = like_any("details.actor", self.options.ignore_actors)
        return Term("category", "ldapChange") & Term("details.changetype", self.changetype) & ~ignored

    def summary(self, event: Event) -> str:
        """Who did what to which entry."""
        return f"{self.value(event, 'details.actor')} {self.told} {self.value(event, 'details.dn')}"
