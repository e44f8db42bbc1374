"""An index over queries: which of many an event can match at all, at the cost of a few look-ups.

From each query one condition is taken that every match fulfils: that a field holds one of some values, that a text
has a word, or only that there is a field. Queries are filed under it; an event asks for what it holds itself. So a
thousand queries cost what their fields cost, and then those few that could match.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from mozdef_core.event import Event, Scalar, split_path
from mozdef_core.query.fields import Test, any_value
from mozdef_core.query.lists import Listed
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    Bool,
    Exists,
    In,
    Match,
    MatchPhrase,
    Query,
    Range,
    Regexp,
    Subnet,
    Terms,
    Wildcard,
)
from mozdef_core.query.plain import plain
from mozdef_core.query.text import remembered_tokens, tokens
from mozdef_core.query.values import fold, spellings, spelt_number

MOST_KEYS: Final = 1_000
"""A condition with more values than this is filed under its field only."""

_NUMERIC: Final = frozenset("-0123456789")
_COMMON: Final = frozenset(
    {
        "category", "eventsource", "hostname", "mozdef", "mozdefhostname", "processid", "processname",
        "receivedtimestamp", "severity", "source", "summary", "tags", "timestamp", "utctimestamp",
    }
)  # fmt: skip
"""Fields that most events have: that one is there says nothing, and many events share a value of it."""


class _Anchor(NamedTuple):
    """A condition that every match of a query fulfils: any of the parts. Smaller ranks are met by fewer events."""

    rank: int
    values: frozenset[tuple[str, str]] = frozenset()
    words: frozenset[tuple[str, str]] = frozenset()
    fields: frozenset[str] = frozenset()

    def or_else(self, other: _Anchor) -> _Anchor:
        """Return the condition that this one or the other holds."""
        return _Anchor(
            max(self.rank, other.rank),
            self.values | other.values,
            self.words | other.words,
            self.fields | other.fields,
        )

    @property
    def keys(self) -> Iterator[Hashable]:
        """What a query with this condition is filed under."""
        return chain(self.values, (("word", *pair) for pair in self.words), self.fields)


class QueryIndex:
    """Tells of an event which queries it may match; it never leaves one out that it does match.

    :param queries: in an order whose positions :meth:`candidates` returns.
    :raises QueryError: one of them has no meaning.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self._always: list[int] = []
        self._values: dict[str, dict[str, list[int]]] = {}
        self._words: dict[str, dict[str, list[int]]] = {}
        self._fields: dict[str, list[int]] = {}
        for position, anchor in enumerate(_chosen([_anchors(plain(query)) for query in queries])):
            if anchor is None:
                self._always.append(position)
                continue
            for field, key in anchor.values:
                self._values.setdefault(field, {}).setdefault(key, []).append(position)
            for field, word in anchor.words:
                self._words.setdefault(field, {}).setdefault(word, []).append(position)
            for field in anchor.fields:
                self._fields.setdefault(field, []).append(position)
        self._hits = [(_hit(field, by_key), field, by_key) for field, by_key in self._values.items()]
        self._present = [(_present(field), positions) for field, positions in self._fields.items()]

    @property
    def unfiled(self) -> int:
        """How many queries have no such condition, so that every event is a candidate of them."""
        return len(self._always)

    def candidates(self, event: Event) -> set[int]:
        """Return the positions of the queries that the event may match."""
        found = set(self._always)
        for hit, field, by_key in self._hits:
            if hit(event):
                for value in event.values(field):
                    found.update(by_key.get(_key(value), ()))
        for field, by_word in self._words.items():
            for value in event.values(field):
                if isinstance(value, str):
                    for word in remembered_tokens(value):
                        if word in by_word:
                            found.update(by_word[word])
        for present, positions in self._present:
            if present(event):
                found.update(positions)
        return found


def _chosen(choices: Sequence[Sequence[_Anchor]]) -> list[_Anchor | None]:
    """Return for each query one of its conditions: of equal rank the one that fewest queries share."""
    shared = Counter(key for anchors in choices for anchor in anchors for key in anchor.keys)

    def cost(anchor: _Anchor) -> tuple[int, int]:
        return anchor.rank, sum(shared[key] for key in anchor.keys)

    return [min(anchors, key=cost, default=None) for anchors in choices]


def _hit(field: str, by_key: Mapping[str, object]) -> Test:
    """Return the test whether any value of a field is a key; it seldom is, so this is what an event costs."""

    def is_key(value: Scalar) -> bool:
        return _key(value) in by_key

    return any_value(field, is_key, is_key)


def _present(field: str) -> Test:
    """Return the test whether there is anything under a field, be it null."""
    parts = split_path(field)
    if len(parts) != 2:
        return lambda event: event.exists(field) or bool(event.values(field))
    outer, inner = parts

    def test(event: Event) -> bool:
        inside = event.body.get(outer)
        return field in event.body or (inner in inside if isinstance(inside, dict) else inside is not None)

    return test


def _key(value: Scalar) -> str:
    """Return a text that two values share if they are equal, with or without case."""
    if isinstance(value, str):
        text = fold(value)
        number = spelt_number(text) if text[:1] in _NUMERIC else None
        if number is None:
            return text
        value = number
    return next(iter(spellings(value)), "")


def _anchors(query: Query) -> Sequence[_Anchor]:
    """Return conditions each of which every match of a query in plain form fulfils."""
    if isinstance(query, Bool):
        found = [anchor for clause in query.must for anchor in _anchors(clause)]
        return [*found, *_either(query.should)]
    anchor = _anchor(query)
    return [] if anchor is None else [anchor]


def _anchor(query: Query) -> _Anchor | None:
    """Return the condition that a single clause is; None where there is none to file by."""
    if isinstance(query, Terms):
        if len(query.values) > MOST_KEYS:
            return _field(query.field)
        rank = 2 if _is_common(query.field) else 0
        return _Anchor(rank, values=frozenset((query.field, _key(value)) for value in query.values))
    if isinstance(query, Match | MatchPhrase):
        words = tokens(query.value)
        if query.field == ANY_FIELD or query.field not in TEXT_FIELDS:
            return None
        # A text without words is found nowhere, so a condition that nothing fulfils is right.
        return _Anchor(1, words=frozenset({(query.field, max(words, key=len))} if words else ()))
    if isinstance(query, In | Listed):
        return _field(query.field)  # not under the values: they change
    if isinstance(query, Exists | Range | Subnet | Wildcard | Regexp) and query.field != ANY_FIELD:
        return _field(query.field)
    return None


def _either(clauses: Sequence[Query]) -> Iterator[_Anchor]:
    """Yield the condition that any of the clauses holds, if each of them has one."""
    if not clauses:
        return
    joined = _Anchor(0)
    for clause in clauses:
        anchor = min(_anchors(clause), key=lambda anchor: anchor.rank, default=None)
        if anchor is None:
            return
        joined = joined.or_else(anchor)
    if len(joined.values) + len(joined.words) + len(joined.fields) <= MOST_KEYS:
        yield joined


def _field(field: str) -> _Anchor | None:
    return None if _is_common(field) else _Anchor(3, fields=frozenset({field}))


def _is_common(field: str) -> bool:
    return field == "details" or field.partition(".")[0] in _COMMON
