"""The draft: one item on its way to becoming an event."""

from __future__ import annotations

from typing import Any, Final

from mozdef_core.normalise import aliases
from mozdef_core.normalise.keys import same, united
from mozdef_core.normalise.problems import Problems
from mozdef_core.normalise.settings import EntranceSettings
from mozdef_core.ports import Item

SAYS_NOTHING: Final = frozenset({"", "-"})


def is_absent(value: Any) -> bool:
    """Return whether a value says nothing: null, empty, or a dash."""
    if isinstance(value, str):
        return value in SAYS_NOTHING or value.strip() in SAYS_NOTHING
    return value is None or (isinstance(value, dict | list) and not value)


def first_scalar(values: list[Any]) -> Any:
    """Return the first element that is a scalar and says something, None for none."""
    return next((one for one in values if not isinstance(one, dict | list) and not is_absent(one)), None)


class Draft:
    """What is still to be placed of an item, and what has its place. It belongs to one call of the normaliser.

    :ivar top: members of the top level, with clean keys, that have no place yet.
    :ivar body: canonical fields; ``timestamp`` is in microseconds since 1970 until the end.
    :ivar under: canonical field -> the name that its value was sent under.
    :ivar objects: members of the top level that may hold members which are fields of their own.
    :ivar tags: what was sent as tags, under each spelling; ``added_tags`` are those of the system.
    :ivar recognised: whether it is a product's own record, whose time its mapper reads.
    """

    __slots__ = (
        "added_tags",
        "body",
        "defaulted",
        "details",
        "item",
        "objects",
        "offset_min",
        "problems",
        "received_us",
        "recognised",
        "settings",
        "tags",
        "top",
        "under",
    )

    def __init__(
        self, top: dict[str, Any], problems: Problems, item: Item, settings: EntranceSettings
    ) -> None:
        self.top = top
        self.problems = problems
        self.item = item
        self.settings = settings
        self.body: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.under: dict[str, str] = {}
        self.objects: dict[str, Any] = {}
        self.tags: list[Any] = []
        self.added_tags: list[str] = []
        self.defaulted: list[str] = []
        self.received_us = item.received_us
        self.offset_min: int | None = None
        self.recognised = False

    def keep(self, name: str, value: Any) -> None:
        """Keep a value in details; where a different one stands already both are kept, as an array."""
        details = self.details
        if name not in details or details[name] is None:
            details[name] = value
        elif value is not None and not same(details[name], value):
            details[name] = united(details[name], value)
            self.problems.note("key-collision", f"details.{name}")

    def put(self, name: str, value: Any) -> None:
        """Keep a member of the top level in details; an object may hold members that belong elsewhere."""
        if (type(value) is dict and name in aliases.OBJECTS) or (
            "." in name and name.partition(".")[0] in aliases.OBJECTS
        ):
            self.objects[name] = value
        self.keep(name, value)

    def scalar(self, name: str, value: Any) -> Any:
        """Return the scalar that a field's value holds, None for none; an object or array is kept in details."""
        if isinstance(value, dict):
            if value:
                self.put(name, value)
            return None
        if isinstance(value, list):
            if value:
                self.put(name, value)
            return first_scalar(value)
        return None if is_absent(value) else value
