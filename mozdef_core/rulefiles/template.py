"""The template of a summary: text with placeholders for what the events of an alert hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from string import Formatter
from typing import Final, NamedTuple

from mozdef_core.event import Event
from mozdef_core.problems import suggestion
from mozdef_core.query.groups import group_values
from mozdef_core.rules.group import UNKNOWN, Group

SHOWN: Final = 10
"""So many distinct values at most stand for a field."""

_FIELD: Final = re.compile(r"[A-Za-z_@][\w@-]*(?:\.[\w@-]+)+")
_PLAIN: Final = frozenset(
    {
        *(
            "hostname",
            "summary",
            "category",
            "severity",
            "source",
            "processname",
            "processid",
            "tags",
            "type",
        ),
        *("utctimestamp", "receivedtimestamp", "timestamp", "mozdefhostname", "eventsource", "version"),
    }
)
_FORMS: Final = ("top", "list", "distinct")


class _Part(NamedTuple):
    """Text, and what follows it: nothing, a name, or a form of a field."""

    text: str
    name: str | None
    form: str


class Template:
    """A text in which ``{count}`` and others are filled in; ``{{`` and ``}}`` are braces.

    :param names: the placeholders besides the fields of events.
    :param fields: whether fields may stand in it: ``{details.username}``, and as ``{top:hostname}`` the most frequent
        values, as ``{list:hostname}`` the sorted ones, as ``{distinct:hostname}`` how many there are.
    :raises ValueError: a placeholder is unknown; it says which, and which there are.
    """

    def __init__(self, text: str, names: Collection[str], *, fields: bool = True) -> None:
        self._parts: list[_Part] = []
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"{error}; a brace that is meant as such is written twice") from None
        for literal, name, form, conversion in parsed:
            if name is not None:
                self._check(name, form or "", conversion, names, fields=fields)
            if name in _FORMS and form:
                self._parts.append(_Part(literal, form, name))
            else:
                self._parts.append(_Part(literal, name, ""))

    @staticmethod
    def _check(name: str, form: str, conversion: str | None, names: Collection[str], *, fields: bool) -> None:
        path = form if name in _FORMS and form else name
        known = not conversion and (
            (fields and is_field(path))
            if path is form
            else (not form and (name in names or (fields and is_field(name))))
        )
        if not known:
            shown = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            more = [*_PLAIN, *(f"{each}:hostname" for each in _FORMS)] if fields else []
            hint = suggestion(shown, [*names, *more])
            there = "a field such as {details.username}, or " if fields else ""
            if hint.startswith("; there"):
                hint = f"; expected {there}{', '.join(f'{{{each}}}' for each in sorted(names))}"
            raise ValueError(f"the placeholder {{{shown}}} is unknown{hint}")

    def fill(self, known: Mapping[str, object], values: Callable[[str, str], str]) -> str:
        """Return the text.

        :param known: what stands for the names.
        :param values: returns what stands for a field in a form, which is empty, top, list or distinct.
        """
        texts = []
        for text, name, form in self._parts:
            texts.append(text)
            if name is not None:
                texts.append(str(known[name]) if name in known and not form else values(name, form))
        return "".join(texts)


def is_field(path: str) -> bool:
    """Return whether a text is the name of a field: a dotted path, or one that the core knows."""
    return path in _PLAIN or _FIELD.fullmatch(path) is not None


def of_event(event: Event) -> Callable[[str, str], str]:
    """Return what shows the values of one event."""

    def values(path: str, form: str) -> str:
        found = texts_of(event, path)
        if form == "distinct":
            return str(len(found))
        return ", ".join(sorted(found) if form == "list" else found) or UNKNOWN

    return values


def of_group(group: Group) -> Callable[[str, str], str]:
    """Return what shows the values of all events of a group."""

    def values(path: str, form: str) -> str:
        if form == "top":
            return group.top(path)
        if form == "list":
            return group.listed(path, SHOWN)
        found = distinct(group, path)
        return str(len(found)) if form == "distinct" else ", ".join(found[:SHOWN]) or UNKNOWN

    return values


def distinct(group: Group, path: str) -> Sequence[str]:
    """Return the distinct values at a path in order of appearance; texts and times, too, which make no groups."""
    return list(dict.fromkeys(text for event in group.events for text in texts_of(event, path)))


def texts_of(event: Event, path: str) -> Sequence[str]:
    """Return the distinct values of one event at a path, as text."""
    if not event.exists(path):
        return ()
    grouped = group_values(event, path)
    if grouped:
        return sorted(grouped)
    return list(dict.fromkeys(str(value) for value in event.values(path) if not isinstance(value, dict)))
