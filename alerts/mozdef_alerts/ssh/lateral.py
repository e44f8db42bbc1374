"""A key login between internal hosts outside policy (detections.md D37)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import field_validator

from mozdef_alerts.addresses import Addresses, within
from mozdef_alerts.conditions import any_of, program
from mozdef_alerts.names import Names, reverse
from mozdef_core import (
    AggregationRule,
    Exists,
    Field,
    Group,
    Items,
    MatchPhrase,
    Query,
    Regexp,
    Severity,
    Term,
)


def private_only(address: str) -> str | None:
    """Return the name of a private address; others are not asked about, which would tell the world of them.

    :raises OSError: the system's resolver does not know, or cannot be reached.
    """
    return reverse(address) if ipaddress.ip_address(address).is_private else None


class SshLateral(AggregationRule["SshLateral.Options"]):
    """Somebody went by key from one internal host to another that may not be reached from there."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.ssh_lateral]``; expressions are fitted from the start of a name."""

        hostmustmatch: Items = Field(
            [], description="expressions, one of which the host fits; the rule is inactive without any"
        )
        hostmustnotmatch: Items = Field([], description="expressions, none of which the host fits")
        alertifsource: Addresses = Field(
            [], description="addresses or networks from which logins alert; the rule is inactive without any"
        )
        notalertifsource: Addresses = Field([], description="addresses or networks from which they do not")
        ignoreusers: Items = Field([], description="expressions of users whose logins do not alert")
        exceptions: list[tuple[str, str, str]] = Field(
            [],
            description="each an expression of users, one of hosts, and a network: logins that fit all do not alert",
        )
        resolve_names: bool = Field(True, description="show the names of private source addresses")

        @field_validator("hostmustmatch", "hostmustnotmatch", "ignoreusers")
        @classmethod
        def _expressions(cls, value: list[str]) -> list[str]:
            return [_checked(text) for text in value]

        @field_validator("exceptions")
        @classmethod
        def _exceptions(cls, value: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
            return [(_checked(user), _checked(host), _network(network)) for user, host, network in value]

    by = "hostname"
    window = timedelta(minutes=15)
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "session"
    tags: ClassVar[Sequence[str]] = ("sshd", "syslog")
    attack: ClassVar[Sequence[str]] = ("T1021.004", "T1078")
    needs: ClassVar[Sequence[str]] = ("linux",)

    def __init__(self, options: SshLateral.Options) -> None:
        super().__init__(options)
        self.names = Names(private_only if options.resolve_names else None)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without hosts and sources."""
        missing = [name for name in ("hostmustmatch", "alertifsource") if not getattr(self.options, name)]
        return f"{missing[0]} is empty" if missing else None

    def condition(self) -> Query:
        """A key login of a user and from an address that are known, which the policy does not let through."""
        options, source, user = self.options, "details.sourceipaddress", "details.username"
        allowed = [
            _fits(user, name) & _fits("hostname", host) & within(source, [network])
            for name, host, network in options.exceptions
        ]
        spared = any_of(
            (
                *(_fits("hostname", text) for text in options.hostmustnotmatch),
                within(source, options.notalertifsource),
                *(_fits(user, text) for text in options.ignoreusers),
                *allowed,
            )
        )
        return (
            Term("category", "syslog")
            & program("sshd")
            & MatchPhrase("summary", "Accepted publickey")
            & any_of(_fits("hostname", text) for text in options.hostmustmatch)
            & within(source, options.alertifsource)
            & Exists(user)
            & ~spared
        )

    def summary(self, group: Group) -> str:
        """Which host, from where, who."""
        sources = self.names.shown(sorted(group.counts("details.sourceipaddress"))) or "unknown"
        return (
            f"key logins to {group.key} outside policy from {sources} as {group.listed('details.username')}"
        )

    def close(self) -> None:
        """Look nothing up any more."""
        self.names.close()


def _fits(field: str, expression: str) -> Query:
    """Return the condition that a value begins with what an expression describes."""
    return Regexp(field, f"(?:{expression}).*")


def _checked(expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"{expression!r}: expected a regular expression: {error}") from None
    return expression


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{text!r}: expected an address or a network such as 192.0.2.0/24") from None
