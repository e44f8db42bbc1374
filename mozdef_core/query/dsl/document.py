"""From an event to the document that an index takes, which has the same few fields whatever stands in the event.

The event lies in ``event`` as it is, unknown to the mapping, so that it can neither contradict the type that another
event has for a name nor bring a field too many. Beside it stand MozDef's own fields (query/dsl/template.py), in which
everything is found; the index keeps them for searching and not in ``_source``.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from mozdef_core.event import Event, isoformat
from mozdef_core.query.addresses import read_address
from mozdef_core.query.bounds import TIME_FIELDS, read_time
from mozdef_core.query.dsl.tokens import (
    ADDRESS,
    BOOLEAN,
    FOLDED,
    LONGEST,
    LONGEST_WORD,
    NUMBER,
    OBJECT,
    SPELT,
    STRING,
    TIME,
    address_term,
    column,
    has_number_term,
    number_term,
    path_term,
    text_term,
    time_term,
    word_term,
)
from mozdef_core.query.groups import value_text
from mozdef_core.query.model import TEXT_FIELDS, is_address_field
from mozdef_core.query.order import tie
from mozdef_core.query.text import tokens
from mozdef_core.query.values import fold, read_number

FOREIGN: Final = "_id:foreign"
"""Stands in ``odd`` where the id does not tell the day of reception."""

ANY_LONG: Final = "*:long"
"""Stands in ``odd`` where a string is too long to stand whole in ``any``."""

_MOST_REMEMBERED: Final = 200_000
_NUMERIC: Final = ("-", *"0123456789")
_LONGEST_ADDRESS: Final = 64
_MANY: Final = 50
_MOST_KNOWN: Final = 1_000
_LONGEST_KNOWN: Final = 100


class _Node:
    """A path that has been seen, with the literal keys below it and the beginnings of its terms."""

    __slots__ = (
        "address",
        "boolean",
        "children",
        "column",
        "known",
        "number",
        "path",
        "string",
        "term",
        "text",
        "time",
    )

    def __init__(self, path: str) -> None:
        self.path = path
        self.term = path_term(path)
        self.string, self.number, self.boolean = (self.term + kind for kind in (STRING, NUMBER, BOOLEAN))
        self.column = column(path)
        self.address = is_address_field(path)
        self.text = path in TEXT_FIELDS
        self.time = path in TIME_FIELDS
        self.children: dict[str, _Node] = {}
        self.known: dict[str, _Terms] = {}


class _Making:
    """The document of one event while it is made."""

    __slots__ = (
        "any",
        "columns",
        "defaulted",
        "more",
        "odd",
        "paths",
        "plain_times",
        "remembered",
        "spelt",
        "summary",
        "values",
    )

    def __init__(self, defaulted: frozenset[str]) -> None:
        self.defaulted = defaulted
        self.plain_times: set[str] = set()
        self.columns: dict[str, list[str]] = {}
        self.paths: set[str] = set()
        self.values: list[tuple[_Node, str]] = []
        self.spelt: list[tuple[_Node, str]] = []
        self.summary: list[str] = []
        self.more: list[str] = []
        self.any: set[str] = set()
        self.odd: set[str] = set()
        self.remembered = 0

    def put(self, column: str, term: str) -> None:
        """Add a term to a column."""
        found = self.columns.get(column)
        if found is None:
            self.columns[column] = [term]
        else:
            found.append(term)


class Layout:
    """Makes documents; it remembers paths and strings that it has seen, so keep one. Not for several threads.

    Up to 200,000 of both together, which take some 140 MB; then it begins anew.
    """

    def __init__(self) -> None:
        self._root = _Node("")
        self._size = 0

    def document(self, event: Event) -> dict[str, Any]:
        """Return the document of an event.

        :raises ValueError: it has no readable time.
        :raises RecursionError: it is nested too deep.
        """
        if self._size > _MOST_REMEMBERED:
            self._root, self._size = _Node(""), 0
        us, received = _time(event, "utctimestamp"), _time(event, "receivedtimestamp")
        made = _Making(frozenset(name for name in event.defaulted if isinstance(name, str)))
        plain = isoformat(us)
        for field, text in (
            ("utctimestamp", plain),
            ("timestamp", plain),
            ("receivedtimestamp", isoformat(received)),
        ):
            if event.body.get(field) == text:
                made.plain_times.add(field)
            else:
                made.odd.add(field + TIME)
        self._object(event.body, self._root, made)
        self._size += made.remembered
        _note_doubles(made)
        document: dict[str, Any] = {"us": us, "tie": tie(event.id), "received": received, "id": event.id}
        document.update(made.columns)
        for name, terms in (
            ("summary", made.summary),
            ("any", made.any),
            ("more", made.more),
            ("odd", made.odd),
        ):
            if terms:
                document[name] = list(terms)
        document["paths"] = list(made.paths)
        document["event"] = event.body
        return document

    def _object(self, members: dict[str, Any], parent: _Node, made: _Making) -> None:
        children = parent.children
        for key, value in members.items():
            node = children.get(key)
            if node is None:
                path = key if parent is self._root else f"{parent.path}.{key}"
                node = children[key] = _Node(path)
                self._size += 1
            if value.__class__ is str:
                _put_string(made, node, value)
            else:
                self._value(value, node, made)

    def _value(self, value: Any, node: _Node, made: _Making) -> None:
        if isinstance(value, str):
            _put_string(made, node, value)
        elif isinstance(value, dict):
            if value:
                _see(made, node, OBJECT)
                self._object(value, node, made)
        elif isinstance(value, list):
            for element in value:
                self._value(element, node, made)
        elif isinstance(value, bool):
            _see(made, node, BOOLEAN)
            text = "true" if value else "false"
            made.put(node.column, node.boolean + text)
            made.values.append((node, text))
        elif isinstance(value, int | float) and math.isfinite(value):
            _see(made, node, NUMBER)
            made.put(node.column, node.number + number_term(value))
            made.values.append((node, value_text(value) or ""))


def _see(made: _Making, node: _Node, kind: str) -> None:
    """Note that an event has a field, unless its sender did not supply it."""
    if node.path not in made.defaulted:
        made.paths.add(node.term + kind)


class _Terms(NamedTuple):
    """All terms of a string under a path."""

    kind: str
    column: tuple[str, ...]
    more: tuple[str, ...]
    any: tuple[str, ...]
    odd: tuple[str, ...]
    spelt: str | None


def _put_string(made: _Making, node: _Node, text: str) -> None:
    if node.text:
        _put_words(made, node, text)
        return
    known = node.known.get(text)
    if known is None:
        known = _terms(node, text)
        if len(node.known) < _MOST_KNOWN and len(text) < _LONGEST_KNOWN:
            node.known[text] = known
            made.remembered += 1
    if node.path not in made.defaulted:
        made.paths.add(known.kind)
    if node.time and node.path in made.plain_times:
        return
    found = made.columns.get(node.column)
    if found is None:
        made.columns[node.column] = list(known.column)
    else:
        found += known.column
    made.any.update(known.any)
    if known.more:
        made.more += known.more
    if known.odd:
        made.odd.update(known.odd)
    if known.spelt is not None:
        made.spelt.append((node, known.spelt))


def _terms(node: _Node, text: str) -> _Terms:
    """Return the terms of a string."""
    number = read_address(text) if _may_be_address(text) else None
    written, folded = text_term(text), fold(text)
    odd = [] if len(text) <= LONGEST else [node.term, ANY_LONG]
    more, anywhere, column_terms = [], [STRING + written], [node.string + written]
    if folded != text:
        anywhere.append(FOLDED + text_term(folded))
        more.append(node.term + anywhere[-1])
    if number is not None:
        address = node.term + ADDRESS + address_term(number)
        if node.address:
            more.append(column_terms[0])
            column_terms = [address]
        else:
            more.append(address)
    spelt = read_number(text) if text[:1] in _NUMERIC else None
    spelt_term = None
    if spelt is not None and not has_number_term(spelt):
        odd.append(node.term)
    elif spelt is not None:
        spelt_term = number_term(spelt)
        column_terms.append(node.term + SPELT + spelt_term)
    elif text[4:5] == "-" and (time := read_time(text)) is not None:
        more.append(node.term + TIME + time_term(time[0]))
    kind = TIME if node.time else ADDRESS if node.address and number is not None else STRING
    return _Terms(node.term + kind, tuple(column_terms), tuple(more), tuple(anywhere), tuple(odd), spelt_term)


def _put_words(made: _Making, node: _Node, text: str) -> None:
    """Add a text by its words."""
    _see(made, node, FOLDED)
    words = tokens(text)
    if len(text) > LONGEST_WORD and any(len(word) > LONGEST_WORD for word in words):
        made.odd.add(node.term)
        words = [word_term(word) for word in words]
    made.summary.append(" ".join(words))


def _note_doubles(made: _Making) -> None:
    """Mark fields in which one group or number has two terms, as in ``[443, "443"]``: they are looked at in memory."""
    many = len(made.values) + len(made.spelt) > _MANY
    known = {name: set(terms) for name, terms in made.columns.items()} if many else made.columns
    for node, group in made.values:
        if node.string + group in known[node.column]:
            made.odd.add(node.term)
    for node, term in made.spelt:
        if node.number + term in known[node.column]:
            made.odd.add(node.term)


def _may_be_address(text: str) -> bool:
    return len(text) <= _LONGEST_ADDRESS and (text.count(".") == 3 or ":" in text)


def _time(event: Event, field: str) -> int:
    """Return one of the two times that every event must have.

    :raises ValueError: it has none, or it cannot be read.
    """
    text = event.body.get(field)
    try:
        return event.time_us if field == "utctimestamp" else event.received_us
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"{field}: expected an ISO 8601 time with offset, got {text!r}") from None
