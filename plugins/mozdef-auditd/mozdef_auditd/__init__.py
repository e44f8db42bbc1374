"""Reads what the Linux audit daemon records: the events of audisp-json, and the records as text (on_event)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from mozdef_auditd.records import Group, read_group
from mozdef_auditd.shape import Shaped, correct
from mozdef_core import Change, Event, Field, hookimpl
from mozdef_core import Options as PluginOptions

__all__ = ["Auditd"]

_JSON: Final = "audisp-json"
_LATEST_S: Final = 10**11
"""Beyond this a number of seconds would be taken for milliseconds."""


class Auditd:
    """Puts the events of the audit daemon into one shape, whoever sent them and however."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.auditd]``."""

        programs: list[str] = Field(
            [],
            description="programs whose lines are records, besides audispd and auditd, such as a shipper's tag",
        )
        paths: list[str] = Field(
            ["/var/log/audit/audit.log"], description="files (eventsource) whose lines are records"
        )

    order: ClassVar[int] = 2

    def __init__(self, options: Options) -> None:
        self.options = options
        self.applies_to: dict[str, Iterable[str]] = {
            "processname": {_JSON},
            "tag": {_JSON, "auditd"},
            "category": {"auditd"},
            "program": {"audispd", "auditd", *options.programs},
        }
        if options.paths:
            self.applies_to["eventsource"] = set(options.paths)

    @hookimpl
    def on_event(self, event: Event) -> Change:
        """Read records where the summary is one or several of a serial, and put ids right that are none."""
        details: dict[str, Any] = event.get("details") or {}
        before = dict(details)
        fields: dict[str, Any] = {"type": "auditd"}
        group = None if "auditserial" in details else read_group(event.text("summary"))
        if group is not None:
            fields |= _shaped(group, details)
        elif not event.exists("category"):
            fields["category"] = "auditd"
        correct(details)
        host = details.get("dhost")
        if isinstance(host, str) and host:
            fields["hostname"] = host
            del details["dhost"]
        if details != before:
            fields["details"] = details
        return Change(fields)


def _shaped(group: Group, details: dict[str, Any]) -> dict[str, Any]:
    """Add what records say to the details, and return the other fields that they give."""
    shaped = Shaped(group)
    details.update(shaped.details)
    fields: dict[str, Any] = {"processname": _JSON, "category": shaped.category}
    if shaped.summary is not None:
        fields["summary"] = shaped.summary
    if group.node:
        fields["hostname"] = group.node
    if 1 <= float(group.time) < _LATEST_S:
        fields["utctimestamp"] = group.time
    return fields
