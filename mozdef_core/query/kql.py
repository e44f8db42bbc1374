r"""Kibana's query language KQL, read into the query model.

``field:value``, ``"quoted"``, ``and or not`` in any case, parentheses, ``field:(a or b)``, ``*`` in values,
``field >= 5``, ``field:*``, bare values, and ``path:{ a:1 or b:2 }``. What each construct becomes:

- Unquoted words are one value. On text fields any of its tokens is enough, on other fields it is the whole value.
- A quoted value is a phrase on text fields and the whole value on others; ``*`` in quotes is a star.
- ``*`` alone means existence; in a value any number of characters. ``?`` is an ordinary character.
- A condition on elements of a list (``path:{ ... }``) may hold one condition, or several joined by ``or``: lists
  are not kept apart here, so that ``and`` and ``not`` within one element cannot be answered and are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar
from mozdef_core.query import glob
from mozdef_core.query.analysed import any_word, phrase, words_and_globs
from mozdef_core.query.bounds import bounds
from mozdef_core.query.dialect import Dialect, Own
from mozdef_core.query.kql_text import Scanner, Word
from mozdef_core.query.model import ANY_FIELD, All, Bool, Query, Range
from mozdef_core.query.plain import NOTHING

LONGEST: Final = 32_768
"""Characters that a query may have."""

_DEEPEST: Final = 50
_CLAUSE: Final = "a value, field:value, a range such as field > 5, 'not' or '('"
_COMPARISONS: Final = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}

_Part = TypeVar("_Part")
_Partial: TypeAlias = Callable[[str], Query]
"""A condition that waits for its field."""


def parse(text: str, *, dialect: Dialect | None = None) -> Query:
    """Return what a query in KQL means; an empty one means everything.

    :param dialect: how names and times are meant; None is as MozDef's own.
    :raises QueryError: it does not parse, or cannot be answered; with the position and what was expected there.
    """
    if len(text) > LONGEST:
        raise QueryError(f"the query is longer than {LONGEST} characters", LONGEST)
    return _Parser(text, dialect or Own()).run()


class _Parser:
    """Recursive descent; each method reads one rule of the grammar and leaves what follows."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.scanner = Scanner(text)
        self.dialect = dialect
        self.depth = 0
        self.path: list[str] = []

    def run(self) -> Query:
        self.scanner.blanks()
        if self.scanner.done():
            return All()
        query = self._either()
        self.scanner.blanks()
        if not self.scanner.done():
            raise self.scanner.unexpected("'and', 'or' or the end")
        return query

    def _either(self) -> Query:
        return _joined(self._list("or", self._both), "should")

    def _both(self) -> Query:
        return _joined(self._list("and", self._negatable), "must")

    def _negatable(self) -> Query:
        negated = self._negation()
        query = self._closed(self._either) if self.scanner.peek("(") else self._condition()
        return ~query if negated else query

    def _list(self, word: Literal["and", "or"], part: Callable[[], _Part]) -> list[_Part]:
        parts = [part()]
        at = self.scanner.at
        while self.scanner.operator(word):
            if self.path and word == "and":
                raise self._apart(at)
            parts.append(part())
            at = self.scanner.at
        return parts

    def _negation(self) -> bool:
        at = self.scanner.at
        negated = self.scanner.negation()
        if negated and self.path:
            raise self._apart(at)
        return negated

    def _apart(self, position: int) -> QueryError:
        name = ".".join(self.path)
        return QueryError(
            f"'and' and 'not' within {name}:{{ }} ask for one element of a list, and elements are not kept apart"
            f" here; expected one condition or 'or' (outside the braces, {name}.field:value asks for any element)",
            position,
        )

    def _closed(self, inner: Callable[[], _Part], closing: str = ")") -> _Part:
        """Read what stands in brackets, with the brackets."""
        opening = self.scanner.at
        self.depth += 1
        if self.depth > _DEEPEST:
            raise QueryError(f"brackets are nested more than {_DEEPEST} deep", opening)
        self.scanner.at += 1
        self.scanner.blanks()
        found = inner()
        self.scanner.blanks()
        if self.scanner.done():
            raise QueryError(f"expected {closing!r} for the {self.scanner.text[opening]!r}", opening)
        if not self.scanner.peek(closing):
            raise self.scanner.unexpected(f"'and', 'or' or {closing!r}")
        self.scanner.at += 1
        self.depth -= 1
        return found

    def _condition(self) -> Query:
        word = self.scanner.word(_CLAUSE)
        end = self.scanner.at
        self.scanner.blanks()
        if self.scanner.peek(":"):
            self.scanner.at += 1
            self.scanner.blanks()
            return self._nested(word) if self.scanner.peek("{") else self._on(word, self._value())
        comparison = self.scanner.comparison()
        if comparison is not None:
            return self._on(word, self._range(_COMPARISONS[comparison]))
        self.scanner.at = end
        if self.path:
            self.scanner.blanks()
            raise self.scanner.unexpected("':' or a comparison behind the name of a field")
        return _meaning(word)(ANY_FIELD)

    def _nested(self, word: Word) -> Query:
        if word.wild:
            raise QueryError("expected the name of one field in front of '{'", word.position)
        self.path.append(word.text)
        found = self._closed(self._either, "}")
        self.path.pop()
        return found

    def _on(self, word: Word, partial: _Partial) -> Query:
        """Return a condition on the field, or the fields, that a word names."""
        prefix = "".join(f"{part}." for part in self.path)
        if word.wild and word.pattern == ANY_FIELD and not prefix:
            return partial(ANY_FIELD)
        try:
            if not word.wild:
                return partial(self.dialect.name(prefix + word.text))
            names = self.dialect.names(glob.escape(prefix) + word.pattern)
            return _joined([partial(name) for name in names], "should") if names else NOTHING
        except QueryError as error:
            position = word.position if error.position is None else error.position
            raise QueryError(str(error), position) from None

    def _value(self) -> _Partial:
        if self.scanner.peek("("):
            return self._closed(self._values)
        return _meaning(self.scanner.word("a value, '*' or '('"))

    def _values(self) -> _Partial:
        parts = self._list("or", self._all_values)
        return lambda field: _joined([part(field) for part in parts], "should")

    def _all_values(self) -> _Partial:
        parts = self._list("and", self._negatable_value)
        return lambda field: _joined([part(field) for part in parts], "must")

    def _negatable_value(self) -> _Partial:
        negated = self._negation()
        partial = self._value()
        return (lambda field: ~partial(field)) if negated else partial

    def _range(self, bound: str) -> _Partial:
        word = self.scanner.word("a number, a time or a text to compare with")
        if word.wild:
            raise QueryError("expected a value without '*' to compare with", word.position)

        def compare(field: str) -> Query:
            found = self.dialect.times(Range(field, **{bound: word.text}))
            bounds(found)
            return found

        return compare


def _meaning(word: Word) -> _Partial:
    """Return the condition on a value; what it is depends on the field."""
    if word.quoted:
        return lambda field: phrase(field, word.text)
    if word.wild:
        return lambda field: words_and_globs(field, word.pattern)
    if word.text == "null":
        raise QueryError(
            'null is never found; for events without a field write: not field:*, for the word: "null"',
            word.position,
        )
    value: Scalar = {"true": True, "false": False}.get(word.text, word.text)
    return lambda field: any_word(field, value)


def _joined(queries: Sequence[Query], side: Literal["must", "should"]) -> Query:
    if len(queries) == 1:
        return queries[0]
    return Bool(must=queries) if side == "must" else Bool(should=queries)
