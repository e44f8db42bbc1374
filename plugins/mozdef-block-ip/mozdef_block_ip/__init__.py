"""Puts the addresses of attackers onto the IP block list (alert_action)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Literal

from mozdef_core import Alert, AlertChange, Block, Field, Occasion, hookimpl
from mozdef_core import Options as PluginOptions


class BlockIP:
    """Blocks the address that an alert is about, for a while; the core refuses what must not be blocked."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.block_ip]``."""

        rules: list[str] = Field(["bruteforce_ssh"], description="names of the rules whose alerts block")
        duration: Literal["1hr", "12hr", "1d", "2d", "3d", "1w", "30d"] = Field(
            "1d", description="how long an address is blocked"
        )
        max_per_hour: int = Field(
            50, ge=1, le=10_000, description="so many addresses may be blocked by actions within an hour"
        )
        dry_run: bool = Field(
            False, description="say in the alert's history what would be blocked, and do not"
        )

    occasions = (Occasion.RAISED,)
    acts_late = False  # an attacker of yesterday is gone, and somebody else may have the address

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def alert_action(self, alert: Alert) -> AlertChange:
        """Ask for the address to be blocked."""
        options = self.options
        if alert.rule not in options.rules:
            return AlertChange(note=f"{alert.rule} is not among its rules", skipped=True)
        address = next(_addresses(alert), None)
        if address is None:
            return AlertChange(note="the alert is about no address", skipped=True)
        block = Block(address, options.duration, max_per_hour=options.max_per_hour, dry_run=options.dry_run)
        return AlertChange(block=block)


def _addresses(alert: Alert) -> Iterator[str]:
    """Yield the addresses that an alert is about, best first; a network or a name is none."""
    candidates = [alert.details.get("sourceipaddress"), alert.group[1] if alert.group else None]
    for candidate in candidates:
        if isinstance(candidate, str):
            try:
                yield str(ip_address(candidate.strip()))
            except ValueError:
                continue
