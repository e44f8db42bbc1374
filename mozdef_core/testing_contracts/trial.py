"""A trial: plugins in a host of their own, and events made for them, as in production but without any service."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from mozdef_core.discovery import PLUGINS, RULES, as_plugin, installed
from mozdef_core.event import Event, microseconds, new_ids
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.normalise import EntranceSettings, Normaliser, parse_json
from mozdef_core.ports import Item, Origin

if TYPE_CHECKING:
    from mozdef_core.pipeline import Processed

RECEIVED = "2026-01-02T03:04:05+00:00"


def make_item(
    document: Mapping[str, Any] | str = "",
    /,
    *,
    entrance: str = "test",
    kind: str = "http",
    endpoint: str | None = None,
    received: str = RECEIVED,
    **fields: Any,
) -> Item:
    """Return an item as an entrance puts it into the queue; text stands for an object with this summary.

    :param fields: further members of the document.
    """
    received_us = microseconds(datetime.fromisoformat(received))
    sent = {"summary": document} if isinstance(document, str) and document else dict(document or {})
    raw = orjson.dumps({**sent, **fields})
    origin = Origin(entrance, kind, endpoint=endpoint)
    return Item(new_ids(received_us, 1)[0], received_us, origin, raw)


def make_event(
    document: Mapping[str, Any] | str = "",
    /,
    *,
    entrance: str = "test",
    kind: str = "http",
    endpoint: str | None = None,
    received: str = RECEIVED,
    recognisers: Sequence[Any] = (),
    **fields: Any,
) -> Event:
    """Return the event that the normaliser makes of a document (see :class:`mozdef_core.testing.MakeEvent`)."""
    item = make_item(document, entrance=entrance, kind=kind, endpoint=endpoint, received=received, **fields)
    return Normaliser("test.example", 1, recognisers).normalise(
        parse_json(item.raw), item, EntranceSettings()
    )


def plugin_of(cls: type[Any], options: Mapping[str, Any] | None = None) -> Plugin:
    """Make a plugin under the name and version of its entry point, or of its class where it is not installed.

    :raises ConfigError: an option is wrong, or it cannot start.
    """
    for group, table in ((PLUGINS, "plugin"), (RULES, "alerts")):
        for item in installed(group):
            module, _, attribute = item.target.partition(":")
            if attribute == cls.__qualname__ and module.partition(".")[0] == cls.__module__.partition(".")[0]:
                return as_plugin(item.name, cls, options or {}, f"{table}.{item.name}", item.version)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
    return as_plugin(name, cls, options or {}, f"plugin.{name}")


class Trial(Host):
    """A host for tests. It has patience, and never suspends.

    :param plugins: classes, each alone or with its options.
    """

    def __init__(self, plugins: Sequence[type[Any] | tuple[type[Any], Mapping[str, Any]]]) -> None:
        pairs = [plugin if isinstance(plugin, tuple) else (plugin, None) for plugin in plugins]
        super().__init__([plugin_of(cls, options) for cls, options in pairs], Health(Limits.patient(10.0)))

    def process(self, *documents: Mapping[str, Any] | str, **origin: Any) -> Processed:
        """Lead documents through the whole pipeline: normaliser, ``on_event``, ``enrich``, limits.

        :param origin: as for ``make_event``: ``entrance``, ``kind``, ``endpoint``, ``received``.
        :returns: events, dead letters, states and drops.
        """
        from mozdef_core.pipeline import Pipeline

        normaliser = Normaliser("test.example", 1, self.recognisers)
        pipeline = Pipeline(self, normaliser, {"json": parse_json}, {})
        return pipeline.process([make_item(document, **origin) for document in documents])

    def answer(self, hook: str, **arguments: Any) -> Any:
        """Return what the first plugin with this hook answers.

        :raises BaseException: what it raised.
        :raises AssertionError: it answered with something that the hook may not return.
        """
        if hook == "alert_action":
            arguments.setdefault("delivery", f"{arguments['alert'].id}:1:test")
        outcome = self.call(self.table(hook).plugins[0], hook, **arguments)
        if outcome.error is not None:
            raise outcome.error
        assert outcome.problem is None, outcome.problem
        return outcome.value
