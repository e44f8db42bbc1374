"""Somebody stopped CloudTrail (detections.md D06)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_core import (
    Event,
    EventRule,
    Field,
    ListOption,
    Query,
    RuleOptions,
    Severity,
    Term,
)


class CloudtrailLoggingDisabled(EventRule["CloudtrailLoggingDisabled.Options"]):
    """Somebody stopped the audit trail of an Amazon account."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.cloudtrail_logging_disabled]``."""

        event_names: ListOption = Field(
            ListOption(["StopLogging"]),
            description="operations that alert; DeleteTrail, UpdateTrail and PutEventSelectors blind the trail too",
        )
        excluded_errorcodes: ListOption = Field(
            ListOption(["AccessDenied", "AccessDeniedException"]),
            description="error codes of refused attempts, which do not alert",
        )

    severity: ClassVar[Severity] = Severity.CRITICAL
    category: ClassVar[str] = "AWSCloudtrail"
    tags: ClassVar[Sequence[str]] = ("cloudtrail", "aws", "cloudtrail_logging_disabled")
    attack: ClassVar[Sequence[str]] = ("T1562.008",)
    needs: ClassVar[Sequence[str]] = ("cloudtrail",)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without an operation."""
        return None if self.options.event_names else "event_names is empty"

    def condition(self) -> Query:
        """One of the operations, unless it was refused."""
        refused = self.options.excluded_errorcodes
        return (
            Term("source", "cloudtrail")
            & self.options.event_names.condition("details.eventname")
            & ~(refused.condition("details.errorcode") | refused.condition("errorcode"))
        )

    def summary(self, event: Event) -> str:
        """What was done to which trail, by whom, in which account, from where."""
        account = next(
            (
                self.value(event, path)
                for path in ("details.recipientaccountid", "details.useridentity.accountid")
                if event.exists(path)
            ),
            "unknown",
        )
        return (
            f"{self.value(event, 'details.eventname')} of trail {self.value(event, 'details.requestparameters.name')} "
            f"by {self.value(event, 'details.username')} in account {account} "
            f"from {self.value(event, 'details.sourceipaddress')}"
        )
