"""Bad LDAP passwords for one user (detections.md D18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.guessing import GuessingRule
from mozdef_alerts.items import Items
from mozdef_core import Exists, Field, Group, Query, Severity, Term, Terms


class LdapBruteforceUser(GuessingRule["LdapBruteforceUser.Options"]):
    """Somebody tries passwords of one user at a directory server."""

    class Options(GuessingRule.Options):
        """Options in the table ``[alerts.ldap_bruteforce_user]``."""

        host_exclusions: Items = Field([], description="directory servers whose refusals do not count")

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
            & ~Terms("details.server", self.options.host_exclusions)
        )

    def summary(self, group: Group) -> str:
        """Whose passwords, from which clients."""
        return f"wrong LDAP passwords for {group.key} from {group.listed('details.client')}"
