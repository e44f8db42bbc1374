"""Writing a query as a search string that means the same: what the pages show and links carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import singledispatch
from typing import Final

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar
from mozdef_core.query import expressions, glob
from mozdef_core.query.addresses import spans, write_address
from mozdef_core.query.bounds import TIME_FIELDS, bounds
from mozdef_core.query.lists import Listed
from mozdef_core.query.lucene_source import GLOBS, IGNORING_CASE, WITH_CASE, rewrite
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    All,
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
from mozdef_core.query.text import tokens
from mozdef_core.query.values import fold, spellings

_EVERYTHING: Final = "*:*"
_NOTHING: Final = f"(NOT {_EVERYTHING})"
_ODD: Final = re.compile(r"[^\w.@]")
_IN_EXPRESSION: Final = re.compile(r"\\.|/", re.DOTALL)
_RESERVED: Final = frozenset({"AND", "OR", "NOT", "TO", "_exists_", *GLOBS})


def to_lucene(query: Query) -> str:
    """Return a search string that finds what the query finds.

    :raises QueryError: the query has no meaning, or nests deeper or is longer than a search string may.
    """
    text = _print(plain(query))
    try:
        rewrite(text)  # which is the cheap half of reading it, and knows the limits
    except QueryError as error:
        raise QueryError(f"the query cannot be written as a search string: {error}") from None
    return text


@singledispatch
def _print(query: Query) -> str:
    raise QueryError(f"cannot write a {type(query).__name__} as a search string")


@_print.register
def _(_query: All) -> str:
    return _EVERYTHING


@_print.register
def _(query: Bool) -> str:
    clauses = [_print(clause) for clause in query.must]
    if query.should:
        clauses.append(_any(_print(clause) for clause in query.should))
    clauses.extend(f"NOT {_print(clause)}" for clause in query.must_not)
    return clauses[0] if len(clauses) == 1 and not query.must_not else f"({' AND '.join(clauses)})"


@_print.register
def _(query: Terms) -> str:
    name = _name(query.field)
    values = _distinct(query.values, folded=query.case_insensitive)
    parts = [] if query.field in TEXT_FIELDS else [f"{name}:{_quote(value)}" for value in values]
    if query.case_insensitive:
        parts += [f"{name}:{_slashes('(?i)' + expressions.escape(value))}" for value in values]
    elif query.field in TEXT_FIELDS:
        parts += [f"{name}:{_slashes(expressions.escape(value))}" for value in values]
    return _any(parts)


@_print.register
def _(query: Range) -> str:
    bounds(query)  # refuses what has no meaning
    low, high = query.gte if query.gt is None else query.gt, query.lte if query.lt is None else query.lt
    opening, closing = "[" if query.gt is None else "{", "]" if query.lt is None else "}"
    return f"{_name(query.field)}:{opening}{_bound(low)} TO {_bound(high)}{closing}"


@_print.register
def _(query: Exists) -> str:
    return f"_exists_:{_quote(query.field)}"


@_print.register
def _(query: In) -> str:
    return f"{_name(query.field)}:@{query.list}"


@_print.register
def _(query: Listed) -> str:
    return f"{_name(query.field)}:@{query.name}"


@_print.register
def _(query: Wildcard) -> str:
    pattern = glob.read(query.value)
    if query.field in TEXT_FIELDS:
        return _token_glob(query.field, pattern)
    if query.field == ANY_FIELD:
        return _glob_anywhere(query, pattern)
    flag = "(?i)" if query.case_insensitive else ""
    return f"{_name(query.field)}:{_slashes(flag + expressions.from_glob(pattern))}"


@_print.register
def _(query: Regexp) -> str:
    expression = _slashes(("(?i)" if query.case_insensitive else "") + query.value)
    return expression if query.field == ANY_FIELD else f"{_name(query.field)}:{expression}"


@_print.register
def _(query: Match) -> str:
    found = tokens(query.value)
    if query.field == ANY_FIELD:
        whole = [_quote(query.value)]
        return _any(whole + [_words(name, found) for name in sorted(TEXT_FIELDS) if len(found) > 1])
    return _words(query.field, found)


@_print.register
def _(query: MatchPhrase) -> str:
    phrase = _quote(query.value)
    return phrase if query.field == ANY_FIELD else f"{_name(query.field)}:{phrase}"


@_print.register
def _(query: Subnet) -> str:
    name = _name(query.field)
    if query.field in TIME_FIELDS:
        return _NOTHING
    return _any(
        f"{name}:[{_quote(write_address(span.first))} TO {_quote(write_address(span.last))}]"
        for span in spans(query.networks)
    )


def _glob_anywhere(query: Wildcard, pattern: glob.Pattern) -> str:
    text = glob.literal(pattern)
    if query.case_insensitive or (text is not None and tokens(text) != [fold(text)]):
        return f"{IGNORING_CASE if query.case_insensitive else WITH_CASE}:{_quote(query.value)}"
    return _glob_word(pattern) if text is None else _quote(text)


def _token_glob(field: str, pattern: glob.Pattern) -> str:
    text = glob.literal(pattern)
    if text is None:
        return f"{_name(field)}:{_glob_word(pattern)}"
    return f"{_name(field)}:{_quote(text)}" if tokens(text) == [fold(text)] else _NOTHING


def _glob_word(pattern: glob.Pattern) -> str:
    """Return a pattern with wildcards as a word; a lone star, which would mean existence, is doubled."""
    if [piece.kind for piece in pattern] == ["many"]:
        return "**"
    return "".join(_escape(piece.text) if piece.kind == "literal" else piece.text for piece in pattern)


def _words(field: str, found: Sequence[str]) -> str:
    parts = [f"{_name(field)}:{_quote(word)}" for word in found]
    return _NOTHING if not parts else parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"


def _any(parts: Iterable[str]) -> str:
    found = list(parts)
    return _NOTHING if not found else found[0] if len(found) == 1 else f"({' OR '.join(found)})"


def _name(field: str) -> str:
    name = _escape(field)
    return "\\" + name if name in _RESERVED else name


def _escape(text: str) -> str:
    return _ODD.sub(r"\\\g<0>", text)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _slashes(expression: str) -> str:
    r"""Return an expression between slashes; those inside, and escaped line breaks, get their other spelling."""
    return "/" + _IN_EXPRESSION.sub(_in_expression, expression) + "/"


def _in_expression(found: re.Match[str]) -> str:
    return {"/": "\\/", "\\\n": "\\n"}.get(found[0], found[0])


def _bound(value: Scalar) -> str:
    return "*" if value is None else _quote(spellings(value)[0])


def _distinct(values: Iterable[Scalar], *, folded: bool = False) -> list[str]:
    """Return all strings that equal one of the values, each once, with their forms without case if asked for."""
    texts = [text for value in values for text in spellings(value)]
    return list(dict.fromkeys([*texts, *map(fold, texts)] if folded else texts))
