"""How an event is laid out in the index: the schema, and the document made from each event.

The whole event is stored as its JSON bytes. For searching, what stands in it goes to the JSON field ``e``, but for
the summary (a text field of its own tokens) and the three times (columns of microseconds), which would be most of
the index otherwise. Strings go in as they are with two exceptions, since the index has its own ideas about them:

- One that looks like a date gets a mark behind it; tantivy would take it for a date and forget its text.
- One above :data:`LONGEST` characters is cut and gets a hash; tantivy leaves terms above 64 KiB out.

A document goes in as one JSON text, which costs a third less than an object built column by column. One with a long
fraction goes in as an object all the same: from text, tantivy reads one in eight of those wrong by their last bit.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, TypeAlias

import orjson
from tantivy import Document, Index, Schema, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from mozdef_core.drivers.tantivy_catalogue import HOUR_US, MOST_PATHS, Catalogue, Kind, day_of
from mozdef_core.event import Event, microseconds
from mozdef_core.query.addresses import read_address
from mozdef_core.query.model import is_address_field
from mozdef_core.query.order import tie
from mozdef_core.query.text import tokens
from mozdef_core.query.values import read_number

MARK: Final = "\x02"
LONGEST: Final = 8_000
HUGE: Final = 2**53
HOISTED: Final = ("summary", "timestamp", "utctimestamp", "receivedtimestamp")
"""The top-level fields that have columns of their own; they are in ``e`` only when they are not plain text."""
ADDRESSES: Final[Mapping[str, str]] = {
    "details.sourceipaddress": "ip_source",
    "details.destinationipaddress": "ip_destination",
    "details.eventsourceipaddress": "ip_eventsource",
}
"""The paths whose addresses have a column of their own; those of all other address fields share ``ip_other``."""
OTHER_ADDRESSES: Final = "ip_other"

_SHORTEST_DATE: Final = 19
_CUT: Final = 1_000
_LONGEST_FRACTION: Final = 15
_LONGEST_SUMMARY: Final = 16_000
_DEEPEST: Final = 100
"""Brackets that an event may have for its document to be text; tantivy refuses text that is nested 128 deep."""
_NUMERIC: Final = "-0123456789"
_CONTROLS: Final = re.compile("[\x00-\x02]")
_PLAIN_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?\+00:00", re.ASCII)


def make_schema() -> Schema:
    """Return the fields of every partition's index."""
    builder = SchemaBuilder()
    builder.add_text_field("_id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("us", fast=True)
    builder.add_integer_field("hour", indexed=True, fast=True)
    builder.add_integer_field("received", fast=True)
    builder.add_unsigned_field("tie", fast=True)
    builder.add_text_field("summary", tokenizer_name="words", index_option="position")
    builder.add_text_field("defaulted", tokenizer_name="raw", index_option="basic")
    for column in (*ADDRESSES.values(), OTHER_ADDRESSES):
        builder.add_ip_addr_field(column, fast=True)
    builder.add_json_field(
        "e", fast=True, tokenizer_name="raw", index_option="basic", expand_dots_enabled=True
    )
    builder.add_bytes_field("_source", stored=True)
    return builder.build()


def prepare(index: Index) -> None:
    """Give a freshly opened index its tokenizer and leave it to us when readers look for changes."""
    index.register_tokenizer("words", TextAnalyzerBuilder(Tokenizer.whitespace()).build())
    index.config_reader("manual")


def indexed_text(text: str) -> str:
    """Return the term that stands for a string in ``e``; no two strings share one."""
    if len(text) < _SHORTEST_DATE:
        return text
    if len(text) > LONGEST:
        return text[:_CUT] + MARK + blake2b(text.encode(), digest_size=16).hexdigest()
    return text + MARK if text[4] == "-" else text


def shown_text(term: str) -> str:
    """Return the string that a term stands for: the inverse of :func:`indexed_text`, but of :func:`is_cut` terms."""
    return term[:-1] if len(term) > _SHORTEST_DATE and term[4] == "-" else term


def is_cut(term: str) -> bool:
    """Return whether a term may stand for a string above :data:`LONGEST`, whose end it does not tell."""
    return len(term) == _CUT + len(MARK) + 32 and term[_CUT] == MARK


def indexed_path(path: str) -> str:
    """Return the name by which the index knows a dotted path below ``e``."""
    return "e." + _CONTROLS.sub(_escape, path).replace("\\", "\\\\")


def _escape(found: re.Match[str]) -> str:
    return MARK + str(ord(found[0]))


@lru_cache(maxsize=65_536)
def address_text(text: str) -> str | None:
    """Return the usual spelling of an address without its zone, or None when the text is none."""
    number = read_address(text)
    if number is None:
        return None
    return str(IPv4Address(number & 0xFFFFFFFF) if number >> 32 == 0xFFFF else IPv6Address(number))


Laid: TypeAlias = str | Document
"""A document as the index takes it: JSON text, or an object where text would not do."""


class _Node:
    """One path that has been seen, with the literal keys below it."""

    __slots__ = ("children", "column", "key", "kinds", "path", "renamed")

    def __init__(self, path: str, key: str) -> None:
        self.path = path
        self.key = _CONTROLS.sub(_escape, key)
        self.renamed = self.key != key
        self.kinds = 0
        self.children: dict[str, _Node] = {}
        self.column = ADDRESSES.get(path) or (OTHER_ADDRESSES if is_address_field(path) else None)


class Layout:
    """Makes the documents of one partition and tells its catalogue what stands in them; 8 us an event and more.

    :param catalogue: what to tell; it must be saved before the documents are committed.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._root = _Node("", "")
        self._size = 0
        self._exact = False
        self._addresses: list[tuple[str, str]] = []

    def document(self, event: Event) -> Laid:
        """Return the document of an event.

        :raises ValueError: it has something that JSON has not, is nested too deep, or has no readable time.
        :raises TypeError: likewise.
        """
        source = event.to_json()
        us = _time_us(event)
        self._addresses.clear()
        self._exact = False
        if self._size > 2 * MOST_PATHS:
            self._root, self._size = _Node("", ""), 0
        columns: dict[str, Any] = {"_id": event.id, "us": us, "tie": tie(event.id)}
        if self._catalogue.hours:
            columns["hour"] = us // HOUR_US
        rest = dict(event.body)
        self._hoist(columns, rest)
        columns["e"], _ = self._object(rest, self._root)
        for column, address in self._addresses:
            columns.setdefault(column, []).append(address)
        defaulted = [name for name in event.defaulted if isinstance(name, str)]
        if defaulted:
            columns["defaulted"] = defaulted
        self._catalogue.see_day(day_of(us))
        if self._exact or source.count(b"{") + source.count(b"[") > _DEEPEST:
            return _as_object(columns, source)
        columns["_source"] = b2a_base64(source, newline=False).decode()
        return orjson.dumps(columns).decode()

    def _hoist(self, columns: dict[str, Any], rest: dict[str, Any]) -> None:
        """Move the summary and the times to their columns where they are plain."""
        summary = rest.get("summary")
        if isinstance(summary, str) and len(summary) <= _LONGEST_SUMMARY:
            columns["summary"] = " ".join(tokens(summary))
            del rest["summary"]
        else:
            self._catalogue.see_kind("summary", Kind.ODD)
        time = rest["utctimestamp"]
        plain = _PLAIN_TIME.fullmatch(time) is not None
        if plain:
            del rest["utctimestamp"]
        else:
            self._catalogue.see_kind("utctimestamp", Kind.ODD)
        if plain and rest.get("timestamp") == time:
            del rest["timestamp"]
        else:
            self._catalogue.see_kind("timestamp", Kind.ODD)
        received = rest.get("receivedtimestamp")
        received_us = _plain_time_us(received) if isinstance(received, str) else None
        if received_us is not None:
            columns["received"] = received_us
            del rest["receivedtimestamp"]
        else:
            self._catalogue.see_kind("receivedtimestamp", Kind.ODD)

    def _note(self, node: _Node, kind: int) -> None:
        node.kinds |= kind
        self._catalogue.see_kind(node.path, kind)

    def _grow(self, parent: _Node, key: str) -> _Node:
        """Return the node of a key that is new below its parent."""
        self._size += 1
        path = f"{parent.path}.{key}" if parent is not self._root else key
        node = parent.children[key] = _Node(path, key)
        for position in range(len(path) - len(key), len(path)):
            if path[position] == ".":
                self._catalogue.see_kind(path[:position], Kind.DOTTED)
        return node

    def _object(self, members: dict[str, Any], node: _Node) -> tuple[dict[str, Any], bool]:
        """Return what to index of an object, and whether anything was found in it that will be.

        The usual cases stand here and not in functions: this runs for every value of every event.
        """
        indexed = members
        found = False
        children = node.children
        for key, value in members.items():
            child = children.get(key)
            if child is None:
                child = self._grow(node, key)
            kind = type(value)
            fresh = value
            if kind is str:
                found = True
                if (
                    not child.kinds & Kind.STRING
                    or child.column is not None
                    or len(value) >= _SHORTEST_DATE
                    or (value[:1] in _NUMERIC and not child.kinds & Kind.NUMERAL)
                ):
                    fresh = self._string(value, child)
            elif kind is int and child.kinds & Kind.NUMBER and -HUGE < value < HUGE:
                found = True
            elif value is not None:
                fresh, below = self._value(value, child)
                found = found or below
            if fresh is not value or child.renamed:
                indexed = dict(members) if indexed is members else indexed
                if child.renamed:
                    del indexed[key]
                indexed[child.key] = fresh
        if members and not found:
            return {**indexed, MARK: True}, node is not self._root
        return indexed, found

    def _value(self, value: Any, node: _Node) -> tuple[Any, bool]:
        if isinstance(value, dict):
            if not node.kinds & Kind.OBJECT:
                self._note(node, Kind.OBJECT)
            return self._object(value, node)
        if isinstance(value, list):
            return self._list(value, node)
        if isinstance(value, str):
            return self._string(value, node), True
        if value is None:
            return None, False
        if isinstance(value, bool):
            if not node.kinds & Kind.BOOLEAN:
                self._note(node, Kind.BOOLEAN)
            return value, True
        kind = Kind.NUMBER if -HUGE < value < HUGE else Kind.NUMBER | Kind.HUGE
        if node.kinds | kind != node.kinds:
            self._note(node, kind)
        if isinstance(value, float):
            text = repr(value)
            if len(text) > _LONGEST_FRACTION or "e" in text:
                self._exact = True
        return value or value + 0, True  # for tantivy, -0.0 is less than 0.0

    def _list(self, values: list[Any], node: _Node) -> tuple[list[Any], bool]:
        indexed = values
        found = False
        for place, value in enumerate(values):
            fresh, below = (
                (self._string(value, node), True) if type(value) is str else self._value(value, node)
            )
            if fresh is not value:
                indexed = list(values) if indexed is values else indexed
                indexed[place] = fresh
            found = found or below
        return indexed, found

    def _string(self, text: str, node: _Node) -> str:
        kind = Kind.STRING
        if len(text) > LONGEST:
            kind |= Kind.LONG
        if not node.kinds & Kind.NUMERAL and text[:1] in _NUMERIC and read_number(text) is not None:
            kind |= Kind.NUMERAL
        if node.column is not None:
            address = address_text(text)
            kind |= Kind.NO_ADDRESS if address is None else Kind.ADDRESS
            if address is not None:
                self._addresses.append((node.column, address))
                if address != text:
                    kind |= Kind.RESPELT
        if node.kinds | kind != node.kinds:
            self._note(node, kind)
        return indexed_text(text)


def _as_object(columns: Mapping[str, Any], source: bytes) -> Document:
    """Return a document as an object, which takes what JSON text would change and is nested deeper than it may be."""
    document = Document()
    document.add_text("_id", columns["_id"])
    document.add_integer("us", columns["us"])
    document.add_unsigned("tie", columns["tie"])
    if "hour" in columns:
        document.add_integer("hour", columns["hour"])
    if "received" in columns:
        document.add_integer("received", columns["received"])
    if "summary" in columns:
        document.add_text("summary", columns["summary"])
    document.add_json("e", columns["e"])
    for column in (*ADDRESSES.values(), OTHER_ADDRESSES):
        for address in columns.get(column, ()):
            document.add_ip_addr(column, address)
    for name in columns.get("defaulted", ()):
        document.add_text("defaulted", name)
    document.add_bytes("_source", source)
    return document


@lru_cache(maxsize=1_024)  # the events of a request share their time
def _plain_time_us(text: str) -> int | None:
    """Return a time in its usual form in microseconds since 1970, None for any other."""
    if not _PLAIN_TIME.fullmatch(text):
        return None
    return microseconds(datetime.fromisoformat(text))


def _time_us(event: Event) -> int:
    try:
        return event.time_us
    except KeyError:
        raise ValueError("it has no utctimestamp") from None
    except TypeError:
        raise ValueError(
            f"utctimestamp: expected an ISO 8601 time with offset, got {event.get('utctimestamp')!r}"
        ) from None
