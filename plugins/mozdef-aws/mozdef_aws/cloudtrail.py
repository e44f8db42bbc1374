"""The audit trail of Amazon's cloud: records, and the files that they come in (on_event)."""

from __future__ import annotations

from typing import Any, ClassVar

from mozdef_aws.members import record_in
from mozdef_aws.polymorphic import PATHS, plan, wrap
from mozdef_aws.record import decode, is_record, shorten
from mozdef_core import Change, Event, Field, Recogniser, Split, hookimpl
from mozdef_core import Options as PluginOptions


class CloudTrail:
    """Reads records of CloudTrail, one by one or as a file holds them, whichever entrance they came in by."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.cloudtrail]``."""

        polymorphic: list[str] = Field(
            [],
            description="further members that are sometimes text and sometimes objects and are kept as JSON text, "
            "as paths below details, such as requestparameters.filter",
        )

    order: ClassVar[int] = 10
    applies_to: ClassVar[dict[str, frozenset[str]]] = {
        "source": frozenset({"cloudtrail"}),
        "category": frozenset({"cloudtrail"}),
        "details.records": frozenset({"*"}),
    }
    recognisers: ClassVar[tuple[Recogniser, ...]] = (
        Recogniser(
            ("eventversion", "eventsource", "eventname"),
            category="cloudtrail",
            source="cloudtrail",
            name="cloudtrail",
        ),
    )

    def __init__(self, options: Options) -> None:
        self.options = options
        self._paths = plan((*PATHS, *(path.lower().removeprefix("details.") for path in options.polymorphic)))

    @hookimpl
    def on_event(self, event: Event) -> Change | Split | None:
        """Decode a record, split the records of a file, and tidy what was decoded before it came here."""
        details = event.body.get(
            "details"
        )  # not a copy, which would take longer than all that is done with it
        if not isinstance(details, dict):
            return None
        ours = "cloudtrail" in (event.text("source").lower(), event.text("category").lower())
        if ours and not is_record(details) and "records" not in details:
            details = {**details, **record_in(event.text("summary"))}
        if ours and is_record(details):
            return Change(self._mapped(decode(details)))
        records = details.get("records")
        if isinstance(records, list) and any(map(is_record, records)):
            return self._split(details, records)
        if event.text("source").lower() == "cloudtrail":
            return self._tidied(details)
        return None

    def _split(self, details: dict[str, Any], records: list[Any]) -> Split:
        """Make an event of each record; what stands among them and is none stays in an event of its own."""
        beside = {name: value for name, value in details.items() if name != "records"}
        changes = [
            Change(self._mapped(decode({**beside, **record}))) for record in records if is_record(record)
        ]
        others = [record for record in records if not is_record(record)]
        if others:
            changes.append(Change({"source": "cloudtrail", "details": {**beside, "records": others}}))
        return Split(changes)

    def _mapped(self, fields: dict[str, Any]) -> dict[str, Any]:
        shorten(fields["details"])
        wrap(fields["details"], self._paths)
        return fields

    def _tidied(self, before: dict[str, Any]) -> Change | None:
        details = dict(before)
        shorten(details)
        wrap(details, self._paths)
        return Change({"details": details}) if details != before else None
