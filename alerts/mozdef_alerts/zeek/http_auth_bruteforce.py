"""Guessing of passwords over HTTP (detections.md D15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.zeek.notice import NoticeRule
from mozdef_core import RuleOptions, Severity


class HttpAuthBruteforce(NoticeRule[RuleOptions]):
    """A sensor saw somebody try many passwords over HTTP."""

    notes = ("AuthBruteforcing::HTTP_AuthBruteforcing_Attacker",)
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "httperrors"
    tags: ClassVar[Sequence[str]] = ("http",)
    attack: ClassVar[Sequence[str]] = ("T1110",)
