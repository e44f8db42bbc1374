"""Who had an address at the time: by DHCP or over a VPN."""

from __future__ import annotations

from datetime import timedelta

from pydantic import field_validator

from mozdef_core import (
    Alert,
    AlertChange,
    Duration,
    Field,
    MatchPhrase,
    Occasion,
    QueryString,
    Term,
    hookimpl,
)
from mozdef_core import Options as PluginOptions
from mozdef_enrichers.selection import Searching, network, selected, source_address, within


class DhcpAssignment(Searching):
    """Adds the hardware address that DHCP gave a scanner's address to, and its user."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.dhcp_assignment]``."""

        match_tags: list[str] = Field(["portscan"], description="tags or names of rules; * for all")
        window: Duration = Field(timedelta(hours=48), description="how far back to look")
        owner_query: str = Field(
            'source:local1 AND "<mac>"', description="finds the event that names the owner of <mac>"
        )
        user_key: str = Field("user_name", description="which of its key=value pairs is the user")

    stage = "enrich"

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.ipassignment``, ``details.username`` when found, and both to the summary."""
        source = source_address(alert)
        if source is None or not selected(alert, occasion, self.options.match_tags):
            return None
        until_us = max(alert.last.us, alert.created_us)
        given = self.site.search(
            Term("source", "dhcp") & Term("details.assigned_addr", source),
            within=self.options.window,
            until_us=until_us,
            size=1,
        )
        mac = given[0].text("details.mac") if given else ""
        if not mac:
            return None
        quoted = mac.replace("\\", "").replace('"', "")
        query = QueryString(self.options.owner_query.replace("<mac>", quoted))
        owners = self.site.search(query, within=self.options.window, until_us=until_us, size=1)
        user = _pairs(owners[0].text("summary")).get(self.options.user_key, "") if owners else ""
        details: dict[str, object] = {"ipassignment": {"mac": mac, "user": user or None}}
        if user:
            details["username"] = user
        return AlertChange(details, f"{source} is assigned to {mac}, {user or '(no user found)'}")


def _pairs(text: str) -> dict[str, str]:
    """Return the pairs of ``key=value, key=value``."""
    pairs = (part.partition("=") for part in text.split(","))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


class VpnAssignment(Searching):
    """Adds who was connected over the VPN with the alert's source address."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.vpn_assignment]``."""

        vpn_ip_cidrs: list[str] = Field([], description="networks of the VPN; empty: does nothing")
        window: Duration = Field(timedelta(hours=6), description="how far back to look")

        @field_validator("vpn_ip_cidrs")
        @classmethod
        def _are_networks(cls, value: list[str]) -> list[str]:
            for text in value:
                try:
                    network(text)
                except ValueError:
                    raise ValueError(f"expected networks such as 10.8.0.0/16, got {text!r}") from None
            return value

    stage = "enrich"

    def __init__(self, options: Options) -> None:
        self.options = options
        self._networks = [network(text) for text in options.vpn_ip_cidrs]

    @property
    def inactive(self) -> str | None:
        """Why it does nothing as it is configured."""
        return None if self._networks else "vpn_ip_cidrs is empty"

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.vpnassignment`` with user name and original address."""
        source = source_address(alert)
        if occasion is not Occasion.RAISED or source is None or not within(source, self._networks):
            return None
        query = Term("tags", "vpn") & Term("tags", "netfilter") & Term("details.success", True)
        query = (
            query & Term("details.vpnip", source) & MatchPhrase("summary", "netfilter add upon connection")
        )
        found = self.site.search(
            query, within=self.options.window, until_us=max(alert.last.us, alert.created_us), size=1
        )
        if not found:
            return None
        assigned = {
            "username": found[0].get("details.username"),
            "originalip": found[0].get("details.sourceipaddress"),
        }
        return AlertChange({"vpnassignment": assigned})
