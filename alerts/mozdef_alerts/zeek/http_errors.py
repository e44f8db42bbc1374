"""Many HTTP errors of one client (detections.md D16)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.zeek.notice import NoticeRule
from mozdef_core import Field, ListOption, RuleOptions, Severity


class HttpErrors(NoticeRule["HttpErrors.Options"]):
    """A sensor saw one client cause very many HTTP errors, as scanners do."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.http_errors]``."""

        notes: ListOption = Field(
            ListOption(("MozillaHTTPErrors::Excessive_HTTP_Errors_Attacker",)),
            description="types of the notices, such as that of a site's own script",
        )

    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "httperrors"
    tags: ClassVar[Sequence[str]] = ("http",)
    attack: ClassVar[Sequence[str]] = ("T1595.002", "T1595.003")

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without the type of a notice."""
        return None if self.options.notes else "notes is empty"

    @property
    def wanted(self) -> ListOption:
        """The types that the option names."""
        return self.options.notes
