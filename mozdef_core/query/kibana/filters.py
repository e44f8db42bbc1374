"""The query bar and the filter bar of Kibana, as a saved object holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from mozdef_core.errors import QueryError
from mozdef_core.query import kql
from mozdef_core.query.kibana import dsl
from mozdef_core.query.kibana.names import Names, settled
from mozdef_core.query.model import All, Bool, Query

_DEEPEST: Final = 20
_LONGEST_LABEL: Final = 80
_ADVICE: Final = "change or remove it in Kibana and export again, or write the search by hand"
_NOT_CLAUSES: Final = ("meta", "$state", "from")


def read_source(source: Mapping[str, Any], names: Names, *, filters: str = "filter") -> Query:
    """Return what a search source finds: its query and all of its filters that are switched on.

    :param filters: the key of the filters; lenses and saved queries call it ``filters``.
    :raises QueryError: one of them cannot be expressed; it names the filter and what to do.
    """
    parts = [_query(source.get("query"), names)]
    found = source.get(filters) or []
    for entry in found if isinstance(found, list) else [found]:
        query = _labelled(entry, names)
        if query is not None:
            parts.append(query)
    return all_of(parts)


def all_of(queries: list[Query]) -> Query:
    """Return the query that all of these hold; those that hold always are left away."""
    parts = [query for query in queries if query != All()]
    return parts[0] if len(parts) == 1 else Bool(must=parts) if parts else All()


def _query(query: object, names: Names) -> Query:
    try:
        return settled(_bar(query, names))
    except QueryError as error:
        where = "" if error.position is None else f" at position {error.position}"
        shown = query.get("query", query) if isinstance(query, Mapping) else query
        raise QueryError(f"query {_short(shown)}{where}: {error}; {_ADVICE}", error.position) from None


def _bar(query: object, names: Names) -> Query:
    """Read a query bar: a text with its language, or in the times before KQL a text or a clause."""
    if not query:
        return All()
    if isinstance(query, str):
        return dsl.read({"query_string": {"query": query}}, names)
    if not isinstance(query, Mapping):
        raise QueryError(f"expected an object with 'query' and 'language', got {query!r}")
    if "language" not in query and "query" not in query:
        return dsl.read(query, names)
    text, language = query.get("query", ""), query.get("language", "lucene")
    if isinstance(text, Mapping):
        return dsl.read(text, names) if text else All()
    if not isinstance(text, str):
        raise QueryError(f"expected a text, got {text!r}")
    if language in ("kuery", "kql"):
        return kql.parse(text, dialect=names)
    if language != "lucene":
        raise QueryError(f"the language {language!r} cannot be read; expected 'kuery' or 'lucene'")
    return dsl.read({"query_string": {"query": text}}, names)


def _labelled(entry: object, names: Names) -> Query | None:
    if not isinstance(entry, Mapping):
        raise QueryError(f"filter {_short(entry)}: expected an object; {_ADVICE}")
    meta = _meta(entry)
    label = _short(meta.get("alias") or _described(entry, meta))
    if meta.get("disabled"):
        names.warn(f"the filter {label} is switched off and left away")
        return None
    try:
        return settled(_filter(entry, names, 0))
    except QueryError as error:
        raise QueryError(f"filter {label}: {error}; {_ADVICE}", error.position) from None


def _filter(entry: Mapping[str, Any], names: Names, depth: int) -> Query:
    meta = _meta(entry)
    combined = meta.get("type") == "combined"
    query = _combined(meta, names, depth) if combined else dsl.read(_clause(entry), names)
    return ~query if meta.get("negate") else query


def _combined(meta: Mapping[str, Any], names: Names, depth: int) -> Query:
    """Read a filter of filters (since 8.7); those inside may be negated, but not switched off."""
    parts = meta.get("params")
    if (
        depth > _DEEPEST
        or not isinstance(parts, list)
        or not all(isinstance(part, Mapping) for part in parts)
    ):
        raise QueryError("expected a list of filters under 'params'")
    queries = [_filter(part, names, depth + 1) for part in parts if not _meta(part).get("disabled")]
    relation = meta.get("relation")
    if relation not in ("AND", "OR"):
        raise QueryError(f"expected the relation 'AND' or 'OR', got {relation!r}")
    if relation == "AND" or not queries:
        return Bool(must=queries)
    return Bool(should=queries)


def _clause(entry: Mapping[str, Any]) -> object:
    """Return the clause: under ``query``, or, in older versions, beside ``meta`` (``range``, ``exists`` ...)."""
    clauses = {key: value for key, value in entry.items() if key not in _NOT_CLAUSES}
    inner = clauses.get("query")
    if len(clauses) == 1 and isinstance(inner, Mapping) and inner:
        return inner
    clauses.pop("query", None) if not inner else None
    if not clauses:
        raise QueryError("it has no condition; expected one under 'query'")
    return clauses


def _meta(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = entry.get("meta")
    return meta if isinstance(meta, Mapping) else {}


def _described(entry: Mapping[str, Any], meta: Mapping[str, Any]) -> object:
    if meta.get("key") and meta.get("key") != "query" and meta.get("value") is not None:
        return f"{meta['key']}: {meta['value']}"
    return {key: value for key, value in entry.items() if key not in _NOT_CLAUSES} or dict(meta)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return repr(text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…")
