"""Guessing of passwords for Bugzilla (detections.md D05)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.zeek.notice import NoticeRule
from mozdef_core import RuleOptions, Severity


class BugzillaAuthBruteforce(NoticeRule[RuleOptions]):
    """A sensor saw somebody try many passwords on Bugzilla."""

    notes = ("BugzBruteforcing::HTTP_BugzBruteforcing_Attacker",)
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "httperrors"
    tags: ClassVar[Sequence[str]] = ("http",)
    attack: ClassVar[Sequence[str]] = ("T1110",)
