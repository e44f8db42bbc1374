"""The findings of GuardDuty (on_event)."""

from __future__ import annotations

from typing import Any, ClassVar

from mozdef_aws.finding import details_of, finding_in, parts_of, severity_of
from mozdef_aws.members import is_time, record_in
from mozdef_core import Change, Event, Recogniser, Split, hookimpl
from mozdef_core import Options as PluginOptions


class GuardDuty:
    """Reads findings as EventBridge, a bucket or an envelope holds them; each probe or call becomes an event."""

    class Options(PluginOptions):
        """It has none."""

    order: ClassVar[int] = 3
    applies_to: ClassVar[dict[str, frozenset[str]]] = {"source": frozenset({"guardduty"})}
    recognisers: ClassVar[tuple[Recogniser, ...]] = (
        Recogniser(
            ["detail-type", "detail"],
            equal={"detail-type": "GuardDuty Finding"},
            category="guardduty",
            source="guardduty",
            name="guardduty",
        ),
        Recogniser(
            ("schemaversion", "accountid", "resource.resourcetype", "service.detectorid"),
            category="guardduty",
            source="guardduty",
            name="guardduty",
        ),
    )

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def on_event(self, event: Event) -> Change | Split | None:
        """Build the details anew from the finding; an event that holds none, or was mapped before, stays as it is."""
        details = event.get("details")
        if not isinstance(details, dict):
            return None
        category = event.text("category")
        finding = finding_in(details, category) or finding_in(record_in(event.text("summary")), category)
        if finding is None:
            return None
        shared = self._shared(event, details, finding)
        changes = []
        for part in parts_of(finding):
            made = details_of(part)
            fields = {**shared, "details": made}
            host = next((made[name] for name in ("publicdnsname", "privatednsname") if made.get(name)), None)
            if isinstance(host, str):
                fields["hostname"] = host
            changes.append(Change(fields))
        return changes[0] if len(changes) == 1 else Split(changes)

    def _shared(self, event: Event, details: dict[str, Any], finding: dict[str, Any]) -> dict[str, Any]:
        """Return the top-level fields that all parts of a finding have."""
        sent = [str(tag) for tag in event.values("tags")]
        fields: dict[str, Any] = {
            "source": "guardduty",
            "category": "guardduty",
            "tags": list(dict.fromkeys(("aws", "guardduty", *sent))),
        }
        if isinstance(finding.get("title"), str):
            fields["summary"] = finding["title"]
        severity = severity_of(finding)
        if severity is not None:
            fields["severity"] = severity[1]
        moments = [details.get("time") if "detail" in details else None]
        if not event.exists("timestamp"):
            moments.append(finding.get("updatedat"))
        moment = next((one for one in moments if is_time(one)), None)
        if moment is not None:
            fields["timestamp"] = moment
        return fields
