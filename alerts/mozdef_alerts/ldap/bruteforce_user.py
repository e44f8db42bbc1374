"""Bad LDAP passwords for one user (detections.md D18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.guessing import GuessingRule
from mozdef_core import (
    Exists,
    Field,
    Group,
    ListOption,
    Query,
    Severity,
    Term,
)


class LdapBruteforceUser(GuessingRule["LdapBruteforceUser.Options"]):
    """Somebody tries passwords of one user at a directory server."""

    class Options(GuessingRule.Options):
        """Options in the table ``[alerts.ldap_bruteforce_user]``."""

        host_exclusions: ListOption = Field(
            ListOption(),
            description="directory servers, and lists such as @tests, whose refusals do not count",
        )

    by = "details.user"
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "bruteforce"
    tags: ClassVar[Sequence[str]] = ("ldap",)
    attack: ClassVar[Sequence[str]] = ("T1110.001",)

    def condition(self) -> Query:
        """Refused credentials of a user who is named, at a server that counts."""
        return (
            Term("category", "ldap")
            & Term("details.response.error", "LDAP_INVALID_CREDENTIALS")
            & Exists("details.user")
            & ~Term("details.user", "")
            & ~self.options.host_exclusions.condition("details.server")
        )

    def summary(self, group: Group) -> str:
        """Whose passwords, from which clients."""
        return f"wrong LDAP passwords for {group.key} from {group.listed('details.client')}"
