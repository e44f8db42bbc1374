"""A scan of addresses and ports at random from inside (detections.md D25)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.zeek.scan import ScanOptions, ScanRule


class NsmScanRandom(ScanRule[ScanOptions]):
    """A sensor saw a host inside try addresses and ports without an order."""

    Options = ScanOptions
    note = "Scan::Random_Scan"
    what = "random scan"
    tags: ClassVar[Sequence[str]] = ("nsm", "bro", "randomscan")
    attack: ClassVar[Sequence[str]] = ("T1046", "T1018")
