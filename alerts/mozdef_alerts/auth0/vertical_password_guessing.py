"""The same wrong password tried on several Auth0 users (detections.md D03)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from mozdef_alerts.auth0.wrong_password import wrong_password
from mozdef_alerts.guessing import GuessingRule
from mozdef_core import Field, Group, Query, Severity, Term


class Auth0VerticalPasswordGuessing(GuessingRule["Auth0VerticalPasswordGuessing.Options"]):
    """Somebody tries passwords of several users at Auth0."""

    class Options(GuessingRule.Options):
        """Options in the table ``[alerts.auth0_vertical_password_guessing]``."""

        user_count: int = Field(2, ge=1, description="different users that make an alert")

    by = "details.eventname"
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "bruteforce"
    tags: ClassVar[Sequence[str]] = ("auth0",)
    attack: ClassVar[Sequence[str]] = ("T1110.003", "T1078.004")

    def condition(self) -> Query:
        """A wrong password for a user who is named, in Auth0's usual words."""
        return wrong_password() & Term("details.description", "Wrong email or password.")

    def distinct(self) -> Mapping[str, int]:
        """So many users."""
        return {"details.username": self.options.user_count}

    def summary(self, group: Group) -> str:
        """Of how many users, from how many addresses, some of the users."""
        users = ", ".join(group.values("details.username")[:5])
        return (
            f"passwords guessed at Auth0 (users: {group.distinct('details.username')}, "
            f"addresses: {group.distinct('details.sourceipaddress')}): {users}"
        )
