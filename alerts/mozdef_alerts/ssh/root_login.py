"""Root logged in over ssh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_core import Event, EventRule, Field, Query, RuleOptions, Severity, Subnet, Term, Terms


class SshRootLogin(EventRule["SshRootLogin.Options"]):
    """Root logged in over ssh, by password, key or any other method.

    Direct root logins hide who acted, and are what a guessed or stolen root credential looks like.
    """

    class Options(RuleOptions):
        """Options in the table ``[alerts.ssh_root_login]``."""

        users: list[str] = Field(["root"], min_length=1, description="accounts whose logins alert")
        ignore_sources: list[str] = Field([], description="addresses or networks that never alert")

    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "access"
    tags: ClassVar[Sequence[str]] = ("ssh", "root")
    attack: ClassVar[Sequence[str]] = ("T1078.003", "T1021.004")

    def condition(self) -> Query:
        """An accepted login of one of the users, unless from an ignored source."""
        query: Query = (
            Term("details.program", "sshd", case_insensitive=True)
            & Term("details.authstatus", "Accepted")
            & Terms("details.username", self.options.users)
        )
        if self.options.ignore_sources:
            query &= ~Subnet("details.sourceipaddress", self.options.ignore_sources)
        return query

    def summary(self, event: Event) -> str:
        """Who, where, from where, how."""
        return (
            f"{self.value(event, 'details.username')} logged in to {self.value(event, 'hostname')} over ssh from "
            f"{self.value(event, 'details.sourceipaddress')} by {self.value(event, 'details.authmethod')}"
        )
