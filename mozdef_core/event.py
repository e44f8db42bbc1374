"""The event: what every part of MozDef passes around, and the changes that a plugin may ask for."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson

Scalar: TypeAlias = str | int | float | bool | None

LATE_HORIZON_S: Final = 7 * 86_400
"""An event whose own time is further back than this is judged by its time of reception (detections.md A3.2)."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: sorts as the numbers do


def _base32(number: int, length: int) -> str:
    characters = []
    for _ in range(length):
        characters.append(_ALPHABET[number & 31])
        number >>= 5
    return "".join(reversed(characters))


def new_ids(received_us: int, count: int) -> list[str]:
    """Make the ids of the items of one batch.

    An id has 26 characters: 10 for the milliseconds of reception, 12 random ones (60 bits) that the batch
    shares, and 4 for the ordinal within the batch. Ids therefore sort by time of reception and then by order
    of arrival, and are unique across nodes without any co-ordination.

    :param received_us: time of reception in microseconds since 1970.
    :param count: at most 1,048,576.
    """
    head = _base32(received_us // 1000, 10) + _base32(secrets.randbits(60), 12)
    return [head + _base32(ordinal, 4) for ordinal in range(count)]


def first_id_at(received_us: int) -> str:
    """Return the least id that an item received at this time (microseconds since 1970) or later can have."""
    return _base32(received_us // 1000, 10) + "0" * 16


def now_us() -> int:
    """Return the present time in microseconds since 1970, UTC."""
    return microseconds(datetime.now(UTC))


def microseconds(moment: datetime) -> int:
    """Return an aware moment in microseconds since 1970, exactly."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def isoformat(us: int) -> str:
    """Return microseconds since 1970 in the stored form, ``YYYY-MM-DDThh:mm:ss.ffffff+00:00``."""
    seconds, fraction = divmod(us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat()
    return f"{text[:19]}.{fraction:06d}+00:00"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=65_536)  # the events of a request share a time, and each is asked several times
def _read_time(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


@lru_cache(maxsize=65_536)
def split_path(path: str) -> tuple[str, ...]:
    """Return the parts of a dotted path."""
    return tuple(path.split("."))


def _walk(node: object, parts: tuple[str, ...], start: int) -> Iterator[object]:
    """Yield what stands at the path, the spelling with the longest literal key first."""
    if start == len(parts):
        yield node
    elif isinstance(node, dict):
        for stop in range(len(parts), start, -1):
            key = parts[start] if stop == start + 1 else ".".join(parts[start:stop])
            if key in node:
                yield from _walk(node[key], parts, stop)
    elif isinstance(node, list):
        for element in node:
            if isinstance(element, dict | list):
                yield from _walk(element, parts, start)


def _leaves(node: object) -> Iterator[Scalar]:
    if isinstance(node, list):
        for element in node:
            yield from _leaves(element)
    elif not isinstance(node, dict):
        yield node  # type: ignore[misc]  # JSON knows nothing else


def _present(node: object) -> bool:
    if isinstance(node, list):
        return any(_present(element) for element in node)
    return bool(node) if isinstance(node, dict) else node is not None


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_copy(value) for value in node]
    return node


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is, or is about to be, stored: an id and a JSON object (event-format.md section 1).

    An event is never changed. Whoever knows something more returns a :class:`Change`, and the core makes the
    next event from it. Containers that :meth:`get` returns are copies.

    :param id: 26 characters, sortable by time of reception; a child of a split has its ordinal behind a dash.
    :param body: the document. It must not be changed by whoever made it, nor by whoever is given the event.
    """

    id: str
    body: dict[str, Any] = field(repr=False)
    _json: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def get(self, path: str, default: Any = None) -> Any:
        """Return what stands at a dotted path, or the default where there is nothing or null.

        A literal dotted key and a nested object are the same path; the longest literal key wins.
        """
        value: Any
        parts = split_path(path)
        if len(parts) == 1:
            value = self.body.get(path)
        else:
            parent = self.body.get(parts[0])
            if len(parts) == 2 and parent.__class__ is dict and path not in self.body:  # as nearly always
                value = parent.get(parts[1])
            else:
                value = next(_walk(self.body, parts, 0), None)
        if value is None:
            return default
        return _copy(value) if isinstance(value, dict | list) else value

    def text(self, path: str, default: str = "") -> str:
        """Return the string at a path; the default where there is none or where it is something else."""
        value = self.get(path)
        return value if isinstance(value, str) else default

    def values(self, path: str) -> list[Scalar]:
        """Return every scalar but null at a path, through lists and under each spelling of the path."""
        found: list[Scalar] = []
        for node in _walk(self.body, split_path(path), 0):
            found.extend(value for value in _leaves(node) if value is not None)
        return found

    def exists(self, path: str) -> bool:
        """Return whether the sender or a plugin supplied the field: present, not null, not empty, not defaulted.

        An object exists when it has members.
        """
        if path in self.defaulted:
            return False
        return any(_present(node) for node in _walk(self.body, split_path(path), 0))

    @property
    def defaulted(self) -> Sequence[str]:
        """The fields that the sender did not supply."""
        book = self.body.get("mozdef")
        names = book.get("defaulted", ()) if isinstance(book, dict) else ()
        return names if isinstance(names, list) else ()

    @property
    def program(self) -> str:
        """``details.program``, else the last path part of ``processname`` (mappers.md section 1.2)."""
        details = self.body.get("details")
        program = details.get("program") if isinstance(details, dict) else None
        if isinstance(program, str) and program:
            return program
        if "processname" in self.defaulted:
            return ""
        return self.text("processname").rpartition("/")[2]

    @property
    def time_us(self) -> int:
        """When it happened (``utctimestamp``) in microseconds since 1970."""
        return _read_time(self.body["utctimestamp"])

    @property
    def received_us(self) -> int:
        """When MozDef had it in hand (``receivedtimestamp``) in microseconds since 1970."""
        return _read_time(self.body["receivedtimestamp"])

    @property
    def detection_us(self) -> int:
        """The time that windows, intervals and spans use, in microseconds since 1970 (detections.md A3.2)."""
        time_us, received_us = self.time_us, self.received_us
        if time_us > received_us:
            return received_us
        if time_us < received_us - LATE_HORIZON_S * 1_000_000 and self.get("mozdef.replayed") is not True:
            return received_us
        return time_us

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the document, without the id."""
        return _copy(self.body)  # type: ignore[no-any-return]

    def to_json(self) -> bytes:
        """Return the document as JSON bytes, without the id; written at the first call and kept.

        :raises TypeError: it holds what JSON cannot, which the limits of the normaliser rule out.
        """
        raw = self._json
        if raw is None:
            # A copy of its exact size: those that orjson cuts to size left 75 MB of gaps between 15,000 of them.
            raw = bytes(memoryview(orjson.dumps(self.body)))
            object.__setattr__(self, "_json", raw)
        return raw

    def to_bytes(self) -> bytes:
        """Return the event as JSON bytes, ``{"id": ..., "event": {...}}``."""
        return orjson.dumps({"id": self.id, "event": self.body})

    @classmethod
    def from_bytes(cls, raw: bytes) -> Event:
        """Return the event that :meth:`to_bytes` wrote.

        :raises ValueError: when it did not write it.
        """
        document = orjson.loads(raw)
        if not isinstance(document, dict) or set(document) != {"id", "event"}:
            raise ValueError("expected an object with the members 'id' and 'event'")
        event_id, body = document["id"], document["event"]
        if not isinstance(event_id, str) or not isinstance(body, dict):
            raise ValueError("expected a text as 'id' and an object as 'event'")
        return cls(event_id, body)

    def with_change(self, change: Change) -> Event:
        """Return the event after a change; this one stays as it is.

        A name is set where a literal dotted key of that name already stands, else as nested objects. Where a
        scalar is in the way of a nested object the rest of the name becomes a literal dotted key beside it.
        """
        body = dict(self.body)
        editing = _Editing()
        for path in change.remove:
            editing.remove(body, split_path(path))
        for path, value in change.set.items():
            parts = split_path(path)
            fresh = _copy(value) if isinstance(value, dict | list) else value
            if len(parts) == 2 and path not in body and (parent := body.get(parts[0])).__class__ is dict:
                editing.enter(body, parts[0], parent)[parts[1]] = fresh  # as nearly always
            else:
                editing.set(body, parts, fresh)
        return Event(self.id, body)


class _Editing:
    """Sets and removes paths in a document whose inner objects are shared; each is copied once, when first entered."""

    __slots__ = ("_own",)

    def __init__(self) -> None:
        self._own: dict[int, dict[str, Any]] = {}

    def enter(self, node: dict[str, Any], key: str, child: dict[str, Any]) -> dict[str, Any]:
        """Return the child that stands at a key of a node, as a copy that may be changed."""
        if id(child) not in self._own:
            child = node[key] = dict(child)
            self._own[id(child)] = child  # it lives as long as this, so that its id stays its own
        return child

    def remove(self, node: dict[str, Any], parts: tuple[str, ...]) -> None:
        """Take away every spelling of a path."""
        for stop in range(len(parts), 0, -1):
            key = ".".join(parts[:stop])
            if key not in node:
                continue
            if stop == len(parts):
                del node[key]
            elif isinstance(child := node[key], dict):
                self.remove(self.enter(node, key, child), parts[stop:])

    def set(self, node: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
        """Set the spelling of a path that is there, or a new one."""
        for stop in range(len(parts), 1, -1):
            key = ".".join(parts[:stop])
            if key not in node:
                continue
            if stop == len(parts):
                node[key] = value
                return
            if isinstance(child := node[key], dict):
                self.set(self.enter(node, key, child), parts[stop:], value)
                return
        if len(parts) == 1:
            node[parts[0]] = value
            return
        child = node.get(parts[0])
        if child is None:
            child = {}
        elif not isinstance(child, dict):
            node[".".join(parts)] = value
            return
        self.set(self.enter(node, parts[0], child), parts[1:], value)


@dataclass(frozen=True, slots=True)
class Problem:
    """A note about a field that a plugin could not use as it was, for ``mozdef.problems``.

    :param code: one of the codes that are documented for problems, such as ``ip-invalid``.
    :param message: a sentence with the value.
    :param field: the field's dotted name, where it is one.
    """

    code: str
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a plugin wants changed in an event.

    :param set: values by dotted name, such as ``{"details.username": "ines"}``; each replaces what was there.
    :param remove: dotted names to take away, before anything is set.
    :param again: ask for one more run of the plugins of lower order over the changed event (mappers.md section 1).
    :param problems: sentences about what the plugin could not read, noted in ``mozdef.problems`` as
        ``conversion-failed``; or :class:`Problem`, with a code and a field.
    """

    set: Mapping[str, Any] = field(default_factory=dict)
    remove: Iterable[str] = ()
    again: bool = False
    problems: Iterable[str | Problem] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """Several events instead of one; each child's id is the parent's id, a dash and its ordinal from 1."""

    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Refuse:
    """The item is not what it claims to be: it becomes a dead letter with this code and reason."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """The event is noise by the operator's decision; it is counted under this reason and not stored."""

    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """The event is a state document that replaces its predecessor (mappers.md section 10).

    :param collection: name of the collection, such as ``vulnerabilities``.
    :param id: id of the document within the collection.
    :param keep_event: store it among the events as well, and go on with the plugins after this one.
    """

    collection: str
    id: str
    keep_event: bool = False
