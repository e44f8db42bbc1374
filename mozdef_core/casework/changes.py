"""Applying to an alert what an action plugin wants to add to it."""

from __future__ import annotations

from collections.abc import Iterator

from mozdef_core.alert import SUMMARY_LIMIT, AlertChange
from mozdef_core.casework.audit import Change
from mozdef_core.casework.models import AlertRow


def apply(alert: AlertRow, change: AlertChange) -> Iterator[Change]:
    """Change the alert's row and yield an entry for the audit trail per field; consume it all.

    A member of ``details`` that the rule has set stays, and so does the severity that the rule gave, as
    ``original_severity``.
    """
    new = {name: member for name, member in change.details.items() if name not in alert.rule_details}
    if new:
        before = {name: alert.details[name] for name in new if name in alert.details}
        alert.details = {**alert.details, **new}
        yield Change("changed", "alert", alert.id, "details", before or None, new)
    if change.summary_suffix:
        before_summary = alert.summary
        alert.summary = f"{alert.summary}; {change.summary_suffix}"[:SUMMARY_LIMIT]
        yield Change("changed", "alert", alert.id, "summary", before_summary, alert.summary)
    if change.severity is not None and change.severity != alert.severity:
        before_severity, alert.severity = alert.severity, change.severity.value
        yield Change("changed", "alert", alert.id, "severity", before_severity, alert.severity)
