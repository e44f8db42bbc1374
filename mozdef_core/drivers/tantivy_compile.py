"""From a query to one that tantivy runs on a partition, and whether that finds exactly what the query means.

Where the index cannot be exact it finds more, and the store looks at each of these events in memory. What a
partition's catalogue knows about a path decides which of the two it is, so that an odd value costs only the
partition it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatchmethod
from typing import Final

from tantivy import Occur
from tantivy import Query as Found

from mozdef_core.drivers.tantivy_catalogue import Kind
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_document import HOISTED
from mozdef_core.drivers.tantivy_expressions import any_case, expression, include
from mozdef_core.drivers.tantivy_fields import (
    ANYTHING,
    EVERYTHING,
    NOTHING,
    Compiled,
    Fields,
    either,
)
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.errors import QueryError
from mozdef_core.event import now_us
from mozdef_core.query import expressions, glob
from mozdef_core.query.addresses import spans
from mozdef_core.query.bounds import AddressBounds, NumberBounds, TimeBounds, bounds, read_time
from mozdef_core.query.lists import Listed, spelt_out
from mozdef_core.query.members import TextMembers
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
)
from mozdef_core.query.text import tokens
from mozdef_core.query.values import fold, spellings

MOST_CONDITIONS: Final = 20_000
"""The values without a field of one query may be so many conditions on single fields of a partition."""

FEW_TEXTS: Final = 16
FEW_NETWORKS: Final = 250
"""A list of at most so many members is a condition for each; with a longer one each value of a partition is looked up.

Measured on 100,000 events with as many hashes and addresses: 17 to 250 hashes as conditions take 1.3 s, the look-up of
all values 0.7 s; 250 addresses 0.02 s and 1.3 s.
"""

_SCALAR: Final = Kind.NUMBER | Kind.BOOLEAN
_COLUMNS: Final = {"utctimestamp": "us", "timestamp": "us", "receivedtimestamp": "received"}
_TIME_CHARACTERS: Final = frozenset("0123456789-:.+Tt")


class Compiler:
    """Compiles the plain form of queries (query/plain.py) for one partition.

    :param view: the snapshot that the compiled query will be run on.
    :param deadline: of the question; None for no limit.
    """

    def __init__(self, view: View, deadline: Deadline | None = None) -> None:
        self._schema = view.index.schema
        self._fields = Fields(view, deadline)
        self._catalogue = view.catalogue
        self._conditions = 0

    @singledispatchmethod
    def compile(self, query: Query) -> Compiled:
        """Return the query for this partition.

        :raises QueryError: the query has no meaning.
        :raises QueryTimeoutError: it took too long.
        """
        raise QueryError(f"cannot search for a {type(query).__name__}")

    @compile.register
    def _(self, _query: All) -> Compiled:
        return EVERYTHING

    @compile.register
    def _(self, query: Bool) -> Compiled:
        needed = [self.compile(clause) for clause in query.must]
        if query.should:
            needed.append(either([self.compile(clause) for clause in query.should]))
        unwanted = [self.compile(clause) for clause in query.must_not]
        exact = all(part.exact for part in (*needed, *unwanted))
        clauses = [(Occur.Must, part.query) for part in needed if part.query is not EVERYTHING.query]
        clauses += [(Occur.MustNot, part.query) for part in unwanted if part.exact and part is not NOTHING]
        if not any(occur == Occur.Must for occur, _ in clauses):
            clauses.append((Occur.Must, Found.all_query()))  # with only must-not, tantivy finds nothing
        return Compiled(Found.boolean_query(clauses), exact)

    @compile.register
    def _(self, query: Terms) -> Compiled:
        strings = frozenset(text for value in query.values for text in spellings(value))
        if query.field in HOISTED:
            return self._hoisted_terms(query.field, strings, query.case_insensitive)
        if query.case_insensitive:
            folded = frozenset(fold(text) for text in strings)
            found = self._fields.strings_where(
                query.field, lambda text: fold(text) in folded, any_case(folded)
            )
            return either([found, self._fields.scalars(query.field, folded)])
        return either(
            [self._fields.exactly(query.field, strings), self._fields.scalars(query.field, strings)]
        )

    def _hoisted_terms(self, field: str, strings: frozenset[str], case_insensitive: bool) -> Compiled:
        if self._fields.odd(field):
            return ANYTHING
        if field in TEXT_FIELDS:
            found = either([self._fields.phrase(tokens(text), empty=ANYTHING) for text in strings])
            return Compiled(found.query, found is NOTHING)
        if case_insensitive:
            return ANYTHING
        times = [time for text in strings if (time := read_time(text)) is not None]
        found = either([self._fields.between(_COLUMNS[field], first, end) for first, end in times])
        return Compiled(found.query, found is NOTHING)

    @compile.register
    def _(self, query: Range) -> Compiled:
        limits = bounds(query)
        if query.field in HOISTED:
            if (
                query.field not in _COLUMNS
                or self._fields.odd(query.field)
                or not isinstance(limits, TimeBounds)
            ):
                return ANYTHING
            return self._fields.between(_COLUMNS[query.field], limits.first, limits.end)
        if isinstance(limits, AddressBounds):
            return self._fields.addresses(query.field, limits.spans)
        if isinstance(limits, NumberBounds):
            return self._fields.numbers(query.field, limits)
        return self._fields.candidates(query.field, Kind.STRING)

    @compile.register
    def _(self, query: Subnet) -> Compiled:
        return self._fields.addresses(query.field, spans(query.networks))

    @compile.register
    def _(self, query: Listed) -> Compiled:
        now = now_us()
        members = query.members
        spelt = spelt_out(query, now, FEW_TEXTS if isinstance(members, TextMembers) else FEW_NETWORKS)
        if spelt is not None:
            return self.compile(spelt)
        if query.field in HOISTED:
            return ANYTHING
        parts = [self._fields.strings_among(query.field, members.has_text)]
        if isinstance(members, TextMembers) and self._catalogue.kind(query.field) & _SCALAR:
            parts.append(self._fields.scalars(query.field, members.scalar_texts))
        found = either(parts)
        return found if members.first_expiry_us > now else Compiled(found.query, found is NOTHING)

    @compile.register
    def _(self, query: Exists) -> Compiled:
        supplied = (Occur.MustNot, Found.term_query(self._schema, "defaulted", query.field))
        found = self._fields.present(query.field)
        if found is NOTHING:
            return NOTHING
        return Compiled(Found.boolean_query([(Occur.Must, found.query), supplied]), found.exact)

    @compile.register
    def _(self, query: Wildcard) -> Compiled:
        if query.field != ANY_FIELD:
            return self._wildcard(query.field, query)
        literals = "".join(piece.text for piece in glob.read(query.value) if piece.kind == "literal")
        if not set(literals) - _TIME_CHARACTERS:
            return ANYTHING  # the times may match, and they are no strings in the index
        return self._any_string(lambda field: self._wildcard(field, query), [])

    def _wildcard(self, field: str, query: Wildcard) -> Compiled:
        if field in TEXT_FIELDS:
            if self._fields.odd(field):
                return ANYTHING
            tokenwise = expression(glob.read(fold(query.value)))
            try:
                return Compiled(Found.regex_query(self._schema, field, tokenwise), True)
            except ValueError:  # too long for tantivy's automaton
                return ANYTHING
        if field in HOISTED:
            return ANYTHING
        pattern = glob.read(fold(query.value) if query.case_insensitive else query.value)
        text, start = glob.literal(pattern), glob.prefix(pattern)
        if [piece.kind for piece in pattern] == ["many"]:
            return self._fields.strings(field)
        if not query.case_insensitive:
            if text is not None:
                return self._fields.exactly(field, [text])
            if start is not None and (found := self._fields.prefixed(field, start)) is not None:
                return found
        matches = expressions.matcher(expressions.from_glob(pattern))
        return self._fields.strings_where(
            field,
            lambda value: matches(fold(value) if query.case_insensitive else value),
            include(pattern, case_insensitive=query.case_insensitive),
        )

    @compile.register
    def _(self, query: Regexp) -> Compiled:
        matches = expressions.matcher(query.value, case_insensitive=query.case_insensitive)

        def on(field: str) -> Compiled:
            return ANYTHING if field in HOISTED else self._fields.strings_where(field, matches)

        return ANYTHING if query.field == ANY_FIELD else on(query.field)

    @compile.register(Match)
    @compile.register(MatchPhrase)
    def _(self, query: Match | MatchPhrase) -> Compiled:
        words = tokens(query.value)

        def on(field: str) -> Compiled:
            if field not in TEXT_FIELDS:
                return self._fields.exactly(field, [query.value])
            if self._fields.odd(field):
                return ANYTHING
            if isinstance(query, MatchPhrase) or len(words) < 2:
                return self._fields.phrase(words, empty=NOTHING)
            clauses = [(Occur.Must, Found.term_query(self._schema, field, word)) for word in set(words)]
            return Compiled(Found.boolean_query(clauses), True)

        if query.field != ANY_FIELD:
            return on(query.field)
        time = read_time(query.value)
        times = [] if time is None else [self._fields.between(column, *time) for column in ("us", "received")]
        return self._any_string(on, times)

    def _any_string(self, on: Callable[[str], Compiled], times: Sequence[Compiled]) -> Compiled:
        """Return the union over the summary and all paths with strings.

        :param times: what to look through in addition, since a time in it may match.
        """
        known = self._catalogue.string_paths()
        if known is None or any(self._fields.odd(field) for field in HOISTED):
            return ANYTHING
        paths = list(known)
        self._conditions += len(paths)
        if self._conditions > MOST_CONDITIONS:
            raise QueryError(
                f"the query makes more than {MOST_CONDITIONS:,} conditions, since a value without a field is one for "
                f"each of {len(paths)} fields; name the fields, or ask for fewer values at once"
            )
        found = either([on("summary"), *(on(path) for path in paths), *times])
        return Compiled(found.query, found.exact and not times)
