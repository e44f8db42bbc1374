"""SSH password or key guessing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_alerts.conditions import any_of, program
from mozdef_core import (
    AggregationRule,
    Field,
    Group,
    ListOption,
    Match,
    MatchPhrase,
    Query,
    Severity,
    Term,
)

WORDS = ("login", "invalid", "ldap_count_entries", "publickey", "keyboard", "password")
"""One of these stands beside "failed" in a line that tells of a login that failed."""


class BruteforceSsh(AggregationRule["BruteforceSsh.Options"]):
    """Somebody tries many passwords or keys from one address."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.bruteforce_ssh]``."""

        skiphosts: ListOption = Field(
            ListOption(),
            description="addresses, networks, names, and lists such as @scanners, that never alert",
        )

    by = "details.sourceipaddress"
    window = timedelta(minutes=2)
    threshold = 10
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "bruteforce"
    tags: ClassVar[Sequence[str]] = ("ssh",)
    attack: ClassVar[Sequence[str]] = ("T1110", "T1021.004")
    needs: ClassVar[Sequence[str]] = ("linux",)

    def condition(self) -> Query:
        """A failed login over ssh, unless it is about somebody to be skipped."""
        told = Match("summary", "failed") & any_of(Match("summary", word) for word in WORDS)
        query: Query = program("sshd") & (Term("details.authstatus", "Failed") | told)
        skipped = self.options.skiphosts
        if not skipped:
            return query
        named = (MatchPhrase("summary", host) for host in skipped.texts)
        return query & ~any_of([skipped.condition("details.sourceipaddress"), *named])

    def summary(self, group: Group) -> str:
        """How many, from where, against which hosts, as which users."""
        users = ", ".join(group.values("details.username")[:5])
        named = f" as {users}" if users else ""
        return f"{group.count} ssh bruteforce attempts by {group.key} {group.top('hostname')}{named}"
