"""Duo could not be reached and a login was let through (detections.md D10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_core import AggregationOptions, AggregationRule, Group, MatchPhrase, Severity


class DuoFailOpen(AggregationRule[AggregationOptions]):
    """A host lets users in without their second factor, since it cannot reach Duo."""

    query = MatchPhrase("summary", "Failsafe Duo login")
    by = "hostname"
    window = timedelta(minutes=15)
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "bypass"
    tags: ClassVar[Sequence[str]] = ("openvpn", "duosecurity")
    attack: ClassVar[Sequence[str]] = ("T1556.006", "T1133")

    def summary(self, group: Group) -> str:
        """Where, how often."""
        return f"{group.key} let users in without Duo, since it was out of reach (events: {group.count})"
