"""The back-fill: events that come in whole, with the ids that they had, from what ``mozdef export`` wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from mozdef_core.errors import InvalidItemError
from mozdef_core.event import LATE_HORIZON_S, Event, isoformat, microseconds, now_us
from mozdef_core.normalise import conform, limit, not_an_object, parse_json
from mozdef_core.pipeline import dead_letter
from mozdef_core.ports import DeadLetter, Item, Origin

DECODER: Final = "event"
"""What items of a back-fill carry as their decoder. The worker takes them as they are; no plugin sees them again."""
ORIGIN: Final = Origin("import", "import", DECODER)
MOST_AHEAD_US: Final = 600_000_000
"""How far after the present an event may say that it was received: clocks of two machines differ by less."""

_ID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}(?:-[1-9][0-9]{0,6}){0,8}", re.ASCII)
_TIMES: Final = ("utctimestamp", "receivedtimestamp")
_LISTS: Final = ("plugins", "problems", "defaulted")
_LONGEST_CLASS: Final = 200


def read_event(raw: bytes, at_us: int | None = None) -> Event:
    """Return the event that a line of an export holds, within all limits and marked ``mozdef.replayed``.

    It is ``{"id": ..., "event": {...}}``, or the event with its id among its fields, as ``mozdef search --raw``
    prints it. Reading what was made of the answer gives the same again. About 15 us an event.

    :param at_us: the present, microseconds since 1970.
    :raises InvalidItemError: it is no event; the reason names the field and what would be right.
    """
    document = parse_json(raw)
    if not isinstance(document, dict):
        raise InvalidItemError(*not_an_object(document))
    event_id, body = _opened(document)
    if not isinstance(event_id, str) or not _ID.fullmatch(event_id):
        raise _wrong("id", "the 26 characters of an event's id, and -1, -2, ... for parts of it", event_id)
    (_, event_time), (received_us, received) = (_moment(name, body.get(name)) for name in _TIMES)
    if not 0 <= received_us <= (now_us() if at_us is None else at_us) + MOST_AHEAD_US:
        raise _wrong("receivedtimestamp", "a time between 1970 and now", body["receivedtimestamp"])
    times = {"timestamp": event_time, "utctimestamp": event_time, "receivedtimestamp": received}
    body = {**body, **times, "mozdef": _book(body.get("mozdef", {}))}
    try:
        return limit(conform(Event(event_id, body), body.keys() - times.keys()))
    except ValueError as error:
        raise InvalidItemError("not-an-event", str(error)) from None


def _opened(document: dict[str, Any]) -> tuple[object, dict[str, Any]]:
    """Return id and body, whichever of the two forms it is."""
    if document.keys() == {"id", "event"}:
        body = document["event"]
        if not isinstance(body, dict):
            raise _wrong("event", "an object", body)
        return document["id"], body
    return document.get("id"), {name: value for name, value in document.items() if name != "id"}


def _moment(name: str, value: object) -> tuple[int, str]:
    """Return a time in microseconds since 1970, and in the stored form."""
    found = _read_time(value) if isinstance(value, str) else None
    if found is None:
        raise _wrong(name, "an ISO 8601 time with offset", value)
    return found


@lru_cache(maxsize=4_096)  # the events of a request share their time of reception
def _read_time(text: str) -> tuple[int, str] | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        us = microseconds(moment)
        return us, isoformat(us)
    except (ValueError, OverflowError):
        return None


def _book(book: object) -> dict[str, Any]:
    """Return ``mozdef`` of an event as it will be stored."""
    if not isinstance(book, dict):
        raise _wrong("mozdef", "an object", book)
    for name in _LISTS:
        if not isinstance(book.get(name, []), list):
            raise _wrong(f"mozdef.{name}", "a list", book[name])
    retention_class = book.get("retention", "default")
    if not isinstance(retention_class, str) or (
        retention_class != "default" and len(quote(retention_class, safe="")) > _LONGEST_CLASS
    ):
        raise _wrong("mozdef.retention", "the name of a retention class", retention_class)
    return {**{name: [] for name in _LISTS}, **book, "replayed": True}


def _wrong(name: str, right: str, value: object) -> InvalidItemError:
    shown = "nothing" if value is None else repr(value)
    return InvalidItemError("not-an-event", f"{name}: expected {right}, got {shown[:200]}")


@dataclass(slots=True)
class Backfill:
    """The events of a back-fill among the items of a batch.

    :param recent: those that detection looks at as at any other that comes late.
    :param old: those from before the late horizon: they are stored and re-open nothing (detections.md A3.9).
    :param items: what each came from, by the id of the event.
    :param replayed: the ids of the events that came of dead letters, by the id of the letter.
    """

    recent: list[Event] = field(default_factory=list)
    old: list[Event] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    replayed: dict[str, list[str]] = field(default_factory=dict)

    @property
    def events(self) -> Sequence[Event]:
        """All of them; those that are stored already are left as they are by a careful write."""
        return [*self.recent, *self.old]


def restore(items: Sequence[Item]) -> Backfill:
    """Return what the items of a back-fill hold. No item is lost: what is no event becomes a dead letter."""
    done = Backfill()
    at_us = now_us()
    horizon_us = at_us - LATE_HORIZON_S * 1_000_000
    for item in items:
        try:
            if item.refusal is not None:
                raise InvalidItemError(*item.refusal)
            event = read_event(item.raw, at_us)
        except InvalidItemError as error:
            done.dead_letters.append(dead_letter(item, "parse", error.code, error.reason))
            continue
        if item.replay_of is not None:
            done.replayed[item.replay_of] = [event.id]
        if event.id not in done.items:
            (done.old if event.detection_us < horizon_us else done.recent).append(event)
            done.items[event.id] = item
    return done


def divide(items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    """Return the items of senders, and those of a back-fill."""
    if all(item.origin.decoder != DECODER for item in items):
        return items, ()
    return (
        [item for item in items if item.origin.decoder != DECODER],
        [item for item in items if item.origin.decoder == DECODER],
    )


def as_item(event: Event, at_us: int) -> Item:
    """Return what brings an event through the queue to the worker.

    It counts as received now, so that events of the past hold up neither the watermark nor what tells how long
    the oldest item has been waiting; the event keeps its own time of reception.
    """
    return Item(event.id, at_us, ORIGIN, event.to_bytes())
