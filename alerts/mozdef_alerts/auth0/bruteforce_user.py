"""Wrong passwords for one Auth0 user (detections.md D02)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.auth0.wrong_password import wrong_password
from mozdef_alerts.guessing import GuessingOptions, GuessingRule
from mozdef_core import Group, Query, Severity


class Auth0BruteforceUser(GuessingRule[GuessingOptions]):
    """Somebody tries passwords of one user at Auth0."""

    by = "details.username"
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "bruteforce"
    tags: ClassVar[Sequence[str]] = ("auth0",)
    attack: ClassVar[Sequence[str]] = ("T1110.001", "T1078.004")

    def condition(self) -> Query:
        """A wrong password for a user who is named."""
        return wrong_password()

    def summary(self, group: Group) -> str:
        """Whose passwords, from where."""
        return (
            f"wrong passwords for the Auth0 user {group.key} from {group.listed('details.sourceipaddress')}"
        )
