"""The files that Kibana exports: lines of JSON since version 7, one JSON document before; read into saved objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from mozdef_core.errors import QueryError

_FORM: Final = "an export of saved objects (one JSON object in each line) or the older JSON array"


@dataclass(frozen=True, slots=True)
class SavedObject:
    """One entry of an export.

    :param kind: ``search``, ``dashboard``, ``index-pattern`` and so on.
    :param attributes: what the kind of object holds; JSON inside of texts is not read yet.
    :param references: kind and id of other objects by the name that the attributes call them.
    """

    kind: str
    id: str
    attributes: Mapping[str, Any]
    references: Mapping[str, tuple[str, str]]

    @property
    def title(self) -> str:
        """The title, or the id where there is none."""
        title = self.attributes.get("title")
        return title if isinstance(title, str) and title else self.id


@dataclass(frozen=True, slots=True)
class Export:
    """All objects of a file, in its order, and what was missing in it."""

    objects: tuple[SavedObject, ...]
    warnings: tuple[str, ...]

    def find(self, kind: str, identity: str) -> SavedObject | None:
        """Return the object of this kind and id, or None when the file does not have it."""
        return next((found for found in self.objects if (found.kind, found.id) == (kind, identity)), None)


def read_export(content: str | bytes) -> Export:
    """Return the objects of an export.

    :raises QueryError: it is not one; with the line where it is lines.
    """
    objects: list[SavedObject] = []
    warnings: list[str] = []
    for place, entry in _entries(content):
        if not isinstance(entry, Mapping):
            raise QueryError(f"{place}: expected an object, got {entry!r:.60}; expected {_FORM}")
        if "exportedCount" in entry:
            warnings.extend(_missing(entry))
            continue
        found = _saved_object(entry)
        if found is None:
            raise QueryError(
                f"{place}: expected a saved object with 'type' and 'attributes', or with '_type' and '_source',"
                f" got the keys {sorted(map(str, entry))[:8]!r}"
            )
        objects.append(found)
    return Export(tuple(objects), tuple(warnings))


def embedded(value: object, where: str) -> Any:
    """Return the value of a JSON text inside of an object; some tools write the value itself there.

    :raises QueryError: it is not JSON.
    """
    if not isinstance(value, str | bytes):
        return value
    try:
        return orjson.loads(value or b"null")
    except orjson.JSONDecodeError as error:
        raise QueryError(f"{where}: expected JSON in a text: {error}") from None


def listed(value: object, where: str) -> list[Any]:
    """Return a list inside of an object; an empty one where there is none.

    :raises QueryError: something else is there.
    """
    if isinstance(value, list):
        return value
    if value:
        raise QueryError(f"{where}: expected a list, got {value!r:.60}")
    return []


def _entries(content: str | bytes) -> Iterator[tuple[str, Any]]:
    text = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as whole:
        yield from _lines(text, whole)
        return
    if isinstance(document, Mapping):
        for key in ("objects", "saved_objects"):
            if isinstance(document.get(key), list):
                document = document[key]
                break
        else:
            hits = document.get("hits")
            document = hits["hits"] if isinstance(hits, Mapping) and "hits" in hits else [document]
    if not isinstance(document, list):
        raise QueryError(f"expected {_FORM}")
    for number, entry in enumerate(document):
        yield f"entry {number}", entry


def _lines(text: bytes, whole: orjson.JSONDecodeError) -> Iterator[tuple[str, Any]]:
    lines = [(number, line) for number, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise QueryError(f"the file is empty; expected {_FORM}")
    for number, line in lines:
        try:
            yield f"line {number}", orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if number == lines[0][0]:  # then it is no file of lines, and the place in the whole tells more
                raise QueryError(f"not JSON: {whole}; expected {_FORM}") from None
            raise QueryError(f"line {number} is not JSON: {error}; expected {_FORM}") from None


def _saved_object(entry: Mapping[str, Any]) -> SavedObject | None:
    """Return an entry of any version as one form; None when it is something else."""
    kind, identity, attributes = entry.get("type"), entry.get("id"), entry.get("attributes")
    references = entry.get("references")
    source = entry.get("_source")
    if isinstance(source, Mapping):
        kind, identity, attributes = entry.get("_type"), entry.get("_id"), source
        references = entry.get("_references", source.get("references"))
        if kind in (None, "doc", "_doc"):  # as Kibana 6 kept it in its index
            kind = source.get("type")
            attributes = source.get(kind) if isinstance(kind, str) else None
            identity = str(identity).removeprefix(f"{kind}:")
    elif attributes is None and isinstance(kind, str):
        attributes = entry.get(kind)
    if not isinstance(kind, str) or not isinstance(attributes, Mapping):
        return None
    return SavedObject(kind, str(identity or ""), attributes, read_references(references))


def read_references(references: object) -> dict[str, tuple[str, str]]:
    """Return a list of references by name."""
    found = references if isinstance(references, list) else []
    return {
        str(reference["name"]): (str(reference.get("type")), str(reference.get("id")))
        for reference in found
        if isinstance(reference, Mapping) and "name" in reference
    }


def _missing(details: Mapping[str, Any]) -> Iterator[str]:
    for reference in _objects(details, "missingReferences"):
        yield f"the export misses {reference.get('type')} {reference.get('id')!r}, which an object refers to"
    for left_out in _objects(details, "excludedObjects"):
        yield f"the export left out {left_out.get('type')} {left_out.get('id')!r}: {left_out.get('reason')}"


def _objects(details: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [entry for entry in listed(details.get(name), name) if isinstance(entry, Mapping)]
