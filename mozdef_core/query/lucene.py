"""Search strings in Lucene's syntax (detections.md A2), read into the query model. The only user of luqum.

How ``+`` and ``-`` are meant: among clauses that stand side by side without an operator, those with ``+`` are required
(the ones without then decide nothing) and those with ``-`` excluded; anywhere else ``-`` is ``NOT`` and ``+`` nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from luqum import tree  # type: ignore[import-untyped]
from luqum.exceptions import ParseError  # type: ignore[import-untyped]
from luqum.thread import parse as parse_tree  # type: ignore[import-untyped]

from mozdef_core.errors import QueryError
from mozdef_core.query import expressions
from mozdef_core.query.bounds import bounds
from mozdef_core.query.dialect import Dialect, Own
from mozdef_core.query.lucene_source import GLOBS, IGNORING_CASE, LINE_BREAK, Source, rewrite
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    All,
    Bool,
    Exists,
    In,
    MatchPhrase,
    Query,
    Range,
    Regexp,
    Term,
    Wildcard,
)

_DEEPEST: Final = 160  # three for each of the brackets that may be nested, and some
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_WILDCARD: Final = re.compile(r"(?:[^\\*?]|\\.)*[*?]", re.DOTALL)
_POSITION: Final = re.compile(r"at position (\d+)")
_CLAUSE: Final = "a word, a quoted text, field:value, a regular expression or '('"


class Parsed(NamedTuple):
    """A query, and what in the search string had no effect, one sentence each."""

    query: Query
    warnings: Sequence[str]


def parse(text: str) -> Query:
    """Return what a search string means; costs about 0.1 ms a clause.

    :raises QueryError: it does not parse; with the position and what was expected there.
    """
    return read(text).query


def read(
    text: str, *, dialect: Dialect | None = None, default_field: str | None = None, all_words: bool = False
) -> Parsed:
    """Return what a search string means, with warnings such as for ``~2``, which is ignored.

    :param dialect: how names and times are meant; None is as MozDef's own.
    :param default_field: where clauses without a field look; None is everywhere.
    :param all_words: clauses that stand side by side without an operator are all required.
    :raises QueryError: as :func:`parse`.
    """
    source = rewrite(text)
    try:
        root = parse_tree(source.text)
    except ParseError as error:
        raise _syntax_error(text, source, str(error)) from None
    reader = _Reader(source, dialect or Own(), all_words)
    return Parsed(reader.query(root, default_field, 0), tuple(reader.warnings))


def _syntax_error(text: str, source: Source, complaint: str) -> QueryError:
    found = _POSITION.search(complaint)
    if found is None:
        return QueryError(f"unexpected end; expected {_CLAUSE}", len(text))
    position = source.original(int(found[1]))
    before = text[:position].rstrip()
    expected = (
        "a TO b and then ']' or '}'"
        if before.count("[") + before.count("{") > (before.count("]") + before.count("}"))
        else _CLAUSE
    )
    return QueryError(f"unexpected {text[position : position + 20]!r}; expected {expected}", position)


@dataclass
class _Reader:
    """Turns luqum's tree into the query model."""

    source: Source
    dialect: Dialect
    all_words: bool
    warnings: list[str] = field(default_factory=list)

    def query(self, node: Any, name: str | None, depth: int) -> Query:
        """Return the query of one node; ``name`` is the field that it stands under, if any."""
        if depth > _DEEPEST:
            raise QueryError(f"the search string is nested more than {_DEEPEST} deep", self._position(node))
        match node:
            case tree.SearchField():
                return self._field(node, depth)
            case tree.BaseGroup():
                return self.query(node.expr, name, depth + 1)
            case tree.Boost() | tree.Fuzzy() | tree.Proximity():
                return self._ignored(node, name, depth)
            case tree.Not() | tree.Prohibit():
                return ~self.query(node.a, name, depth + 1)
            case tree.Plus():
                return self.query(node.a, name, depth + 1)
            case tree.AndOperation():
                return Bool(must=[self.query(child, name, depth + 1) for child in node.children])
            case tree.OrOperation():
                return Bool(should=[self.query(child, name, depth + 1) for child in node.children])
            case tree.UnknownOperation():
                return self._side_by_side(node, name, depth)
            case tree.Range() | tree.From() | tree.To():
                return self._range(node, name)
        return self._leaf(node, name)

    def _position(self, node: Any) -> int:
        return self.source.original(node.pos or 0)

    def _side_by_side(self, node: Any, name: str | None, depth: int) -> Query:
        required, other, excluded = [], [], []
        for child in node.children:
            if isinstance(child, tree.Plus):
                required.append(self.query(child.a, name, depth + 1))
            elif isinstance(child, tree.Prohibit):
                excluded.append(self.query(child.a, name, depth + 1))
            else:
                other.append(self.query(child, name, depth + 1))
        if self.all_words:
            return Bool(must=required + other, must_not=excluded)
        return Bool(must=required, should=() if required else other, must_not=excluded)

    def _ignored(self, node: Any, name: str | None, depth: int) -> Query:
        sign = "^" if isinstance(node, tree.Boost) else "~"
        position = self._position(node)
        self.warnings.append(f"position {position}: {sign!r} has no effect here and is ignored")
        return self.query(node.expr if sign == "^" else node.term, name, depth + 1)

    def _field(self, node: Any, depth: int) -> Query:
        position = self._position(node)
        name = _unescape(node.name)
        if node.name == "_exists_" and isinstance(node.expr, tree.Word | tree.Phrase):
            return self._exists(node)
        if node.name in GLOBS and isinstance(node.expr, tree.Phrase):
            return Wildcard(ANY_FIELD, _value(node.expr), case_insensitive=node.name == IGNORING_CASE)
        if node.name == ANY_FIELD:
            return self.query(node.expr, None, depth + 1)
        if _WILDCARD.match(node.name):
            raise QueryError(
                f"a wildcard in the name of a field, {name!r}; expected one field, or none", position
            )
        return self.query(node.expr, self.dialect.name(name), depth + 1)

    def _exists(self, node: Any) -> Query:
        if isinstance(node.expr, tree.Word) and _WILDCARD.match(node.expr.value):
            raise QueryError("expected the name of one field behind _exists_:", self._position(node.expr))
        return Exists(self.dialect.name(_value(node.expr)))

    def _leaf(self, node: Any, name: str | None) -> Query:
        if isinstance(node, tree.Regex):
            return self._expression(node, name or ANY_FIELD)
        if isinstance(node, tree.Word) and _WILDCARD.match(node.value):
            if node.value == "*":
                return All() if name is None else Exists(name)
            return Wildcard(name or ANY_FIELD, _pattern(node.value))
        if name is not None and self._names_list(node):
            return self._in_list(node, name)
        value = _value(node)
        if name is None or name in TEXT_FIELDS:
            return MatchPhrase(name or ANY_FIELD, value)
        return Term(name, value)

    def _names_list(self, node: Any) -> bool:
        """Return whether a value is ``@name``; in queries from elsewhere ``@`` is a character as any other."""
        return isinstance(node, tree.Word) and node.value.startswith("@") and isinstance(self.dialect, Own)

    def _in_list(self, node: Any, name: str) -> Query:
        try:
            return In(name, node.value[1:])
        except QueryError as error:
            reason = f"{error}; a value that begins with @ is written in quotes"
            raise QueryError(reason, self._position(node)) from None

    def _expression(self, node: Any, name: str) -> Query:
        expression = node.value[1:-1].replace("\\/", "/")
        try:
            expressions.matcher(expression)
        except QueryError as error:
            raise QueryError(str(error), self._position(node)) from None
        return Regexp(name, expression)

    def _range(self, node: Any, name: str | None) -> Query:
        position = self._position(node)
        if name is None:
            raise QueryError("a range needs a field; expected field:[a TO b] or field:>a", position)
        low = high = None
        if isinstance(node, tree.Range):
            low, high = _bound(node.low), _bound(node.high)
            low_name = "gte" if node.include_low else "gt"
            high_name = "lte" if node.include_high else "lt"
        elif isinstance(node, tree.From):
            low, low_name, high_name = _bound(node.a), "gte" if node.include else "gt", "lte"
        else:
            high, low_name, high_name = _bound(node.a), "gte", "lte" if node.include else "lt"
        if low is None and high is None:
            return Exists(name)
        try:
            found = self.dialect.times(Range(name, **{low_name: low, high_name: high}))
            bounds(found)
        except QueryError as error:
            raise QueryError(str(error), position) from None
        return found


def _unescape(text: str) -> str:
    return _ESCAPED.sub(_character, text)


def _character(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] == LINE_BREAK else escaped[1]


def _value(node: Any) -> str:
    return _unescape(node.value[1:-1] if isinstance(node, tree.Phrase) else node.value)


def _bound(node: Any) -> str | None:
    return None if isinstance(node, tree.Word) and node.value == "*" else _value(node)


def _pattern(word: str) -> str:
    r"""Return a word as a pattern: of its escapes only those of ``*``, ``?`` and ``\`` are left."""
    return _ESCAPED.sub(lambda found: found[0] if found[1] in "*?\\" else _character(found), word)
