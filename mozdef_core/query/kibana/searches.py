"""What is read from an export of Kibana: searches, with what was changed on the way and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat
from mozdef_core.event import now_us as present
from mozdef_core.query.bounds import TIME_FIELDS
from mozdef_core.query.datemath import resolve
from mozdef_core.query.kibana.export import Export, SavedObject, embedded, listed, read_export
from mozdef_core.query.kibana.filters import all_of, read_source
from mozdef_core.query.kibana.names import RENAMED, Names
from mozdef_core.query.kibana.panels import control_filters, panels
from mozdef_core.query.kibana.sources import KINDS, Source, source_of, tabs
from mozdef_core.query.model import All, Order, Query, Range, Search

_AIDS: Final = frozenset({"index-pattern", "tag", "config", "url"})


@dataclass(frozen=True, slots=True)
class KibanaSearch:
    """One search of Kibana's.

    :param title: its title; for a panel the dashboard's title, `` / `` and its own.
    :param kind: ``search``, ``query``, ``dashboard``, ``panel``, ``visualization`` or ``lens``.
    :param columns: the fields that were shown; none for the whole event.
    :param time: the time range as it was written, such as ``now-15m`` and ``now``; None when none was saved.
    :param warnings: what is read as something else and what has no meaning here, one sentence each.
    """

    title: str
    kind: str
    search: Search
    columns: Sequence[str]
    time: tuple[str, str] | None
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Imported:
    """All that an export holds.

    :param refused: one error for each object that cannot be expressed exactly; it begins with kind and title.
    :param warnings: what concerns the whole file.
    """

    found: Sequence[KibanaSearch]
    refused: Sequence[QueryError]
    warnings: Sequence[str]

    def one(self, title: str | None = None) -> KibanaSearch:
        """Return the search of this title, or the only one.

        :raises QueryError: there is none or more than one, or it was refused.
        """
        wanted = [found for found in self.found if title in (None, found.title)]
        if len(wanted) == 1 and not (title is None and self.refused):
            return wanted[0]
        refused = [error for error in self.refused if title is None or f"{title!r}:" in str(error)]
        if refused and not wanted:
            raise refused[0]
        titles = sorted(found.title for found in self.found)
        what = "one search" if title is None else f"one search of the title {title!r}"
        raise QueryError(f"expected {what}, found {len(wanted)}; the export holds the titles {titles!r}")


def read(
    content: str | bytes, *, now_us: int | None = None, renamed: Mapping[str, str] = RENAMED
) -> Imported:
    """Return every search in an export of Kibana's saved objects.

    :param content: lines of JSON (version 7 and later), or the JSON document of older versions.
    :param now_us: what ``now`` means in times, microseconds since 1970; None is the present.
    :param renamed: MozDef's name for a name in Kibana, where they differ.
    :raises QueryError: the file is no export.
    """
    export = read_export(content)
    reader = _Reader(export, present() if now_us is None else now_us, renamed)
    for found in export.objects:
        if found.kind in KINDS:
            for part in tabs(found):
                reader.read(part)
    others = sorted({found.kind for found in export.objects} - set(KINDS) - _AIDS)
    passed = [
        f"objects of the kind {kind!r} hold no search that can be read, and are left away" for kind in others
    ]
    return Imported(tuple(reader.found), tuple(reader.refused), (*export.warnings, *passed))


class _Reader:
    """Reads object after object and keeps what was found and refused."""

    def __init__(self, export: Export, now_us: int, renamed: Mapping[str, str]) -> None:
        self.export = export
        self.now_us = now_us
        self.renamed = renamed
        self.found: list[KibanaSearch] = []
        self.refused: list[QueryError] = []

    def read(self, item: SavedObject) -> None:
        try:
            source = source_of(item, self.export)
            chosen: list[Mapping[str, Any]] = []
            if item.kind == "dashboard":
                chosen.append({"filter": control_filters(item)})
            if source is not None:
                self.found.append(self._search(source, None, chosen))
        except QueryError as error:
            self._refuse(item.kind, item.title, error)
            return
        if item.kind == "dashboard" and source is not None:
            self._panels(item, source, chosen)

    def _panels(self, item: SavedObject, dashboard: Source, chosen: list[Mapping[str, Any]]) -> None:
        try:
            entries = list(panels(item, self.export))
        except QueryError as error:
            self._refuse("dashboard", item.title, error)
            return
        for panel in entries:
            try:
                source = panel.source(item, self.export)
                if source is not None:
                    self.found.append(self._search(source, dashboard, chosen))
            except QueryError as error:
                self._refuse("panel", panel.title, error)

    def _refuse(self, kind: str, title: str, error: QueryError) -> None:
        self.refused.append(QueryError(f"{kind} {title!r}: {error}", error.position))

    def _search(self, source: Source, above: Source | None, more: list[Mapping[str, Any]]) -> KibanaSearch:
        """Return what a source finds, within a dashboard also what that says."""
        pattern = self.export.find("index-pattern", source.index) if source.index else None
        names = self._names(pattern)
        for note in source.notes:
            names.warn(note)
        if source.index:
            title = pattern.title if pattern else source.index
            names.warn(f"the index pattern {title!r} has no meaning here: all events are searched")
        outer = [*(above.searches if above else ()), *more]
        queries = [read_source(part, names) for part in (*outer, *source.searches)]
        time = source.time or (above.time if above else None)
        between: tuple[int | None, int | None] = (None, None)
        if time is not None:
            between, limit = self._between(time, pattern, names)
            queries.append(limit)
        order = _order(source, names)
        columns = tuple(dict.fromkeys(_column(name, names) for name in source.columns))
        search = Search(all_of(queries), between, order)
        return KibanaSearch(source.title, source.kind, search, columns, time, tuple(names.warnings))

    def _names(self, pattern: SavedObject | None) -> Names:
        fields = embedded(pattern.attributes.get("fields"), "fields") if pattern else None
        known = [
            field for field in listed(fields, "fields") if isinstance(field, Mapping) and "name" in field
        ]
        scripted = {str(field["name"]) for field in known if field.get("scripted")}
        runtime = embedded(pattern.attributes.get("runtimeFieldMap"), "runtimeFieldMap") if pattern else None
        scripted.update(
            map(str, runtime if isinstance(runtime, Mapping) else listed(runtime, "runtimeFieldMap"))
        )
        return Names(self.now_us, self.renamed, [str(field["name"]) for field in known], scripted)

    def _between(
        self, time: tuple[str, str], pattern: SavedObject | None, names: Names
    ) -> tuple[tuple[int | None, int | None], Query]:
        """Return the time range, or a condition where it is on another field than the event's time."""
        first = resolve(time[0], self.now_us, week_begins_on_sunday=True).first
        end = resolve(time[1], self.now_us, week_begins_on_sunday=True).end
        if any("/" in text for text in time):
            names.warn(f"the time range {time[0]} to {time[1]} is rounded in UTC, weeks from Sunday")
        if first >= end:
            raise QueryError(
                f"the time range {time[0]} to {time[1]} is empty; expected the first before the last"
            )
        written = pattern.attributes.get("timeFieldName") if pattern else "utctimestamp"
        if not written:
            title = pattern.title if pattern else ""
            names.warn(f"the time range has no effect: the index pattern {title!r} has no time field")
            return (None, None), All()
        field = names.name(str(written))
        if field in TIME_FIELDS:
            return (first, end), All()
        return (None, None), Range(field, gte=isoformat(first), lt=isoformat(end))


def _order(source: Source, names: Names) -> Order:
    order: Order = "newest"
    for number, (written, direction) in enumerate(source.sort):
        if number == 0 and written in (*TIME_FIELDS, "@timestamp", "_score"):
            order = "oldest" if direction == "asc" else "newest"
        else:
            names.warn(f"the order by {written!r} has no meaning here: events come by time")
    return order


def _column(written: str, names: Names) -> str:
    try:
        return names.name(written)
    except QueryError:
        names.warn(f"the column {written!r} is no field of the event")
        return written
