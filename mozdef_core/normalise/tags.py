"""Tags: whatever was sent becomes distinct texts in order of appearance (event-format.md section 5.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from mozdef_core.normalise.problems import Problems

MOST: Final = 100
LONGEST: Final = 256


def read_tags(values: Iterable[Any], problems: Problems, added: Iterable[str] = ()) -> list[str]:
    """Return the tags of all the values that were sent under some spelling of ``tags``.

    :param added: tags of the system, which come last and always have a place.
    """
    tags: dict[str, None] = {}
    cut = False
    for value in values:
        for tag in tag_texts(value):
            if tag is None:
                cut = True
                continue
            text = tag.strip()
            if len(text) > LONGEST:
                text, cut = text[:LONGEST].strip(), True
            if text:
                tags[text] = None
    missing = [tag for tag in dict.fromkeys(added) if tag not in tags]
    if len(tags) + len(missing) > MOST or cut:
        problems.note("tags-cut", "tags")
        return [*list(tags)[: max(0, MOST - len(missing))], *missing][:MOST]
    return [*tags, *missing]


def tag_texts(value: Any) -> Iterator[str | None]:
    """Yield the tags of one value, None for a part of it that cannot be one.

    A text alone is split at commas, one inside an array is not.
    """
    if isinstance(value, str):
        yield from value.split(",")
    elif isinstance(value, list):
        for element in value:
            if isinstance(element, str):
                yield element
            else:
                yield from tag_texts(element)
    elif isinstance(value, dict):
        for key, member in value.items():
            if isinstance(member, dict | list):
                if member:
                    yield None
            elif member is not None:
                yield f"{key}={as_text(member)}"
    elif value is not None:
        yield as_text(value)


def as_text(value: Any) -> str:
    """Return a scalar as text: ``true``, ``3``, ``0.5``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
