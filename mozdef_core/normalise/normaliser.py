"""The normaliser: any JSON object becomes an event, whatever its sender called its fields."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mozdef_core.event import Event, isoformat
from mozdef_core.normalise import aliases
from mozdef_core.normalise.details import convert, look_up
from mozdef_core.normalise.draft import Draft
from mozdef_core.normalise.finishing import FILLED, UNKNOWN, add_entrance_fields, derive_program, finish
from mozdef_core.normalise.keys import clean_key, clean_object, clean_text, clean_value
from mozdef_core.normalise.lifting import lift
from mozdef_core.normalise.moments import read_moment, take_time
from mozdef_core.normalise.parse import Repeated, Replaced
from mozdef_core.normalise.placing import place_all, take_type
from mozdef_core.normalise.problems import Problems
from mozdef_core.normalise.recognition import recognised
from mozdef_core.normalise.settings import EntranceSettings, Recogniser
from mozdef_core.normalise.tags import as_text
from mozdef_core.ports import Item

log = logging.getLogger(__name__)

_BUGS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a mistake in the code below can raise; an event must not be lost to it."""


class Normaliser:
    """Makes events of decoded items. Pure: the same item and settings give the same event.

    :param node: name of this machine, for ``mozdefhostname``.
    :param process: id of this process, for ``mozdef.worker``.
    :param recognisers: how the enabled plugins know their products' own records; the first that fits decides.
    :ivar failures: items that became events only as ``details.raw``, since the start.
    """

    def __init__(self, node: str, process: int, recognisers: Sequence[Recogniser] = ()) -> None:
        self._node = node
        self._process = process
        self._recognisers = tuple(recognisers)
        self.failures = 0

    def normalise(self, decoded: object, item: Item, settings: EntranceSettings) -> Event:
        """Return the event of an item. It never raises: what cannot be read is kept under ``details.raw``.

        A syslog event of 500 bytes takes about 25 us.
        """
        try:
            draft = self._draft(decoded, item, settings)
            return Event(item.id, self._body(draft))
        except _BUGS:
            self.failures += 1
            if self.failures == 1:  # with its traceback once; after that it is counted
                log.exception("the normaliser failed; the item is kept under details.raw")
            return self._failed(item)

    def _draft(self, decoded: object, item: Item, settings: EntranceSettings) -> Draft:
        """Apply the key rules; what is no object counts as one whose details are no object."""
        problems = Problems()
        sent = decoded if isinstance(decoded, dict) else {"details": decoded}
        if type(decoded) is Replaced:
            problems.note("utf8-replaced")
        top = clean_object(sent, problems)
        draft = Draft(top, problems, item, settings)
        if problems.notes and {"code": "key-collision", "field": "tags"} in problems.notes:
            problems.notes.remove({"code": "key-collision", "field": "tags"})
            del top["tags"]
            draft.tags.extend(_all_spellings(sent, problems))
        return draft

    def _body(self, draft: Draft) -> dict[str, Any]:
        """Run the steps in the order of event-format.md section 5."""
        _take_reserved(draft)
        record = recognised(self._recognisers, draft.top, draft.settings.record)
        if record is not None:
            _keep_record(draft, record)
        else:
            take_type(draft)
            take_time(draft)
            place_all(draft)
            if draft.objects:
                lift(draft)
        add_entrance_fields(draft)
        convert(draft.details, draft.problems)
        derive_program(draft)
        finish(draft)
        body = draft.body
        body["mozdefhostname"] = self._node
        body["mozdef"] = self._book(draft.item, draft.problems, draft.defaulted)
        if draft.offset_min:
            body["mozdef"]["utcoffset"] = draft.offset_min
        return body

    def _failed(self, item: Item) -> Event:
        received = isoformat(item.received_us)
        problems = Problems()
        problems.note("normaliser-error")
        body = {
            "timestamp": received,
            "utctimestamp": received,
            "receivedtimestamp": received,
            **dict.fromkeys(FILLED, UNKNOWN),
            "severity": "INFO",
            "tags": [],
            "type": "event",
            "details": {"raw": clean_text(item.raw.decode("utf-8", "replace"))},
            "mozdefhostname": self._node,
            "mozdef": self._book(item, problems, ["timestamp", *FILLED, "severity", "tags"]),
        }
        return Event(item.id, body)

    def _book(self, item: Item, problems: Problems, defaulted: list[str]) -> dict[str, Any]:
        """Return the bookkeeping of an event (event-format.md section 7)."""
        origin = item.origin
        sent = {"name": origin.name, "kind": origin.kind}
        if origin.endpoint is not None:
            sent["endpoint"] = origin.endpoint
        if origin.index is not None:
            sent["index"] = origin.index
        if origin.peer is not None:
            sent["peer"] = origin.peer
        if item.sender_id is not None:
            sent["sender_id"] = item.sender_id
        if origin.token is not None:
            sent["token"] = origin.token
        book: dict[str, Any] = {
            "plugins": [],
            "problems": problems.notes,
            "defaulted": defaulted,
            "input": sent,
            "worker": {"host": self._node, "process": self._process},
        }
        if item.replay_of is not None:
            book["replayed"] = True
        return book


def _all_spellings(sent: Mapping[Any, Any], problems: Problems) -> list[Any]:
    """Return what stands under each spelling of ``tags``; these are united, so none of them is a collision."""
    found: list[Any] = []
    for key, value in sent.items():
        if clean_key(str(key)) == "tags":
            each = value if isinstance(value, Repeated) else (value,)
            found.extend(clean_value(one, problems, "tags") for one in each)
    return found


def _take_reserved(draft: Draft) -> None:
    """Move the names that are never a sender's (event-format.md 1.4) out of the way."""
    top = draft.top
    if aliases.RESERVED.isdisjoint(top):
        return
    for name in [name for name in top if name in aliases.RESERVED]:
        value = top.pop(name)
        if name == "receivedtimestamp" and draft.settings.trusted_relay:
            forwarded = read_moment(draft, value)
            if forwarded is not None:
                draft.received_us = forwarded.us
                continue
        if value is not None:
            draft.keep(f"sent_{name}", value)


def _keep_record(draft: Draft, record: Recogniser) -> None:
    """Leave a product's own record whole, for its mapper."""
    draft.recognised = True
    source = record.source
    if not source and record.source_from:
        value = look_up(draft.top, record.source_from)
        source = "" if value is None or isinstance(value, dict | list) else as_text(value)
    if source:
        draft.body["source"] = source
    if record.category:
        draft.body["category"] = record.category
    draft.added_tags.extend(record.tags)
    for name, value in draft.top.items():
        draft.keep(name, value)
