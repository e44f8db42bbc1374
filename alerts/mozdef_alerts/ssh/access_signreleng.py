"""A login on protected build hosts (detections.md D35)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mozdef_alerts.conditions import program
from mozdef_core import Event, EventRule, Field, MatchPhrase, Query, Regexp, RuleOptions, Severity, Term


class SshAccessSignreleng(EventRule["SshAccessSignreleng.Options"]):
    """Somebody logged in to a host that signs or builds releases."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.ssh_access_signreleng]``."""

        required_tag: str = Field("releng", description="tag that the events must carry")
        hostfilter: str = Field("", description="regular expression that the whole host name must match")
        exclusions: list[dict[str, str]] = Field(
            [], description="each a table field = text; an event whose fields hold all its texts never alerts"
        )

    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "access"
    tags: ClassVar[Sequence[str]] = ("ssh",)
    attack: ClassVar[Sequence[str]] = ("T1078", "T1021.004")
    needs: ClassVar[Sequence[str]] = ("linux",)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without a host filter."""
        return None if self.options.hostfilter else "hostfilter is not set"

    def condition(self) -> Query:
        """An accepted login by key or by keyboard-interactive on one of the hosts, unless excluded."""
        accepted = MatchPhrase("summary", "Accepted publickey for") | MatchPhrase(
            "summary", "Accepted keyboard-interactive/pam for"
        )
        query = (
            Term("tags", self.options.required_tag)
            & program("sshd")
            & Regexp("hostname", self.options.hostfilter)
            & accepted
        )
        for exclusion in self.options.exclusions:
            phrases = [MatchPhrase(field, text) for field, text in exclusion.items()]
            if phrases:
                every: Query = phrases[0]
                for phrase in phrases[1:]:
                    every &= phrase
                query &= ~every
        return query

    def summary(self, event: Event) -> str:
        """Source, host, user."""
        return (
            f"ssh access from {self.value(event, 'details.sourceipaddress')} on {self.value(event, 'hostname')} "
            f"as {self.value(event, 'details.username')}"
        )

    def details(self, event: Event) -> Mapping[str, Any]:
        """As always, and the host, which later stages ask its user about."""
        return {**super().details(event), "hostname": self.value(event, "hostname")}
