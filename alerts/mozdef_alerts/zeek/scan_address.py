"""A scan of many addresses from inside (detections.md D23)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.zeek.scan import ScanOptions, ScanRule
from mozdef_core import Severity


class NsmScanAddress(ScanRule[ScanOptions]):
    """A sensor saw a host inside try many addresses on one port."""

    Options = ScanOptions
    note = "Scan::Address_Scan"
    what = "address scan"
    severity: ClassVar[Severity] = Severity.NOTICE
    tags: ClassVar[Sequence[str]] = ("nsm", "bro", "addressscan")
    attack: ClassVar[Sequence[str]] = ("T1046", "T1018")
