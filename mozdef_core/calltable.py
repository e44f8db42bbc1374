"""The call table: which plugins a hook calls, in which order, and which of them an event concerns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mozdef_core.event import Event
from mozdef_core.health import Health

ANY: Final = "*"
"""In ``applies_to``: the field exists, whatever it holds."""

_ALIASES: Final = {"tag": "tags"}


@dataclass(frozen=True, eq=False, slots=True)
class Plugin:
    """One enabled plugin or rule.

    :param name: of its entry point, which is its name everywhere.
    :param version: of the distribution that brings it.
    :param order: plugins of lower order are called first, ties in the order of the operator's list.
    :param stage: for ``alert_action``: ``enrich`` comes before ``action``.
    :param applies_to: by field, the values that an event must have one of; an empty mapping admits every event.
    """

    name: str
    instance: Any = field(repr=False)
    version: str = ""
    order: int = 10
    stage: Literal["action", "enrich"] = "action"
    applies_to: Mapping[str, Collection[str]] = field(default_factory=dict)


Reader = Callable[[Event], Any]


def _endpoint(event: Event) -> Any:
    book = event.body.get("mozdef")
    source = book.get("input") if isinstance(book, dict) else None
    return source.get("endpoint") if isinstance(source, dict) else None


def _program(event: Event) -> Any:
    return event.program


class CallTable:
    """The plugins of one hook in call order, indexed by what they apply to.

    The cost of :meth:`next_index` depends on the number of different fields that the plugins name, not on the
    number of plugins.
    """

    def __init__(self, plugins: Sequence[Plugin], health: Health) -> None:
        self.plugins = tuple(plugins)
        self._health = health
        self._bits = {plugin.name: 1 << position for position, plugin in enumerate(self.plugins)}
        self._always = sum(self._bits[plugin.name] for plugin in self.plugins if not plugin.applies_to)
        plain: dict[str, dict[str, int]] = {}
        read: dict[str, dict[str, int]] = {}
        present: dict[str, int] = {}
        for plugin in self.plugins:
            for name, values in plugin.applies_to.items():
                path, bit = _ALIASES.get(name, name), self._bits[plugin.name]
                if ANY in values:
                    present[path] = present.get(path, 0) | bit
                index = (read if path in ("program", "endpoint") or "." in path else plain).setdefault(
                    path, {}
                )
                for value in values:
                    key = _text(value)
                    index[key] = index.get(key, 0) | bit
        self._plain = tuple(plain.items())
        self._read: tuple[tuple[Reader, dict[str, int]], ...] = tuple(
            (_reader(path), index) for path, index in read.items()
        )

        self._present = tuple((_presence(path), mask) for path, mask in present.items())

    def next_index(self, event: Event, start: int) -> int:
        """Return the position of the next plugin, at or after ``start``, that this event concerns.

        Suspended plugins are passed over. The number of plugins means that there is none.
        """
        mask = self._always
        body = event.body
        for name, index in self._plain:
            value = body.get(name)
            if value.__class__ is str:
                mask |= index.get(value.casefold(), 0)
            elif value:
                mask |= _among(value, index)
        for reader, index in self._read:
            value = reader(event)
            if value.__class__ is str:
                mask |= index.get(value.casefold(), 0)
            elif value is not None:
                mask |= _among(value, index)
        for present, bits in self._present:
            if mask & bits != bits and present(event):
                mask |= bits
        if self._health.suspended_names:
            mask &= ~self._suspended()
        mask >>= start
        if not mask:
            return len(self.plugins)
        return start + (mask & -mask).bit_length() - 1

    def _suspended(self) -> int:
        health, bits = self._health, self._bits
        return sum(
            bits[name] for name in tuple(health.suspended_names) if name in bits and health.suspended(name)
        )


def _text(value: object) -> str:
    """Return a value as it is compared: as text, in one case."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).casefold()


def _among(value: object, index: Mapping[str, int]) -> int:
    """Return the plugins that want any of the values of a list, or a number or boolean."""
    if isinstance(value, list):
        mask = 0
        for element in value:
            if element.__class__ is str:
                mask |= index.get(element.casefold(), 0)
            elif element is not None and not isinstance(element, dict):
                mask |= _among(element, index)
        return mask
    return 0 if isinstance(value, dict) else index.get(_text(value), 0)


def _reader(path: str) -> Reader:
    if path == "program":
        return _program
    if path == "endpoint":
        return _endpoint
    first, _, second = path.partition(".")
    if "." in second:
        return lambda event: event.values(path)

    def read(event: Event) -> Any:
        parent = event.body.get(first)
        if parent.__class__ is dict and path not in event.body:
            return parent.get(second)
        return event.values(path)

    return read


def _presence(path: str) -> Callable[[Event], bool]:
    if path == "program":
        return lambda event: bool(event.program)
    if path == "endpoint":
        return lambda event: _endpoint(event) is not None
    first, _, second = path.partition(".")

    def present(event: Event) -> bool:
        parent = event.body.get(first)
        if (
            parent.__class__ is dict
            and second
            and "." not in second
            and second not in parent
            and path not in event.body
        ):
            return False
        return event.exists(path)

    return present
