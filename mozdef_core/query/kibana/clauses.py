"""The clauses of Elasticsearch's query DSL that look at fields, read into the query model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar, isoformat
from mozdef_core.query import lucene
from mozdef_core.query.analysed import any_word, every_word, phrase, whole
from mozdef_core.query.bounds import TIME_FIELDS
from mozdef_core.query.kibana.names import Names
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    All,
    Bool,
    Exists,
    Match,
    Prefix,
    Query,
    Range,
    Regexp,
    Terms,
    Wildcard,
)
from mozdef_core.query.plain import NOTHING
from mozdef_core.query.text import tokens

_WITHOUT_EFFECT: Final = frozenset(
    {
        "_name",
        "allow_leading_wildcard",
        "analyze_wildcard",
        "auto_generate_synonyms_phrase_query",
        "boost",
        "ignore_unmapped",
        "lenient",
        "max_expansions",
        "relation",
        "rewrite",
        "score_mode",
        "tie_breaker",
    }
)
"""Parameters that decide about order, cost or errors only, never about what is found."""

_DIGITS: Final = re.compile(r"-?\d+", re.ASCII)
_UTC: Final = (None, "UTC", "Z", "+00:00", "Etc/UTC")


class _Condition(NamedTuple):
    """A clause on one field: the name here, the value, and the parameters that matter."""

    field: str
    value: Any
    more: Mapping[str, Any]


def mapping(kind: str, body: object) -> Mapping[str, Any]:
    """Return the body of a clause, which is an object."""
    if not isinstance(body, Mapping):
        raise QueryError(f"{kind}: expected an object, got {body!r}")
    return body


def relevant(kind: str, body: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that decide what is found; refuse those that are not understood."""
    found = {key: value for key, value in body.items() if key not in _WITHOUT_EFFECT and value is not None}
    odd = sorted(found.keys() - set(known))
    if odd:
        raise QueryError(f"{kind}: the parameter {odd[0]!r} cannot be answered here")
    return found


def _condition(kind: str, body: Mapping[str, Any], names: Names, main: str, *known: str) -> _Condition:
    """Read ``{field: value}`` or ``{field: {main: value, parameter: ...}}``."""
    fields = {key: value for key, value in body.items() if key not in _WITHOUT_EFFECT}
    if len(fields) != 1:
        raise QueryError(f"{kind}: expected one field, got {sorted(fields)!r}")
    ((field, value),) = fields.items()
    if not isinstance(value, Mapping):
        return _Condition(names.name(field), value, {})
    more = relevant(kind, value, (main, *known))
    if main not in more:
        raise QueryError(f"{kind} on {field}: expected {main!r}, got {sorted(value)!r}")
    return _Condition(names.name(field), more.pop(main), more)


def _match_all(_body: Mapping[str, Any], _names: Names) -> Query:
    return All()


def _match_none(_body: Mapping[str, Any], _names: Names) -> Query:
    return NOTHING


def _match(body: Mapping[str, Any], names: Names) -> Query:
    found = _condition("match", body, names, "query", "type", "operator", "minimum_should_match", "slop")
    if found.more.get("type") == "phrase":
        return _unsloppy(found)
    return _words("match", found.field, found.value, found.more)


def _words(kind: str, field: str, value: Scalar, more: Mapping[str, Any]) -> Query:
    if more.get("type", "boolean") not in ("boolean", "best_fields", "most_fields"):
        raise QueryError(f"{kind} of the type {more['type']!r} cannot be answered here")
    if more.get("minimum_should_match", 1) not in (1, "1") or more.get("slop"):
        raise QueryError(f"{kind}: 'minimum_should_match' and 'slop' cannot be answered here")
    _check_scalar(kind, field, value)
    return (every_word if str(more.get("operator", "or")).lower() == "and" else any_word)(field, value)


def _check_scalar(kind: str, field: str, value: object) -> None:
    if isinstance(value, list | dict):
        raise QueryError(f"{kind} on {field}: expected a text, a number or a boolean, got {value!r:.60}")


def _match_phrase(body: Mapping[str, Any], names: Names) -> Query:
    return _unsloppy(_condition("match_phrase", body, names, "query", "slop", "type"))


def _unsloppy(found: _Condition) -> Query:
    if found.more.get("slop"):
        raise QueryError(
            f"match_phrase on {found.field}: a 'slop' of {found.more['slop']!r} cannot be answered here"
        )
    return phrase(found.field, found.value)


def _match_phrase_prefix(body: Mapping[str, Any], names: Names) -> Query:
    found = _condition("match_phrase_prefix", body, names, "query")
    words = tokens(str(found.value))
    if found.field not in TEXT_FIELDS:
        return Prefix(found.field, str(found.value))
    if len(words) != 1:
        raise QueryError(
            f"match_phrase_prefix on {found.field} can only be answered for one word, got {found.value!r}"
        )
    return Prefix(found.field, words[0])


def _multi_match(body: Mapping[str, Any], names: Names) -> Query:
    more = relevant("multi_match", body, ("query", "type", "fields", "operator"))
    fields = more.get("fields") or [ANY_FIELD]
    if isinstance(fields, str):
        fields = [fields]
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise QueryError(f"multi_match: expected names of fields, got {fields!r:.60}")
    own = [ANY_FIELD if field == ANY_FIELD else names.name(field) for field in fields]
    if any("*" in field for field in own if field != ANY_FIELD):
        raise QueryError(f"multi_match: expected names of fields without wildcards, got {fields!r}")
    value = more.get("query")
    if more.get("type") == "phrase":
        return any_of([phrase(field, value) for field in own])
    return any_of([_words("multi_match", field, value, more) for field in own])


def _term(body: Mapping[str, Any], names: Names) -> Query:
    found = _condition("term", body, names, "value", "case_insensitive")
    return _terms_of(found.field, [found.value], case_insensitive=bool(found.more.get("case_insensitive")))


def _terms(body: Mapping[str, Any], names: Names) -> Query:
    found = _condition("terms", body, names, "values")
    if not isinstance(found.value, list):
        raise QueryError(f"terms on {found.field}: expected a list of values, got {found.value!r}")
    return _terms_of(found.field, found.value, case_insensitive=False)


def _terms_of(field: str, values: Sequence[Scalar], *, case_insensitive: bool) -> Query:
    """Return ``term``, which on text fields compares with single tokens as they are stored."""
    if field in TEXT_FIELDS:
        for value in values:
            if tokens(str(value)) != [value] and not (case_insensitive and len(tokens(str(value))) == 1):
                raise QueryError(
                    f"term on {field}: {value!r} is not one word in lower case, so that it finds nothing in"
                    " analysed text; expected match_phrase"
                )
        return any_of([Match(field, str(value)) for value in values])
    if field in TIME_FIELDS:
        return any_of([whole(field, value) for value in values])
    return Terms(field, values, case_insensitive)


def _range(body: Mapping[str, Any], names: Names) -> Query:
    fields = {key: value for key, value in body.items() if key not in _WITHOUT_EFFECT}
    if len(fields) != 1:
        raise QueryError(f"range: expected one field, got {sorted(fields)!r}")
    ((written, limits),) = fields.items()
    field = names.name(written)
    known = ("gte", "gt", "lte", "lt", "from", "to", "include_lower", "include_upper", "format", "time_zone")
    more = relevant("range", mapping("range", limits), known)
    if more.get("time_zone") not in _UTC:
        raise QueryError(f"range on {field}: expected times in UTC, got the time_zone {more['time_zone']!r}")
    if "from" in more:
        more["gte" if more.get("include_lower", True) else "gt"] = more["from"]
    if "to" in more:
        more["lte" if more.get("include_upper", True) else "lt"] = more["to"]
    form = str(more.get("format", "epoch_millis" if field in TIME_FIELDS else ""))
    bounds = {key: _bound(more[key], form) for key in ("gte", "gt", "lte", "lt") if key in more}
    return names.times(Range(field, **bounds)) if bounds else Exists(field)


def _bound(value: Scalar, form: str) -> Scalar:
    """Return a bound; numbers that count milliseconds or seconds since 1970 as a time."""
    factor = 1_000 if "epoch_millis" in form else 1_000_000 if "epoch_second" in form else 0
    if not factor or isinstance(value, bool) or not _DIGITS.fullmatch(str(value)):
        return value
    if len(str(value)) == 4 and isinstance(
        value, str
    ):  # a year, as the first form of Elasticsearch's default
        return value
    try:
        return isoformat(int(str(value)) * factor)
    except (ValueError, OverflowError):
        raise QueryError(f"range: {value!r} lies outside of the years 1 to 9999") from None


def _exists(body: Mapping[str, Any], names: Names) -> Query:
    more = relevant("exists", body, ("field",))
    if not isinstance(more.get("field"), str):
        raise QueryError(f"exists: expected the name of a field, got {more.get('field')!r}")
    return Exists(names.name(more["field"]))


def _missing(body: Mapping[str, Any], names: Names) -> Query:
    return ~_exists(
        {key: value for key, value in body.items() if key not in ("existence", "null_value")}, names
    )


def _prefix(body: Mapping[str, Any], names: Names) -> Query:
    found = _condition("prefix", body, names, "value", "case_insensitive")
    return Prefix(found.field, found.value, bool(found.more.get("case_insensitive")))


def _wildcard(body: Mapping[str, Any], names: Names) -> Query:
    body = {
        field: {("value" if key == "wildcard" else key): item for key, item in value.items()}
        if isinstance(value, Mapping)
        else value
        for field, value in body.items()
    }
    found = _condition("wildcard", body, names, "value", "case_insensitive")
    return Wildcard(found.field, found.value, bool(found.more.get("case_insensitive")))


def _regexp(body: Mapping[str, Any], names: Names) -> Query:
    found = _condition("regexp", body, names, "value", "case_insensitive", "flags", "max_determinized_states")
    return Regexp(found.field, found.value, bool(found.more.get("case_insensitive")))


def query_string(body: Mapping[str, Any], names: Names) -> Query:
    """Return what a string in Lucene's syntax finds, with its position in errors."""
    known = ("query", "default_field", "fields", "default_operator", "time_zone", "type")
    more = relevant("query_string", body, known)
    text = more.get("query")
    if not isinstance(text, str):
        raise QueryError(f"query_string: expected a text under 'query', got {text!r}")
    if more.get("time_zone") not in _UTC or more.get("type", "best_fields") != "best_fields":
        raise QueryError("query_string: 'time_zone' and 'type' cannot be answered here")
    if not text.strip():
        return All()
    fields = more.get("fields") or [more.get("default_field", ANY_FIELD)]
    found = [
        lucene.read(
            text,
            dialect=names,
            default_field=None if field == ANY_FIELD else names.name(field),
            all_words=str(more.get("default_operator", "or")).lower() == "and",
        )
        for field in fields
    ]
    for parsed in found:
        for warning in parsed.warnings:
            names.warn(f"in {text!r}, {warning}")
    return any_of([parsed.query for parsed in found])


def any_of(queries: Sequence[Query]) -> Query:
    """Return the query that one of these holds."""
    return queries[0] if len(queries) == 1 else Bool(should=queries) if queries else NOTHING


LEAVES: Final[Mapping[str, Callable[[Mapping[str, Any], Names], Query]]] = {
    "exists": _exists,
    "match": _match,
    "match_all": _match_all,
    "match_none": _match_none,
    "match_phrase": _match_phrase,
    "match_phrase_prefix": _match_phrase_prefix,
    "missing": _missing,
    "multi_match": _multi_match,
    "prefix": _prefix,
    "query_string": query_string,
    "range": _range,
    "regexp": _regexp,
    "term": _term,
    "terms": _terms,
    "wildcard": _wildcard,
}
"""The clauses by their names."""
