"""Where the saved objects of Kibana keep the queries, filters and times that decide what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mozdef_core.errors import QueryError
from mozdef_core.query.kibana.export import Export, SavedObject, embedded, listed, read_references

_INDEX: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
_OWN_DATA: Final = {
    "metrics": "TSVB, which keeps its queries by series",
    "timelion": "Timelion, which has a language of its own",
    "vega": "Vega, which has a language of its own",
}
_NO_DATA: Final = frozenset({"markdown", "input_control_vis"})
KINDS: Final = ("search", "query", "dashboard", "visualization", "lens")
"""The kinds of saved objects that hold a search."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one saved object or panel says about what it shows.

    :param searches: search sources with ``query`` and ``filter`` (or ``filters``), of which all hold.
    :param references: kind and id of other objects by name.
    :param index: the id of the index pattern, or None for none of its own.
    :param time: first and last time as they are written, or None for what the user chose last.
    :param notes: what is not imported, one sentence each.
    """

    title: str
    kind: str
    searches: tuple[Mapping[str, Any], ...]
    references: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    index: str | None = None
    time: tuple[str, str] | None = None
    columns: tuple[str, ...] = ()
    sort: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def source_of(found: SavedObject, export: Export) -> Source | None:
    """Return what an object of one of the :data:`KINDS` shows; None where it shows no events (a text).

    :raises QueryError: it keeps its queries in a way that cannot be read, or refers to what the file misses.
    """
    attributes = found.attributes
    if found.kind == "query":
        return _saved_query(found.title, attributes)
    if found.kind == "lens":
        return _lens(found.title, attributes, found.references)
    search = _mapping(attributes.get("kibanaSavedObjectMeta")).get("searchSourceJSON")
    source = _mapping(embedded(search, "searchSourceJSON"))
    base = Source(found.title, found.kind, (source,), found.references, _index(source, found.references))
    if found.kind == "dashboard":
        return replace(base, time=_dashboard_time(attributes))
    if found.kind == "search":
        return _saved_search(base, attributes)
    state = _mapping(embedded(attributes.get("visState"), "visState"))
    identity = attributes.get("savedSearchId")
    name = str(attributes.get("savedSearchRefName"))
    linked = found.references[name][1] if name in found.references else identity
    return chart(base, str(state.get("type")), str(linked) if linked else None, export)


def tabs(found: SavedObject) -> list[SavedObject]:
    """Return the tabs of a saved search (since 9.2) as searches of their own; any other object as it is."""
    entries = found.attributes.get("tabs")
    if found.kind != "search" or not isinstance(entries, list) or len(entries) < 2:
        return [found]
    parts = []
    for tab in map(_mapping, entries):
        title = f"{found.title} / {tab.get('label')}"
        parts.append(replace(found, attributes={**_mapping(tab.get("attributes")), "title": title}))
    return parts


def chart(base: Source, kind: str, linked: str | None, export: Export) -> Source | None:
    """Return what a visualization shows: what its saved search finds and its own source finds.

    :param kind: the type of the visualization.
    :param linked: the id of the saved search that it is built on, if any.
    """
    if kind in _NO_DATA:
        return None
    if kind in _OWN_DATA:
        raise QueryError(f"it is made with {_OWN_DATA[kind]}; write the search by hand")
    base = replace(base, notes=(*base.notes, f"what the chart ({kind}) counts and groups by is not imported"))
    if linked is None:
        return base
    parent = export.find("search", linked)
    if parent is None:
        raise QueryError(
            f"the export misses the saved search {linked!r} that it is built on; export with related objects"
        )
    beneath = source_of(parent, export)
    if beneath is None:
        return base
    return replace(base, searches=(*beneath.searches, *base.searches), index=base.index or beneath.index)


def _saved_search(base: Source, attributes: Mapping[str, Any]) -> Source:
    if attributes.get("isTextBasedQuery"):
        raise QueryError("it is written in ES|QL or SQL; expected KQL or Lucene: write the search by hand")
    columns = tuple(str(name) for name in listed(attributes.get("columns"), "columns") if name != "_source")
    time = time_range(attributes.get("timeRange")) if attributes.get("timeRestore") else None
    return replace(base, columns=columns, sort=sort_order(attributes.get("sort")), time=time)


def _saved_query(title: str, attributes: Mapping[str, Any]) -> Source:
    return Source(
        title,
        "query",
        ({"query": attributes.get("query"), "filter": attributes.get("filters")},),
        time=time_range(attributes.get("timefilter")),
    )


def lens(title: str, attributes: Mapping[str, Any]) -> Source:
    """Return what a lens that is kept inside of a dashboard shows."""
    return _lens(title, attributes, read_references(attributes.get("references")))


def _lens(title: str, attributes: Mapping[str, Any], references: Mapping[str, tuple[str, str]]) -> Source:
    state = _mapping(embedded(attributes.get("state"), "state"))
    text_based = _mapping(_mapping(state.get("datasourceStates")).get("textBased"))
    if _mapping(text_based.get("layers")):
        raise QueryError("it is written in ES|QL; expected KQL or Lucene: write the search by hand")
    index = next((identity for kind, identity in references.values() if kind == "index-pattern"), None)
    return Source(
        title,
        "lens",
        ({"query": state.get("query"), "filter": state.get("filters")},),
        references,
        index,
        notes=(
            f"what the chart ({attributes.get('visualizationType')}) counts and groups by is not imported",
        ),
    )


def by_value(
    title: str,
    kind: str,
    config: Mapping[str, Any],
    references: Mapping[str, tuple[str, str]],
    export: Export,
) -> Source | None:
    """Return what a panel shows whose content is kept inside of the dashboard.

    :param config: the panel's ``embeddableConfig``.
    :param references: those of the dashboard that are the panel's own.
    """
    attributes = _mapping(config.get("attributes"))
    if kind == "lens":
        return lens(title, attributes)
    if kind == "search":
        own = {**references, **read_references(attributes.get("references"))}
        return source_of(SavedObject("search", "", {**attributes, "title": title}, own), export)
    saved = _mapping(config.get("savedVis"))
    contents = _mapping(saved.get("data"))
    source = _mapping(contents.get("searchSource"))
    base = Source(title, "visualization", (source,), references, _index(source, references))
    linked = (
        contents.get("savedSearchId")
        or references.get(str(contents.get("savedSearchRefName")), ("", None))[1]
    )
    return chart(base, str(saved.get("type")), str(linked) if linked else None, export)


def _index(source: Mapping[str, Any], references: Mapping[str, tuple[str, str]]) -> str | None:
    index = source.get("index")
    if isinstance(index, str):
        return index
    return references.get(str(source.get("indexRefName", _INDEX)), ("", None))[1]


def _dashboard_time(attributes: Mapping[str, Any]) -> tuple[str, str] | None:
    if not attributes.get("timeRestore"):
        return None
    return time_range({"from": attributes.get("timeFrom"), "to": attributes.get("timeTo")})


def time_range(value: object) -> tuple[str, str] | None:
    """Return ``from`` and ``to`` of a time range, or None when it is none."""
    first, last = _mapping(value).get("from"), _mapping(value).get("to")
    return (first, last) if isinstance(first, str) and isinstance(last, str) else None


def sort_order(value: object) -> tuple[tuple[str, str], ...]:
    """Return fields and directions: ``[[field, direction], ...]`` since version 7.4, one pair before."""
    if not isinstance(value, list):
        return ()
    pairs = [value] if len(value) == 2 and all(isinstance(part, str) for part in value) else value
    return tuple((str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
