"""What a mapper may set at the top level, and in which form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mozdef_core.event import Event, isoformat
from mozdef_core.normalise.severity import LEVELS
from mozdef_core.normalise.times import TimeReader

_TEXTS: Final = frozenset(
    {
        "hostname",
        "summary",
        "category",
        "source",
        "processid",
        "processname",
        "type",
        "eventsource",
        "facility",
    }
)
_TIMES: Final = frozenset({"timestamp", "utctimestamp"})
_TYPED: Final = _TEXTS | _TIMES | {"severity", "tags", "details"}
_READER: Final = TimeReader()


def conform(event: Event, changed: Iterable[str]) -> Event:
    """Return an event whose top-level fields have their form after a plugin set some of them.

    :param changed: the names that were set.
    :raises ValueError: a value cannot stand there; the sentence says which and what would be right.
    """
    names = _TYPED.intersection(changed)
    if not names:
        return event
    body = dict(event.body)
    for name in names:
        value = body[name]
        if name in _TEXTS and not isinstance(value, str):
            raise ValueError(f"{name} must be text, not {value!r}")
        if name == "severity" and value not in LEVELS:
            raise ValueError(f"severity must be one of {', '.join(LEVELS)}, not {value!r}")
        if name == "tags" and not (isinstance(value, list) and all(isinstance(tag, str) for tag in value)):
            raise ValueError(f"tags must be a list of texts, not {value!r}")
        if name == "details" and not isinstance(value, dict):
            raise ValueError(f"details must be an object, not {value!r}")
    times = names & _TIMES
    if times:
        text = _time(body["utctimestamp" if "utctimestamp" in times else "timestamp"], event)
        body["timestamp"] = body["utctimestamp"] = text
    return Event(event.id, body)


def _time(value: Any, event: Event) -> str:
    instant = _READER.read(value, event.received_us)
    if instant is None:
        raise ValueError(f"timestamp must be ISO 8601 text or an epoch number, not {value!r}")
    return isoformat(instant.us)
