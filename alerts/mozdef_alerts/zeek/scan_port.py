"""A scan of many ports from inside (detections.md D24)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_alerts.conditions import like_any
from mozdef_alerts.zeek.scan import ScanOptions, ScanRule
from mozdef_core import Field, Items, Query


class NsmScanPort(ScanRule["NsmScanPort.Options"]):
    """A sensor saw a host inside try many ports of another."""

    class Options(ScanOptions):
        """Options in the table ``[alerts.nsm_scan_port]``."""

        message_not_like: Items = Field(
            [], description="what the notice's text is like where it never alerts, with * and ?"
        )

    note = "Scan::Port_Scan"
    what = "port scan"
    window = timedelta(minutes=2)
    tags: ClassVar[Sequence[str]] = ("nsm", "bro", "portscan")
    attack: ClassVar[Sequence[str]] = ("T1046",)

    def condition(self) -> Query:
        """The notice, unless its text is like one to be left out."""
        return super().condition() & ~like_any("details.msg", self.options.message_not_like)
