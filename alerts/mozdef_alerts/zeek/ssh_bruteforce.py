"""Guessing of passwords over ssh, as a sensor sees it (detections.md D36)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.zeek.notice import NoticeRule
from mozdef_core import RuleOptions, Severity


class SshBruteforceBro(NoticeRule[RuleOptions]):
    """A sensor saw somebody try many passwords over ssh."""

    notes = ("SSH::Password_Guessing",)
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "bruteforce"
    tags: ClassVar[Sequence[str]] = ("ssh", "bro")
    attack: ClassVar[Sequence[str]] = ("T1110.001", "T1021.004")
