"""The panels and controls of a dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mozdef_core.errors import QueryError
from mozdef_core.query.kibana.export import Export, SavedObject, embedded, listed
from mozdef_core.query.kibana.sources import KINDS, Source, by_value, sort_order, source_of, time_range

_NO_DATA: Final = frozenset({"DASHBOARD_MARKDOWN", "image", "links", "markdown", "navigation"})


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel as the dashboard has it.

    :param title: the dashboard's, a slash, and the panel's own (or its content's) title.
    """

    title: str
    kind: str
    entry: Mapping[str, Any]

    def source(self, dashboard: SavedObject, export: Export) -> Source | None:
        """Return what the panel shows, without the dashboard's own query; None where it shows no events.

        :raises QueryError: as :func:`~mozdef_core.query.kibana.sources.source_of`.
        """
        if self.kind in _NO_DATA:
            return None
        if self.kind not in KINDS or self.kind in ("dashboard", "query"):
            raise QueryError(f"panels of the kind {self.kind!r} cannot be read; write the search by hand")
        config = _mapping(self.entry.get("embeddableConfig"))
        found = self._content(config, dashboard, export)
        if found is None:
            return None
        more = {"query": config.get("query"), "filter": config.get("filters")}
        time = time_range(config.get("timeRange") or config.get("time_range"))
        searches = (*found.searches, more) if more["query"] or more["filter"] else found.searches
        columns = config.get("columns") or self.entry.get("columns")
        sort = sort_order(config.get("sort") or self.entry.get("sort")) or found.sort
        return replace(
            found,
            title=self.title,
            kind="panel",
            searches=searches,
            time=time,
            columns=tuple(map(str, listed(columns, "columns"))) or found.columns,
            sort=sort,
        )

    def _content(self, config: Mapping[str, Any], dashboard: SavedObject, export: Export) -> Source | None:
        reference = _referenced(self.entry, dashboard)
        if reference is None:
            index = f"{self.entry.get('panelIndex')}:"
            own = {
                name.removeprefix(index): target
                for name, target in dashboard.references.items()
                if name.startswith(index)
            }
            return by_value(self.title, self.kind, config, own, export)
        content = export.find(*reference)
        if content is None:
            kind, identity = reference
            raise QueryError(
                f"the export misses the {kind} {identity!r} that it shows; export with related objects"
            )
        return source_of(content, export)


def panels(dashboard: SavedObject, export: Export) -> Iterator[Panel]:
    """Yield the panels of a dashboard, also those in its sections.

    :raises QueryError: they are not written as any version of Kibana does.
    """
    entries = embedded(dashboard.attributes.get("panelsJSON"), "panelsJSON") or []
    if not isinstance(entries, list):
        raise QueryError(f"panelsJSON: expected a list, got {entries!r:.60}")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Mapping):
            raise QueryError(f"panelsJSON: expected an object as panel {number}, got {entry!r:.60}")
        reference = _referenced(entry, dashboard)
        content = export.find(*reference) if reference else None
        kind = str(entry.get("type") or (reference[0] if reference else "visualization"))
        config = _mapping(entry.get("embeddableConfig"))
        title = (
            entry.get("title")
            or config.get("title")
            or (content.title if content else None)
            or _mapping(config.get("attributes")).get("title")
            or _mapping(config.get("savedVis")).get("title")
            or f"panel {number}"
        )
        yield Panel(f"{dashboard.title} / {title}", kind, entry)


def control_filters(dashboard: SavedObject) -> list[Mapping[str, Any]]:
    """Return what was chosen in the controls of a dashboard (since 8.0) when it was saved, as filters.

    :raises QueryError: a control of an unknown kind holds a choice.
    """
    group = _mapping(dashboard.attributes.get("controlGroupInput"))
    controls = _mapping(embedded(group.get("panelsJSON"), "controlGroupInput.panelsJSON"))
    filters: list[Mapping[str, Any]] = []
    for control in controls.values():
        chosen = _mapping(_mapping(control).get("explicitInput"))
        clause = _chosen(str(_mapping(control).get("type")), chosen)
        if clause is not None:
            label = f"control {chosen.get('title') or chosen.get('fieldName')}"
            filters.append({"meta": {"alias": label, "negate": bool(chosen.get("exclude"))}, "query": clause})
    return filters


def _chosen(kind: str, chosen: Mapping[str, Any]) -> Mapping[str, Any] | None:
    field = chosen.get("fieldName")
    if kind in ("optionsListControl", "rangeSliderControl") and not isinstance(field, str):
        raise QueryError(f"a control: expected the name of a field under 'fieldName', got {field!r:.60}")
    if kind == "optionsListControl":
        if chosen.get("existsSelected"):
            return {"exists": {"field": field}}
        options = listed(chosen.get("selectedOptions"), "selectedOptions")
        return (
            {"bool": {"should": [{"match_phrase": {field: option}} for option in options]}}
            if options
            else None
        )
    if kind == "rangeSliderControl":
        ends = listed(chosen.get("value"), "value")
        limits = {key: end for key, end in zip(("gte", "lte"), ends, strict=False) if end not in ("", None)}
        return {"range": {field: limits}} if limits else None
    if kind == "timeSlider":
        if (
            chosen.get("timesliceStartAsPercentageOfTimeRange")
            or chosen.get("timesliceEndAsPercentageOfTimeRange", 1) != 1
        ):
            raise QueryError(
                "a time slider cuts its time range; expected none, or one over the whole time range"
            )
        return None
    raise QueryError(f"controls of the kind {kind!r} cannot be read; remove it in Kibana and export again")


def _referenced(entry: Mapping[str, Any], dashboard: SavedObject) -> tuple[str, str] | None:
    """Return kind and id of what a panel shows: by the name of a reference since version 7, by its id before."""
    index = entry.get("panelIndex")
    for name in (
        f"{index}:{entry.get('panelRefName')}",
        str(entry.get("panelRefName")),
        f"{index}:savedObjectRef",
    ):
        if name in dashboard.references:
            return dashboard.references[name]
    embedded_here = _mapping(entry.get("embeddableConfig")).keys() & {"attributes", "savedVis"}
    if entry.get("id") and not embedded_here:
        return str(entry.get("type", "visualization")), str(entry["id"])
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
