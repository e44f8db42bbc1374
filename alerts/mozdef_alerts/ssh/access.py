"""A key login from a watched address (detections.md D34)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, field_validator

from mozdef_alerts.conditions import program
from mozdef_core import Event, EventRule, Field, MatchPhrase, Query, RuleOptions, Severity, Subnet, Term


class Watched(BaseModel):
    """One entry of the watch list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ipaddress: str = Field(description="address or network")
    hostname: str = Field("", description="name shown in the summary")

    @field_validator("ipaddress")
    @classmethod
    def _network(cls, value: str) -> str:
        return str(ipaddress.ip_network(value, strict=False))

    def covers(self, text: str) -> bool:
        """Return whether an address is this one or inside this network."""
        try:
            return ipaddress.ip_address(text) in ipaddress.ip_network(self.ipaddress)
        except ValueError:
            return False


class SshAccess(EventRule["SshAccess.Options"]):
    """A login by key came from an address that is watched, such as that of a host that should be gone."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.ssh_access]``."""

        watchlist: list[Watched] = Field(
            [], description="addresses or networks, each with a name if it has one"
        )

    severity: ClassVar[Severity] = Severity.CRITICAL
    category: ClassVar[str] = "access"
    tags: ClassVar[Sequence[str]] = ("ssh",)
    attack: ClassVar[Sequence[str]] = ("T1078", "T1021.004")
    needs: ClassVar[Sequence[str]] = ("linux",)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without a watch list."""
        return None if self.options.watchlist else "watchlist is empty"

    def condition(self) -> Query:
        """An accepted key in a syslog event of sshd, from one of the addresses."""
        return (
            Term("category", "syslog")
            & program("sshd")
            & MatchPhrase("summary", "Accepted publickey for")
            & Subnet("details.sourceipaddress", [entry.ipaddress for entry in self.options.watchlist])
        )

    def summary(self, event: Event) -> str:
        """Source with its listed name, host, user."""
        source = self.value(event, "details.sourceipaddress")
        name = next((entry.hostname for entry in self.options.watchlist if entry.covers(source)), "")
        shown = f"{source} ({name})" if name else source
        return f"ssh access from {shown} on {self.value(event, 'hostname')} as {self.value(event, 'details.username')}"
