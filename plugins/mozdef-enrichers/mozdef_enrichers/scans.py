"""What a scanner reached."""

from __future__ import annotations

from datetime import timedelta

from mozdef_core import Alert, AlertChange, Duration, Field, Occasion, Term, Terms, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_enrichers.selection import Searching, selected, source_address


class PortScanEnrichment(Searching):
    """Adds the last connections of a scanner, as the network sensor saw them."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.port_scan_enrichment]``."""

        match_tags: list[str] = Field(["portscan"], description="tags or names of rules; * for all")
        window: Duration = Field(timedelta(hours=24), description="how far back to look")
        max_connections: int = Field(32, ge=0, description="so many, the newest; 0 for all, at most 1,000")
        established_only: bool = Field(False, description="only connections that came about")

    stage = "enrich"

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.recentconnections``, newest first."""
        source = source_address(alert)
        if source is None or not selected(alert, occasion, self.options.match_tags):
            return None
        query = Terms("category", ["bro", "zeek"]) & Term("source", "conn")
        query = query & Term("details.sourceipaddress", source)
        if self.options.established_only:
            query = query & Terms("details.conn_state", ["S1", "SF", "S2", "S3", "RSTO", "RSTR"])
        events = self.site.search(
            query,
            within=self.options.window,
            until_us=max(alert.last.us, alert.created_us),
            size=self.options.max_connections or 1_000,
        )
        found = [
            {
                "destinationipaddress": event.get("details.destinationipaddress"),
                "destinationport": event.get("details.destinationport"),
                "timestamp": event.text("utctimestamp"),
            }
            for event in events
        ]
        return AlertChange({"recentconnections": found}) if found else None
