"""Reads the access log of Squid (on_event)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from mozdef_core import Change, Event, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_squid.access import read_access

__all__ = ["Squid"]

_ACCESS: Final = re.compile(r"(?:.*/)?(?:squid[_-])?access(?:[._-]log)?(?:\.\d+)?", re.IGNORECASE | re.DOTALL)
"""A source that is the access log: its name, or the name of its file."""


class Squid:
    """Turns the lines of a proxy's access log into fields."""

    class Options(PluginOptions):
        """It has none."""

    order: ClassVar[int] = 5
    applies_to: ClassVar[dict[str, frozenset[str]]] = {
        "category": frozenset({"proxy"}),
        "program": frozenset({"squid"}),
    }

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def on_event(self, event: Event) -> Change:
        """Say that the event is a proxy's, and read its summary where it is a line of the access log.

        A line that came by syslog from a Squid that names no source is one if it has the form of one: Squid's
        other messages come in the same way.
        """
        fields: dict[str, Any] = {
            "type": "squid",
            "eventsource": "squid",
            "severity": "INFO",
            "category": "proxy",
        }
        removed: list[str] = []
        host = event.get("details.host_from")
        if isinstance(host, str) and host:
            fields["hostname"] = host
            removed.append("details.host_from")
        source, summary = event.text("source"), event.text("summary")
        named = _ACCESS.fullmatch(source) is not None
        if not named and source != event.get("facility") and "source" not in event.defaulted:
            return Change(fields, removed)
        request = read_access(summary)
        if request is None:
            problems = ("the line has neither 15 nor 10 fields of an access log",) if named else ()
            return Change(fields, removed, problems=problems)
        fields.update((f"details.{name}", value) for name, value in request.fields.items())
        if request.began is not None:
            fields["utctimestamp"] = request.began
        return Change(fields, removed)
