"""A TLS certificate that is on a block list (detections.md D38)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.zeek.notice import in_log
from mozdef_core import Event, EventRule, Exists, Field, ListOption, Query, RuleOptions, Severity, Term


class SslBlacklistHit(EventRule["SslBlacklistHit.Options"]):
    """A sensor saw a TLS certificate that stands on a block list, such as those of botnets."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.ssl_blacklist_hit]``."""

        feeds: ListOption = Field(
            ListOption(("abuse.ch SSLBL",)), description="names of the sources of indicators"
        )

    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "correlatedalerts"
    tags: ClassVar[Sequence[str]] = ("nsm", "bro", "correlated")
    attack: ClassVar[Sequence[str]] = ("T1071.001", "T1573")
    needs: ClassVar[Sequence[str]] = ("bro",)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without a feed."""
        return None if self.options.feeds else "feeds is empty"

    def condition(self) -> Query:
        """A hit of one of the feeds, by a client whose address is known."""
        return (
            in_log("intel")
            & Term("eventsource", "nsm")
            & self.options.feeds.condition("details.sources")
            & Exists("details.sourceipaddress")
        )

    def summary(self, event: Event) -> str:
        """The sensor, what it tells, and the indicator."""
        told = f"{self.value(event, 'hostname')}: {self.value(event, 'summary')}"
        return f"{told}, indicator {self.value(event, 'details.seenindicator')}"
