"""Membership of groups in the directory was changed (detections.md D20)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_core import (
    AggregationOptions,
    AggregationRule,
    Event,
    Group,
    Match,
    Severity,
    Term,
    Wildcard,
    group_values,
)


class LdapGroup(AggregationRule[AggregationOptions]):
    """Somebody changed groups of the directory, other than by taking members out of them."""

    query = (
        Term("category", "ldapChange")
        & Term("details.changetype", "modify")
        & Match("summary", "groups")
        & ~Wildcard("details.actor", "*bind*")
        & ~Wildcard("details.changepairs", "delete:*member*")
    )
    by = "details.email"
    window = timedelta(minutes=15)
    samples = 50
    severity: ClassVar[Severity] = Severity.INFO
    category: ClassVar[str] = "ldap"
    tags: ClassVar[Sequence[str]] = ("ldap",)
    attack: ClassVar[Sequence[str]] = ("T1098",)
    needs: ClassVar[Sequence[str]] = ("ldap",)

    def expand(self, event: Event) -> Iterable[str]:
        """Return the mail address of whoever did it, else the actor's name, else ``unknown``."""
        for path in ("details.email", "details.actor"):
            found = group_values(event, path) - {""}
            if found:
                return sorted(found)
        return ("unknown",)

    def summary(self, group: Group) -> str:
        """Who changed groups, how often, which."""
        entries = ", ".join(group.values("details.dn")[:5]) or "unknown"
        return f"{group.key} changed groups (changes: {group.count}): {entries}"
