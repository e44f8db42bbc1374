"""From a query to what an Elasticsearch or an OpenSearch runs, over the terms of query/dsl/tokens.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Final

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat, now_us
from mozdef_core.query import expressions as re2
from mozdef_core.query import glob
from mozdef_core.query.addresses import Spans, read_address, spans
from mozdef_core.query.bounds import (
    TIME_FIELDS,
    AddressBounds,
    NumberBounds,
    TextBounds,
    TimeBounds,
    bounds,
    read_time,
)
from mozdef_core.query.dsl import expressions
from mozdef_core.query.dsl.clauses import (
    ALWAYS,
    EVERYTHING,
    NEVER,
    NOTHING,
    Clause,
    Compiled,
    all_of,
    any_of,
    between,
    both,
    either,
    exactly,
    negated,
    none_of,
    terms,
    unless,
)
from mozdef_core.query.dsl.document import ANY_LONG
from mozdef_core.query.dsl.tokens import (
    ADDRESS,
    BOOLEAN,
    FOLDED,
    NUMBER,
    OBJECT,
    SPELT,
    STRING,
    TIME,
    address_term,
    behind,
    column,
    has_number_term,
    number_term,
    path_term,
    text_term,
    time_term,
    word_term,
)
from mozdef_core.query.lists import MOST_SPELT, Listed, spelt_out
from mozdef_core.query.members import NetworkMembers, TextMembers
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Query,
    Range,
    Regexp,
    Subnet,
    Terms,
    Wildcard,
    is_address_field,
)
from mozdef_core.query.text import tokens
from mozdef_core.query.values import fold, spellings, spelt_boolean, spelt_number

_TIME_COLUMNS: Final = {"utctimestamp": "us", "timestamp": "us", "receivedtimestamp": "received"}
_TIME_CHARACTERS: Final = frozenset("0123456789-:.+Tt")
MOST_LISTED: Final = 100_000
"""So many members of a list are sent with the question; for a longer one all events with the field are looked at."""

_MOST_NUMBERS: Final = 20
_LONGEST_EXPRESSION: Final = 1_000


@singledispatch
def compile(query: Query) -> Compiled:
    """Return the plain form of a query (query/plain.py) as clauses.

    :raises QueryError: the query has no meaning.
    """
    raise QueryError(f"cannot search for a {type(query).__name__}")


@compile.register
def _(_query: All) -> Compiled:
    return ALWAYS


@compile.register
def _(query: Bool) -> Compiled:
    needed = [compile(clause) for clause in query.must]
    if query.should:
        needed.append(any_of(compile(clause) for clause in query.should))
    if query.must_not:
        needed.append(none_of(compile(clause) for clause in query.must_not))
    return all_of(needed)


@compile.register
def _(query: Terms) -> Compiled:
    strings = list(dict.fromkeys(text for value in query.values for text in spellings(value)))
    if query.case_insensitive:
        strings = list(dict.fromkeys(fold(text) for text in strings))
    scalars = _scalars(query.field, strings)
    if query.field in TEXT_FIELDS:
        phrases = either(
            _phrase(query.field, tokens(text), empty=present(query.field, FOLDED)) for text in strings
        )
        return Compiled(scalars, either([phrases, scalars]))
    found = either([_strings(query.field, strings), scalars])
    if query.case_insensitive:
        path = path_term(query.field) + FOLDED
        found = either([found, terms("more", [path + text_term(text) for text in strings])])
    if query.field not in TIME_FIELDS:
        return exactly(found)
    if query.case_insensitive:
        return Compiled(found, either([found, _plain_times(query.field)]))
    return exactly(either([found, *(_time(query.field, text) for text in strings)]))


def _strings(field: str, strings: Sequence[str]) -> Clause:
    """Return what finds any of these strings under a field."""
    path = path_term(field) + STRING
    if is_address_field(field):
        addresses = [text for text in strings if read_address(text) is not None]
        others = [text for text in strings if read_address(text) is None]
        return either(
            terms(name, [path + text_term(text) for text in texts])
            for name, texts in (("more", addresses), (column(field), others))
            if texts
        )
    return terms(column(field), [path + text_term(text) for text in strings]) if strings else NOTHING


def _scalars(field: str, strings: Sequence[str]) -> Clause:
    """Return what finds the numbers and booleans that these strings spell."""
    path = path_term(field)
    numbers = {number for text in strings if (number := spelt_number(text)) is not None}
    wanted = [path + NUMBER + number_term(number) for number in numbers if has_number_term(number)]
    booleans = {value for text in strings if (value := spelt_boolean(text)) is not None}
    wanted += [path + BOOLEAN + ("true" if value else "false") for value in booleans]
    return terms(column(field), sorted(wanted)) if wanted else NOTHING


def _plain_times(field: str) -> Clause:
    """Return what finds events in which a time stands in its usual form, which has no terms but a column."""
    return negated(terms("odd", [field + TIME]))


def _time(field: str, text: str) -> Clause:
    """Return what finds a time that is written in just this way."""
    moment = read_time(text)
    if moment is None or isoformat(moment[0]) != text:
        return NOTHING
    return both([between(_TIME_COLUMNS[field], *moment), _plain_times(field)])


@compile.register
def _(query: Range) -> Compiled:
    limits = bounds(query)
    if isinstance(limits, TimeBounds):
        return exactly(_times(query.field, limits))
    if query.field in TEXT_FIELDS:
        return Compiled(NOTHING, present(query.field, FOLDED, NUMBER))
    if isinstance(limits, AddressBounds):
        return exactly(_addresses(query.field, limits.spans))
    if isinstance(limits, NumberBounds):
        return unless(_numbers(query.field, limits), _odd(query.field))
    return _text_range(query.field, limits)


def _times(field: str, limits: TimeBounds) -> Clause:
    path = path_term(field) + TIME
    low = path if limits.first is None else path + time_term(limits.first)
    end = path_term(field) + behind(TIME) if limits.end is None else path + time_term(limits.end)
    found = between("more", low, end)
    if field not in TIME_FIELDS:
        return found
    plain = both([between(_TIME_COLUMNS[field], limits.first, limits.end), _plain_times(field)])
    return either([plain, found])


def _addresses(field: str, wanted: Spans) -> Clause:
    name = column(field) if is_address_field(field) else "more"
    path = path_term(field) + ADDRESS
    return either(
        {"range": {name: {"gte": path + address_term(span.first), "lte": path + address_term(span.last)}}}
        for span in wanted
    )


def _numbers(field: str, limits: NumberBounds) -> Clause:
    name, path = column(field), path_term(field)

    def inside(kind: str) -> Clause:
        start = path + kind
        found = {
            "gte" if limits.low_included or limits.low is None else "gt": (
                start if limits.low is None else start + number_term(limits.low)
            ),
            "lte" if limits.high_included and limits.high is not None else "lt": (
                path + behind(kind) if limits.high is None else start + number_term(limits.high)
            ),
        }
        return {"range": {name: found}}

    return either([inside(NUMBER), inside(SPELT)])


def _text_range(field: str, limits: TextBounds) -> Compiled:
    path = path_term(field)
    low = path + STRING if limits.low is None else path + STRING + limits.low
    high = path + behind(STRING) if limits.high is None else path + STRING + limits.high
    if len(low) > _LONGEST_EXPRESSION or len(high) > _LONGEST_EXPRESSION:
        return Compiled(NOTHING, present(field, STRING, ADDRESS, TIME))
    found = {
        "gte" if limits.low_included or limits.low is None else "gt": low,
        "lte" if limits.high_included and limits.high is not None else "lt": high,
    }
    names = [column(field), "more"] if is_address_field(field) else [column(field)]
    part = unless(either({"range": {name: found}} for name in names), _odd(field))
    return any_of([part, Compiled(NOTHING, _plain_times(field))]) if field in TIME_FIELDS else part


def _odd(field: str) -> Clause:
    """Return what finds events with a value under a field that no term tells whole."""
    return terms("odd", [path_term(field)])


@compile.register
def _(query: Subnet) -> Compiled:
    wanted = spans(query.networks)
    if query.field in TEXT_FIELDS:
        return Compiled(NOTHING, present(query.field, FOLDED))
    return exactly(_addresses(query.field, wanted))


@compile.register
def _(query: Listed) -> Compiled:
    now = now_us()
    spelt = spelt_out(query, now)
    if spelt is not None:
        return compile(spelt)
    members = query.members
    kinds = (STRING,) if isinstance(members, NetworkMembers) else (STRING, NUMBER, BOOLEAN)
    held = EVERYTHING if query.field in TIME_FIELDS else _any_under(query.field, kinds)
    if members.size > MOST_LISTED:
        return Compiled(NOTHING, held)
    texts = [text for text, expiry_us in members.entries() if expiry_us > now]
    if isinstance(members, TextMembers):
        found = compile(Terms(query.field, texts, members.ignore_case))
    else:
        networks = [text for text in texts if "/" in text]
        if len(networks) > MOST_SPELT:
            return Compiled(NOTHING, held)
        name, path = column(query.field) if is_address_field(query.field) else "more", path_term(query.field)
        numbers = [number for text in texts if (number := read_address(text)) is not None]
        single = terms(name, [path + ADDRESS + address_term(number) for number in numbers])
        found = exactly(either([single, _addresses(query.field, spans(networks))]))
    return found if len(texts) == members.size else Compiled(found.sure, held)


def _any_under(field: str, kinds: Sequence[str]) -> Clause:
    """Return what finds events with a value of one of these kinds under a field, supplied or defaulted."""
    names = [column(field), "more"] if is_address_field(field) else [column(field)]
    return either({"prefix": {name: {"value": path_term(field) + kind}}} for name in names for kind in kinds)


@compile.register
def _(query: Exists) -> Compiled:
    return exactly(present(query.field))


def present(field: str, *kinds: str) -> Clause:
    """Return what finds events whose sender or a plugin supplied a field.

    :param kinds: with a value of one of these kinds; of any when none is named.
    """
    path = path_term(field)
    return terms(
        "paths", [path + kind for kind in kinds or (STRING, NUMBER, BOOLEAN, ADDRESS, TIME, FOLDED, OBJECT)]
    )


@compile.register
def _(query: Wildcard) -> Compiled:
    folded = glob.read(fold(query.value))
    pattern = folded if query.case_insensitive else glob.read(query.value)
    if query.field == ANY_FIELD:
        return _any_wildcard(query, pattern, folded)
    if query.field in TEXT_FIELDS:
        return _words_like(query.field, folded)
    text = glob.literal(pattern)
    if text is not None and not query.case_insensitive:
        return _with_times(query.field, exactly(_strings(query.field, [text])))
    path = path_term(query.field)
    names = [column(query.field), "more"] if is_address_field(query.field) else [column(query.field)]
    found = [_like(name, path + STRING, pattern) for name in names]
    if query.case_insensitive:
        found.append(_like("more", path + FOLDED, pattern))
    return _with_times(query.field, unless(either(found), _odd(query.field)))


def _with_times(field: str, part: Compiled) -> Compiled:
    """Add the times in their usual form, which have to be looked at."""
    return any_of([part, Compiled(NOTHING, _plain_times(field))]) if field in TIME_FIELDS else part


def _like(name: str, start: str, pattern: glob.Pattern) -> Clause:
    """Return what finds a term that begins with a text and goes on like a pattern."""
    text, beginning = glob.literal(pattern), glob.prefix(pattern)
    if text is not None:
        return terms(name, [start + text_term(text)])
    if beginning is not None or (pattern[0].kind == "many" and len(pattern) == 1):
        return {"prefix": {name: {"value": start + (beginning or "")}}}
    return {"wildcard": {name: {"value": glob.escape(start) + expressions.from_glob(pattern)}}}


def _words_like(field: str, pattern: glob.Pattern) -> Compiled:
    if not pattern:
        return NEVER
    return unless(_like(field, "", pattern), _odd(field))


def _any_wildcard(query: Wildcard, pattern: glob.Pattern, folded: glob.Pattern) -> Compiled:
    found = [_like("any", STRING, pattern)]
    if query.case_insensitive:
        found.append(_like("any", FOLDED, pattern))
    parts = [unless(either(found), terms("odd", [ANY_LONG]))]
    parts += [_words_like(field, folded) for field in sorted(TEXT_FIELDS)]
    literals = "".join(piece.text for piece in pattern if piece.kind == "literal")
    if not set(literals) - _TIME_CHARACTERS:
        parts.append(
            Compiled(NOTHING, EVERYTHING)
        )  # the times may match, and in their usual form have no terms
    return any_of(parts)


@compile.register
def _(query: Regexp) -> Compiled:
    re2.matcher(query.value, case_insensitive=query.case_insensitive)  # refuses what is no expression
    if query.field == ANY_FIELD:
        return Compiled(NOTHING, EVERYTHING)
    if query.field in TEXT_FIELDS:
        return Compiled(NOTHING, present(query.field, FOLDED))
    lucene = None if query.case_insensitive else expressions.translate(query.value)
    if lucene is not None:
        lucene = f"{expressions.literal(path_term(query.field) + STRING)}({lucene})"
    if lucene is None or len(lucene) > _LONGEST_EXPRESSION:
        return _with_times(query.field, Compiled(NOTHING, _any_under(query.field, (STRING,))))
    names = [column(query.field), "more"] if is_address_field(query.field) else [column(query.field)]
    found = either({"regexp": {name: {"value": lucene, "flags": "NONE"}}} for name in names)
    return _with_times(query.field, unless(found, _odd(query.field)))


@compile.register(Match)
@compile.register(MatchPhrase)
def _(query: Match | MatchPhrase) -> Compiled:
    words = tokens(query.value)

    def on_text(field: str) -> Clause:
        if isinstance(query, MatchPhrase) or len(words) < 2:
            return _phrase(field, words, empty=NOTHING)
        return both(terms(field, [word_term(word)]) for word in dict.fromkeys(words))

    if query.field != ANY_FIELD:
        return exactly(on_text(query.field))
    times = [_time(field, query.value) for field in sorted(TIME_FIELDS)]
    anywhere = terms("any", [STRING + text_term(query.value)])
    return exactly(either([*(on_text(field) for field in sorted(TEXT_FIELDS)), anywhere, *times]))


def _phrase(field: str, words: Sequence[str], empty: Clause) -> Clause:
    """Return what finds words in a row; ``empty`` when there are none."""
    if not words:
        return empty
    written = [word_term(word) for word in words]
    if len(written) == 1:
        return terms(field, written)
    return {"match_phrase": {field: {"query": " ".join(written)}}}


Compile = Callable[[Query], Compiled]
