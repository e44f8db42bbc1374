"""Reads the logs of Zeek, once called Bro, in whichever of three shapes they come (on_event)."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from mozdef_bro.logs import LOGS, read_log
from mozdef_bro.members import rename_connection
from mozdef_bro.record import read_record
from mozdef_bro.times import as_moment
from mozdef_core import Change, Event, Recogniser, hookimpl
from mozdef_core import Options as PluginOptions

__all__ = ["Bro"]

_NAMES: Final = frozenset({"bro", "zeek"})
_SHIPPERS: Final = ("file_name", "legacy_msghdr")
"""Members that shippers add to a record and no log of Zeek has."""
_ENVELOPE: Final = frozenset(
    {
        *("host_from", "message", "resp_cc", "program", "msgid", "full_message", "original_timestamp"),
        *("eventsourceipaddress", *_SHIPPERS),
    }
)
"""Members of details that may stand beside the text of a record."""
_MARKS: Final = frozenset({"_path", "ts", "uid", "fuid", "note", "id.orig_h"})
"""Members by one of which a record that was decoded is known; texts in it are no records of their own."""


class Bro:
    """Turns the records of Zeek's logs into fields, and says in a line what each tells."""

    class Options(PluginOptions):
        """It has none."""

    order: ClassVar[int] = 5
    applies_to: ClassVar[dict[str, frozenset[str]]] = {"category": _NAMES, "endpoint": _NAMES}
    recognisers: ClassVar[tuple[Recogniser, ...]] = (
        Recogniser(("_path", "ts"), category="bro", source_from="_path", name="bro"),
    )

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        """Read the record, from the summary's JSON text or from details; text that is neither is ``details.raw``."""
        details: dict[str, Any] = event.get("details") or {}
        text = _text(event, details)
        record = read_record(text)
        log = _log(event, record if record is not None else details)
        fields: dict[str, Any] = {
            "type": "nsm",
            "category": "bro",
            "eventsource": "nsm",
            "severity": "INFO",
            "source": log,
        }
        host = details.pop("host_from", None)
        if isinstance(host, str) and host:
            fields["hostname"] = host
        for name in _SHIPPERS:
            details.pop(name, None)
        if record is not None or log in LOGS:
            details.pop("message", None)  # none of these logs has a member of this name
        if record is not None:
            details.update(record)
        details.pop("resp_cc", None)
        moment = as_moment(details.get("ts"))
        if moment is not None or "timestamp" not in event.defaulted:
            fields["utctimestamp"] = event.body["receivedtimestamp"] if moment is None else moment
        fields["details"] = details
        if record is None and (text.startswith("{") or not details.keys() - _ENVELOPE):
            details["raw"] = text
            return Change(fields, problems=(f"the record of the log {log} is no JSON object",))
        rename_connection(details)
        fields["summary"] = read_log(log, details)
        return Change(fields)


def _text(event: Event, details: dict[str, Any]) -> str:
    """Return the text that may hold a record: the summary, or a message beside it that looks like an object."""
    if not details.keys().isdisjoint(_MARKS):
        return ""
    summary, message = event.text("summary"), details.get("message")
    if not summary.startswith("{") and isinstance(message, str) and message.lstrip().startswith("{"):
        return message.strip()
    return "" if "summary" in event.defaulted else summary


def _log(event: Event, record: dict[str, Any]) -> str:
    """Return the name of the log, such as ``conn``: that of the source, else that of the record itself."""
    source = "" if "source" in event.defaulted else event.text("source").lower()
    name = source.rpartition("/")[2].removesuffix(".log")
    name = name.removeprefix("bro_").removeprefix("zeek_")
    path = record.get("_path")
    if name not in LOGS and isinstance(path, str) and path:
        return path.lower()
    return name or "unknown"
