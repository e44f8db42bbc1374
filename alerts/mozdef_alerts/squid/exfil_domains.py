"""Requests to sites where people drop things (detections.md D32)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.conditions import any_of
from mozdef_alerts.squid.proxied import MOST, ProxiedRule
from mozdef_core import Field, Group, ListOption, Query, Term, Wildcard

_HOST = "details.host"
_ACTION = "details.proxyaction"


class ProxyExfilDomains(ProxiedRule["ProxyExfilDomains.Options"]):
    """Somebody went to a site where data can be dropped, or wanted to."""

    class Options(ProxiedRule.Options):
        """Options in the table ``[alerts.proxy_exfil_domains]``."""

        exfil_domains: ListOption = Field(
            ListOption(("pastebin.com", "www.sendspace.com")), description="host names of such sites"
        )
        subdomains: bool = Field(False, description="whether hosts below these names count as well")

    attack: ClassVar[Sequence[str]] = ("T1567",)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without a domain."""
        return None if self.options.exfil_domains else "exfil_domains is empty"

    def condition(self) -> Query:
        """A request to one of the hosts, let through or not."""
        host = self.options.exfil_domains.condition(_HOST, case_insensitive=True)
        if self.options.subdomains:
            host = any_of([host, *(_below(name) for name in self.options.exfil_domains.texts)])
        return Term("category", "proxy") & host

    def summary(self, group: Group) -> str:
        """Who, which sites, and what the proxy did."""
        actions = group.values(_ACTION)
        refused = [action for action in actions if action.startswith("TCP_DENIED")]
        allowed = [action for action in actions if action not in refused]
        done = [
            f"{word} ({', '.join(found)})"
            for word, found in (("allowed", allowed), ("refused", refused))
            if found
        ]
        return f"{group.key} used drop sites: {group.listed(_HOST, MOST)}, {' and '.join(done) or 'unknown'}"


def _below(name: str) -> Query:
    """Return the condition that a host lies below a domain."""
    literal = "".join(
        f"\\{character}" if character in "*?\\" else character for character in name.lstrip(".")
    )
    return Wildcard(_HOST, f"*.{literal}", case_insensitive=True)
