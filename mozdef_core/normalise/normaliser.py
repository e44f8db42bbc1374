"""The normaliser: any JSON object becomes an event, whatever its sender called its fields."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from mozdef_core.event import Event, isoformat
from mozdef_core.normalise import aliases
from mozdef_core.normalise.details import add, convert, look_up, merge, short_program
from mozdef_core.normalise.keys import clean_object, same
from mozdef_core.normalise.problems import Problems
from mozdef_core.normalise.recognition import recognised
from mozdef_core.normalise.settings import EntranceSettings, Recogniser
from mozdef_core.normalise.severity import LEVELS, read_facility, read_severity, whole
from mozdef_core.normalise.summary import fallback, one_line
from mozdef_core.normalise.tags import as_text, read_tags
from mozdef_core.normalise.times import Instant, TimeReader
from mozdef_core.ports import Item

log = logging.getLogger(__name__)

UNKNOWN: Final = "UNKNOWN"
_MICROSECOND: Final = timedelta(microseconds=1)
_ABSENT: Final = frozenset({"", "-"})
_BRACKETED: Final = re.compile(r"\[(.*)\]", re.DOTALL)
_PROCESS: Final = re.compile(r"(.*?)(?:\[(\d+)\])?:?", re.DOTALL)
_FILLED: Final = ("hostname", "category", "source", "processname", "processid", "summary")


@lru_cache(maxsize=256)
def _reader(timezone: str, formats: tuple[str, ...]) -> TimeReader:
    return TimeReader(timezone, formats)


class Normaliser:
    """Makes events of decoded items. Pure: the same item and settings give the same event.

    :param node: name of this machine, for ``mozdefhostname``.
    :param process: id of this process, for ``mozdef.worker``.
    :param recognisers: how the enabled plugins know their products' own records; the first that fits decides.
    """

    def __init__(self, node: str, process: int, recognisers: Sequence[Recogniser] = ()) -> None:
        self._node = node
        self._process = process
        self._recognisers = tuple(recognisers)

    def normalise(self, decoded: object, item: Item, settings: EntranceSettings) -> Event:
        """Return the event of an item. It never raises: what cannot be read is kept under ``details.raw``."""
        try:
            return _Normalisation(self, decoded, item, settings).event()
        except Exception:  # an event must never be lost to a bug here; it says that there is one
            log.exception("the normaliser failed; the item is kept under details.raw")
            return self._failed(item)

    def _failed(self, item: Item) -> Event:
        received = isoformat(item.received_us)
        problems = Problems()
        problems.note("normaliser-error")
        body = {
            "timestamp": received,
            "utctimestamp": received,
            "receivedtimestamp": received,
            **dict.fromkeys(_FILLED, UNKNOWN),
            "severity": "INFO",
            "tags": [],
            "type": "event",
            "details": {"raw": item.raw.decode("utf-8", "replace").replace("\x00", "\ufffd")},
            "mozdefhostname": self._node,
            "mozdef": self.book(item, problems, ["timestamp", "severity", *_FILLED]),
        }
        return Event(item.id, body)

    def book(self, item: Item, problems: Problems, defaulted: list[str]) -> dict[str, Any]:
        """Return the bookkeeping of an event (event-format.md section 7)."""
        origin = item.origin
        sent = {
            "name": origin.name,
            "kind": origin.kind,
            "endpoint": origin.endpoint,
            "index": origin.index,
            "peer": origin.peer,
            "sender_id": item.sender_id,
            "token": origin.token,
        }
        book: dict[str, Any] = {
            "plugins": [],
            "problems": problems.notes,
            "defaulted": defaulted,
            "input": {name: value for name, value in sent.items() if value is not None},
            "worker": {"host": self._node, "process": self._process},
        }
        if item.replay_of is not None:
            book["replayed"] = True
        return book

    def recognise(self, top: Mapping[str, Any], settings: EntranceSettings) -> Recogniser | None:
        """Return how an item is recognised as a product's own record, None when it is not one."""
        return recognised(self._recognisers, top, settings.record)


class _Normalisation:
    """One item on its way: ``top`` is what is left to place, ``body`` and ``details`` what has its place."""

    def __init__(self, owner: Normaliser, decoded: object, item: Item, settings: EntranceSettings) -> None:
        self.owner = owner
        self.item = item
        self.settings = settings
        self.problems = Problems()
        self.defaulted: list[str] = []
        self.body: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.tags: list[Any] = []
        self.objects: dict[str, Any] = {}
        self.received_us = item.received_us
        self.offset_min: int | None = None
        self.under: dict[str, str] = {}
        if not isinstance(decoded, dict):
            raise TypeError("an item must be an object")
        self.top = self._clean(decoded)

    def _clean(self, decoded: dict[str, Any]) -> dict[str, Any]:
        """Apply the key rules; all spellings of ``tags`` are kept apart, since they are united, not collided."""
        spellings = [
            key for key in decoded if len(key) < 12 and key.strip().lstrip("@").strip().lower() == "tags"
        ]
        if spellings != ["tags"]:
            for key in spellings:
                self.tags.append(clean_object({"tags": decoded[key]}, self.problems)["tags"])
            if spellings:
                decoded = {key: value for key, value in decoded.items() if key not in spellings}
        return clean_object(decoded, self.problems)

    def event(self) -> Event:
        """Run the steps in the order of section 5."""
        self._take_reserved()
        record = self.owner.recognise(self.top, self.settings)
        if record is not None:
            self._keep_record(record)
        else:
            self._place()
            self._lift()
        self._add_fields()
        convert(self.details, self.problems)
        self._derive_program()
        self._finish()
        return Event(self.item.id, self.body)

    # Each step below takes what it understands out of ``top``.

    def _take_reserved(self) -> None:
        for name in aliases.RESERVED & self.top.keys():
            value = self.top.pop(name)
            if name == "receivedtimestamp" and self.settings.trusted_relay:
                forwarded = self._read_time(value)
                if forwarded is not None:
                    self.received_us = forwarded.us
                    continue
            add(self.details, f"sent_{name}", value)

    def _keep_record(self, record: Recogniser) -> None:
        """Leave a product's own record whole, for its mapper."""
        if record.source_from:
            self.body["source"] = as_text(look_up(self.top, record.source_from))
        elif record.source:
            self.body["source"] = record.source
        self.body["category"] = record.category
        self.tags.extend([list(record.tags)])
        for name, value in self.top.items():
            add(self.details, name, value)

    def _place(self) -> None:
        """Find the place of every top-level member: a canonical field, or ``details``."""
        top = self.top
        sent = self.details
        self.details = merge(top.pop("details", None), top.pop("fields", None), self.problems)
        for name, value in sent.items():
            add(self.details, name, value)
        if "tags" in top:
            self.tags.append(top.pop("tags"))
        self._take_dotted()
        self._take_type()
        self._take_time()
        self._take_severity()
        for field in ("summary", "hostname", "category", "source", "processid", "processname", "eventsource"):
            self._take_text(field)
        self._take_facility()
        for field, names in aliases.DETAILS.items():
            self._take_detail(field, names)
        self._take_nxlog()
        for name, value in top.items():
            gelf = name[0] == "_" and len(name) > 1 and name != "_empty"
            self._put(name.lstrip("_") if gelf and name.strip("_") else name, value)

    def _put(self, name: str, value: Any) -> None:
        """Keep a member in details; an object may hold members that belong elsewhere."""
        if (isinstance(value, dict) and name in aliases.OBJECTS) or (
            "." in name and name.partition(".")[0] in aliases.OBJECTS
        ):
            self.objects[name] = value
        add(self.details, name, value)

    def _take_dotted(self) -> None:
        for key in [key for key in self.top if key.startswith(("details.", "fields."))]:
            add(self.details, key.partition(".")[2], self.top.pop(key))

    def _take_type(self) -> None:
        custom = self.item.origin.endpoint if self.item.origin.name == "custom" else None
        self.body["type"] = custom or "event"
        kind = self.top.get("type")
        if kind in aliases.SHAPES if isinstance(kind, str) else False:
            if self.settings.trusted_relay or custom:
                self.body["type"] = self.top.pop("type")
            elif kind == "event":
                del self.top["type"]

    def _read_time(self, value: Any) -> Instant | None:
        if isinstance(value, list):
            value = next((element for element in value if not isinstance(element, dict | list)), None)
        reader = _reader(self.settings.timezone, tuple(self.settings.date_formats))
        return reader.read(value, self.item.received_us)

    def _take_time(self) -> None:
        found: Instant | None = None
        unreadable: Any = None
        for name in aliases.TIMESTAMP:
            if name not in self.top:
                continue
            value = self.top.pop(name)
            if _is_absent(value):
                continue
            instant = self._read_time(value)
            if instant is None:
                unreadable = value if unreadable is None else unreadable
                self._put(name, value)
            elif found is None:
                found = instant
                if isinstance(value, list):
                    self._put(name, value)
            elif instant.us != found.us:
                self._put(name, value)
        self._note_time(found, unreadable)

    def _note_time(self, found: Instant | None, unreadable: Any) -> None:
        if found is None and unreadable is not None:
            self.problems.note("timestamp-unreadable", "timestamp")
            name = next(
                (name for name in aliases.TIMESTAMP if same(self.details.get(name), unreadable)), None
            )
            if name is not None:
                del self.details[name]
            add(self.details, "original_timestamp", unreadable)
        if found is not None:
            self.body["timestamp"] = found.us
            if found.offset_min:
                self.offset_min = found.offset_min

    def _take_severity(self) -> None:
        found: str | None = None
        unread: list[tuple[str, Any]] = []
        for name in aliases.SEVERITY:
            if name not in self.top:
                continue
            value = self.top.pop(name)
            scalar = self._scalar(name, value)
            if scalar is None:
                continue
            level = read_severity(name, scalar, self.top)
            if name == "priority" and level is not None:
                self._note_priority(scalar)
            if found is None and level is not None:
                found = level
            elif level is None:
                unread.append((name, scalar))
            elif scalar != found and not isinstance(value, list):
                self._put(name, scalar)
        if found is None and unread:
            self.problems.note("severity-unknown", unread[0][0])
            add(self.details, "original_severity", unread.pop(0)[1])
            found = "INFO"
        for name, scalar in unread:
            self._put(name, scalar)
        if found is not None:
            self.body["severity"] = found

    def _note_priority(self, value: Any) -> None:
        number = whole(value)
        if number is not None and number > 7 and not any(name in self.top for name in aliases.FACILITY):
            self.top["facility"] = number // 8

    def _scalar(self, name: str, value: Any) -> Any:
        """Return the scalar that a field's value holds, None for none; an object or array is kept in details."""
        if isinstance(value, dict):
            self._put(name, value)
            return None
        if isinstance(value, list):
            if value:
                self._put(name, value)
            value = next(
                (one for one in value if not isinstance(one, dict | list) and not _is_absent(one)), None
            )
        return None if _is_absent(value) else value

    def _take_text(self, field: str) -> None:
        """Fill a text field from its names; what loses and differs stays in details."""
        found: str | None = None
        for name in aliases.SCALARS[field]:
            if name not in self.top:
                continue
            value = self.top[name]
            if name in aliases.STRING_ONLY and not isinstance(value, str):
                continue
            del self.top[name]
            scalar = self._scalar(name, value)
            if scalar is None:
                continue
            text = self._as_field(field, as_text(scalar))
            if found is None and text:
                found = text
                self.under[field] = name
            elif (text != found or not text) and not isinstance(value, list):
                self._put(name, scalar)
        if found is not None:
            self.body[field] = found

    def _as_field(self, field: str, text: str) -> str:
        """Return a text as its field wants it; empty when it holds nothing."""
        if field == "summary":
            return one_line(text)
        if field == "processid":
            bracketed = _BRACKETED.fullmatch(text.strip())
            return bracketed[1] if bracketed is not None else text
        if field == "processname":
            match = _PROCESS.fullmatch(text)
            if match is not None:
                if match[2] and match[1]:
                    self.body.setdefault("processid", match[2])
                return match[1] or text
        return text

    def _take_facility(self) -> None:
        for name in aliases.FACILITY:
            if name not in self.top:
                continue
            value = self.top.pop(name)
            scalar = self._scalar(name, value)
            if scalar is None:
                continue
            text = read_facility(scalar) or as_text(scalar)
            if "facility" not in self.body:
                self.body["facility"] = text
            elif text != self.body["facility"] and not isinstance(value, list):
                self._put(name, scalar)

    def _take_detail(self, field: str, names: Sequence[str]) -> None:
        """Fill a field of details from its top-level names; what loses and differs keeps its own name."""
        for name in names:
            if name not in self.top:
                continue
            value = self.top.pop(name)
            if _is_absent(value) and field in self.details:
                continue
            if _is_absent(self.details.get(field)):
                self.details[field] = value
            elif not same(self.details[field], value):
                self._put(name, value)

    def _take_nxlog(self) -> None:
        if "domain" not in self.top or "sourcemoduletype" not in self.top:
            return
        user = self.top.get("targetusername") or self.top.get("accountname")
        if isinstance(user, str) and user not in _ABSENT and _is_absent(self.details.get("username")):
            self.details["username"] = user
        address = self.top.get("ipaddress")
        if (
            isinstance(address, str)
            and _is_address(address)
            and _is_absent(self.details.get("sourceipaddress"))
        ):
            self.details["sourceipaddress"] = address

    def _lift(self) -> None:
        """Lift known members of objects that stood where a scalar is expected, into what is still empty."""
        if not self.objects:
            return
        for field, paths in aliases.LIFTED.items():
            if field in self.body:
                continue
            value = next((found for path in paths if (found := self._member(path)) is not None), None)
            if value is None:
                continue
            if field == "severity":
                level = read_severity("severity", value, {})
                if level is not None:
                    self.body["severity"] = level
            else:
                self.body[field] = self._as_field(field, as_text(value))
        for field, paths in aliases.LIFTED_DETAILS.items():
            value = next((found for path in paths if (found := self._member(path)) is not None), None)
            if value is not None and _is_absent(self.details.get(field)):
                self.details[field] = value

    def _member(self, path: str) -> Any:
        value = look_up(self.objects, path)
        if isinstance(value, list):
            value = next((element for element in value if not isinstance(element, dict | list)), None)
        return None if isinstance(value, dict) or _is_absent(value) else value

    def _add_fields(self) -> None:
        """Add what the entrance knows, where the sender has not said it."""
        for path, value in self.item.fields.items():
            head, _, name = path.partition(".")
            if head == "details" and name:
                if _is_absent(self.details.get(name)):
                    self.details[name] = value
            elif path == "tags":
                self.tags.append(value)
            elif path not in self.body:
                self.body[path] = value
                if path == "hostname":
                    self.defaulted.append(path)
        if self.settings.tags:
            self.tags.append(list(self.settings.tags))

    def _derive_program(self) -> None:
        name = self.body.get("processname")
        if name is None or not _is_absent(self.details.get("program")):
            return
        syslog = self.item.origin.kind == "syslog" or self.body.get("category") == "syslog"
        if syslog or self.under.get("processname") in aliases.PROGRAM_NAMES:
            program = short_program(name)
            if program:
                self.details["program"] = program

    def _finish(self) -> None:
        body, details = self.body, self.details
        self._finish_times()
        if "source" not in body:
            known = body.get("facility") or body.get("eventsource")
            if known:
                body["source"] = known
        if "summary" not in body:
            text = fallback(details)
            if text:
                body["summary"] = text
        for field in _FILLED:
            if field not in body:
                body[field] = UNKNOWN
                self.defaulted.append(field)
        if "severity" not in body:
            body["severity"] = "INFO"
            self.defaulted.append("severity")
        if body["severity"] not in LEVELS:
            raise ValueError(f"severity {body['severity']!r}")
        body.setdefault("type", "event")
        body["tags"] = read_tags(self.tags, self.problems)
        if any(note["code"] == "timestamp-future" for note in self.problems.notes):
            body["tags"] = list(dict.fromkeys([*body["tags"], "clock-skew"]))
        body["details"] = details
        body["mozdefhostname"] = self.owner._node  # the two are one thing in two parts
        body["mozdef"] = self.owner.book(self.item, self.problems, self.defaulted)
        if self.offset_min:
            body["mozdef"]["utcoffset"] = self.offset_min

    def _finish_times(self) -> None:
        body, received_us = self.body, self.received_us
        us = body.get("timestamp")
        if us is None:
            us = received_us
            self.defaulted.append("timestamp")
            if not any(note["code"] == "timestamp-unreadable" for note in self.problems.notes):
                self.problems.note("timestamp-missing", "timestamp")
        elif us > received_us + self.settings.max_future // _MICROSECOND:
            self.problems.note("timestamp-future", "timestamp")
        elif us < received_us - self.settings.max_age // _MICROSECOND:
            self.problems.note("timestamp-old", "timestamp")
        body["timestamp"] = body["utctimestamp"] = isoformat(us)
        body["receivedtimestamp"] = isoformat(received_us)


def _is_absent(value: Any) -> bool:
    """Return whether a value says nothing: null, empty, or a dash."""
    if value is None:
        return True
    if isinstance(value, str):
        return value in _ABSENT or value.strip() in _ABSENT
    return isinstance(value, dict | list) and not value


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
