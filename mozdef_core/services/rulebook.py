"""The rulebook: every rule that there is, installed or in a file, and how each stands as it is configured."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mozdef_core import discovery
from mozdef_core.detection.traits import traits_of
from mozdef_core.discovery import RULES, Installed
from mozdef_core.errors import ConfigError
from mozdef_core.rules import AggregationRule, DeadmanRule, EventRule, NewValueRule, SequenceRule, StateRule

if TYPE_CHECKING:
    from mozdef_core.config import Config
    from mozdef_core.host import Plugin
    from mozdef_core.services.examples import Examples

_KINDS: tuple[tuple[type[Any], str], ...] = (
    (EventRule, "event"),
    (AggregationRule, "aggregation"),
    (SequenceRule, "sequence"),
    (DeadmanRule, "deadman"),
    (NewValueRule, "new_value"),
    (StateRule, "state"),
)


@dataclass(frozen=True, slots=True)
class KnownRule:
    """A rule, enabled or not.

    :param kind: event, aggregation, sequence, deadman, new_value, state, or engine for what only has the hook; empty
        where it is not known, since what is not enabled is not imported unless it is asked for.
    :param origin: the file that it stands in, or the distribution that brings it, with its version.
    :param cls: its class, from which it can be made with other options; None where ``kind`` is empty.
    :param plugin: as it is configured; None where it was not asked for or cannot be made.
    :param problems: why it cannot be made, or what of it cannot be used, one sentence each.
    :param mode: live, staged or off.
    :param schedule: stream, an interval such as 60s, or five crontab fields; empty where there is no plugin.
    """

    name: str
    kind: str
    origin: str
    cls: type[Any] | None = field(default=None, repr=False)
    plugin: Plugin | None = field(default=None, repr=False)
    problems: Sequence[str] = ()
    enabled: bool = False
    mode: str = "live"
    schedule: str = ""
    target: str = ""

    def examples(self) -> Examples | None:
        """Read its examples; None where it has none.

        :raises ConfigError: they are not as they should be.
        """
        from mozdef_core.services.examples import path_of, read

        path = path_of(self.target) if self.target else None
        return None if path is None else read(path)


def known_rules(config: Config, wanted: Collection[str] = ()) -> Sequence[KnownRule]:
    """Return every rule that there is, by name. What is enabled is made, and so is what is wanted.

    :param wanted: names or patterns of rules that are to be imported and made even where they are not enabled.
    """
    enabled = set(discovery.enabled(config, RULES))
    return [
        _installed(config, item, enabled=item.name in enabled)
        if item.name in enabled or any(fnmatchcase(item.name, pattern) for pattern in wanted)
        else KnownRule(item.name, "", _origin(item), target=item.target)
        for item in discovery.installed(RULES)
    ]


def kind_of(cls: type[Any]) -> str:
    """Return what kind of rule a class is."""
    return next((name for kind, name in _KINDS if issubclass(cls, kind)), "engine")


def _installed(config: Config, item: Installed, *, enabled: bool) -> KnownRule:
    table: Mapping[str, Any] = config.alerts.rules.get(item.name, {})
    where = f"alerts.{item.name}"
    try:
        cls = discovery.load_class(RULES, item.name)
    except ConfigError as error:
        return KnownRule(
            item.name, "", _origin(item), problems=error.problems, enabled=enabled, target=item.target
        )
    found = KnownRule(item.name, kind_of(cls), _origin(item), cls, enabled=enabled, target=item.target)
    return made(found, table, where, item.version)


def made(rule: KnownRule, table: Mapping[str, Any], where: str, version: str) -> KnownRule:
    """Return a rule with its plugin, or with why it cannot be made."""
    from dataclasses import replace

    assert rule.cls is not None
    try:
        plugin = discovery.as_plugin(rule.name, rule.cls, table, where, version)
    except ConfigError as error:
        return replace(rule, problems=error.problems)
    traits = traits_of(plugin)
    unusable = tuple(getattr(plugin.instance, "problems", ()))
    return replace(rule, plugin=plugin, problems=unusable, mode=traits.mode, schedule=traits.schedule)


def _origin(item: Installed) -> str:
    return f"{item.distribution} {item.version}"
