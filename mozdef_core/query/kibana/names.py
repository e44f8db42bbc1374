"""How names, times and exactness in a query of Kibana's are meant on MozDef's events."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar, isoformat
from mozdef_core.query import expressions, glob
from mozdef_core.query.bounds import bounds
from mozdef_core.query.datemath import is_date_math, resolve
from mozdef_core.query.model import (
    TEXT_FIELDS,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    Range,
    Regexp,
    Term,
    Terms,
    Wildcard,
)

RENAMED: Final[Mapping[str, str]] = {"@timestamp": "utctimestamp", "message": "summary"}
"""Fields of Elastic's shippers and what MozDef's normaliser makes of them (event-format.md 5.1, 5.2)."""

_EXACT: Final = ".keyword"
_COPIES: Final = (".keyword", ".raw")
_OF_THE_INDEX: Final = frozenset({"_id", "_index", "_type", "_score", "_source", "_routing"})
_PLAIN: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
_LUCENE_ONLY: Final = re.compile(r'[~&<>@#"^$]')


class Names:
    """The :class:`~mozdef_core.query.dialect.Dialect` of one saved object.

    :param now_us: what ``now`` means, microseconds since 1970.
    :param renamed: MozDef's name for a name in Kibana, where they differ.
    :param known: all fields of the index pattern, for names with wildcards; empty where they were not exported.
    :param scripted: those of them that Kibana computes.
    """

    def __init__(
        self,
        now_us: int,
        renamed: Mapping[str, str] = RENAMED,
        known: Collection[str] = (),
        scripted: Collection[str] = (),
    ) -> None:
        self.now_us = now_us
        self._renamed = renamed
        self._known = known
        self._scripted = scripted
        self.warnings: list[str] = []

    def warn(self, sentence: str) -> None:
        """Note what was read as something else, or has no meaning here; each sentence once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def name(self, written: str) -> str:
        """Return the field that a name means here.

        The exact copy of a text field keeps its suffix until :func:`settled`.

        :raises QueryError: it is a scripted field, or one of the index rather than of the event.
        """
        if written in self._scripted:
            raise QueryError(f"{written!r} is a scripted field, which is computed by Kibana only")
        if written in _OF_THE_INDEX:
            raise QueryError(
                f"{written!r} belongs to the index, not to the event; expected a field of the event"
            )
        stem = next((written.removesuffix(end) for end in _COPIES if written.endswith(end)), written)
        found = self._renamed.get(written) or self._renamed.get(stem) or stem
        if found != written:
            self.warn(f"field {written!r} is {found!r} here")
        return found + _EXACT if stem != written and found in TEXT_FIELDS else found

    def names(self, pattern: str) -> Sequence[str]:
        """Return the fields of the index pattern that match."""
        if not self._known:
            raise QueryError(
                f"a wildcard in the name of a field, {pattern!r}, and the export has no list of fields;"
                " expected one field, or an export that includes the index pattern with its fields"
            )
        matches = expressions.matcher(expressions.from_glob(glob.read(pattern)))
        fields = [name for name in self._known if matches(name) and name not in _OF_THE_INDEX]
        return list(dict.fromkeys(map(self.name, fields)))

    def times(self, query: Range) -> Range:
        """Return a range in which relative times are those at :attr:`now_us`."""
        found: dict[str, Scalar] = {"gte": None, "gt": None, "lte": None, "lt": None}
        for key in found:
            value = getattr(query, key)
            if not isinstance(value, str) or not is_date_math(value):
                found[key] = value if value is not None else found[key]
                continue
            span = resolve(value, self.now_us)
            self.warn(f"the time {value!r} is read as it was at {isoformat(self.now_us)}, in UTC")
            if span.rounded and key in ("lte", "gt"):
                found["lt" if key == "lte" else "gte"] = isoformat(span.end)
            else:
                found[key] = isoformat(span.first)
        return Range(query.field, **found)


def settled(query: Query) -> Query:
    """Return a query in which the exact copies of text fields are conditions on the whole text.

    :raises QueryError: a regular expression uses operators that only Lucene has.
    """
    if isinstance(query, Bool):
        must, should, must_not = (
            [settled(clause) for clause in clauses] for clauses in (query.must, query.should, query.must_not)
        )
        return Bool(must, should, must_not)
    if isinstance(query, Regexp):
        _check_expression(query)
    if isinstance(query, Range):
        bounds(query)
    if not isinstance(
        query, Term | Terms | Range | Exists | Prefix | Wildcard | Regexp | Match | MatchPhrase
    ):
        return query
    name = query.field.removesuffix(_EXACT)
    if name == query.field or name not in TEXT_FIELDS:
        return query
    if isinstance(query, Wildcard | Prefix):
        pattern = query.value if isinstance(query, Wildcard) else glob.escape(query.value) + "*"
        return Regexp(name, expressions.from_glob(glob.read(pattern)), query.case_insensitive)
    if isinstance(query, Match | MatchPhrase):
        return Term(name, query.value)
    return replace(query, field=name)


def _check_expression(query: Regexp) -> None:
    expression = query.value
    expressions.matcher(expression, case_insensitive=query.case_insensitive)
    found = _LUCENE_ONLY.search(_PLAIN.sub("", expression.removeprefix("(?i)")))
    if found is not None:
        raise QueryError(
            f"in Lucene {found[0]!r} in the regular expression {expression!r} means something else than here;"
            " expected an expression without it, or with a backslash before it"
        )
