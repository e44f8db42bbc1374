"""An account was locked in the directory (detections.md D21)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.conditions import like_any
from mozdef_core import Event, EventRule, Field, Prefix, Query, RuleOptions, Severity, Term


class LdapLockout(EventRule["LdapLockout.Options"]):
    """The directory locked an account, mostly after too many wrong passwords."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.ldap_lockout]``."""

        admin_actors: list[str] = Field(
            ["cn=admin,*"], description="patterns of the actors as whom the directory itself locks accounts"
        )

    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "ldap"
    tags: ClassVar[Sequence[str]] = ("ldap",)
    attack: ClassVar[Sequence[str]] = ("T1110", "T1531")

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without an actor."""
        return None if self.options.admin_actors else "admin_actors is empty"

    def condition(self) -> Query:
        """A change by the directory itself that sets when the account was locked."""
        return (
            Term("category", "ldapChange")
            & like_any("details.actor", self.options.admin_actors)
            & Prefix("details.changepairs", "replace:pwdAccountLockedTime")
        )

    def summary(self, event: Event) -> str:
        """Which account."""
        return f"{self.value(event, 'details.dn')} locked"
