"""Discovery: which code is installed, and the import of what the operator has enabled. Nothing else is imported."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from stevedore.driver import DriverManager
from stevedore.exception import MultipleMatches, NoMatches
from stevedore.named import NamedExtensionManager

from mozdef_core.config import Config
from mozdef_core.environment import sources, typed
from mozdef_core.errors import ConfigError
from mozdef_core.host import Plugin, check_plugins, close_plugin, one_line
from mozdef_core.options import Options
from mozdef_core.ports import Input
from mozdef_core.problems import describe, suggestion

log = logging.getLogger(__name__)

PLUGINS: Final = "mozdef.plugins"
RULES: Final = "mozdef.alerts"
INPUTS: Final = "mozdef.inputs"
STORES: Final = "mozdef.stores"
QUEUES: Final = "mozdef.queues"
SCHEDULERS: Final = "mozdef.schedulers"
GROUPS: Final[Mapping[str, str]] = {
    PLUGINS: "plugin",
    RULES: "rule",
    INPUTS: "input",
    STORES: "store",
    QUEUES: "queue",
    SCHEDULERS: "scheduler",
}
"""The entry point groups, and what one thing of each is called."""

_ENABLE: Final = {PLUGINS: "plugins", RULES: "alerts.enabled", INPUTS: "inputs"}
_TABLES: Final = {PLUGINS: "plugin", RULES: "alerts", INPUTS: "input"}

Found = TypeVar("Found")


class Installed(NamedTuple):
    """Something that is installed, enabled or not; to know this nothing was imported.

    :param target: where the code is, ``module:attribute``.
    """

    group: str
    name: str
    target: str
    distribution: str
    version: str


class _FreshEntryPoints:
    """Gives stevedore the entry points that are there now.

    Its own list comes from a cache on disk that, for some two minutes, misses what was just installed, and whose
    entries have lost their distribution.
    """

    namespace: str
    points: Sequence[importlib.metadata.EntryPoint] | None = None

    def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
        """Return the entry points of the group, read from the installed metadata unless that was just done."""
        return _entry_points(self.namespace) if self.points is None else list(self.points)


class _Named(_FreshEntryPoints, NamedExtensionManager[Any]):
    """stevedore's manager of the extensions that are named."""


class _Driver(_FreshEntryPoints, DriverManager[Any]):
    """stevedore's manager of exactly one extension."""


def _entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
    return sorted(importlib.metadata.entry_points(group=group), key=lambda point: point.name)


def installed(group: str) -> list[Installed]:
    """Return what is installed in an entry point group, by name, without importing any of it."""
    return _named(group, _entry_points(group))


def _named(group: str, points: Iterable[importlib.metadata.EntryPoint]) -> list[Installed]:
    return [
        Installed(group, point.name, point.value, point.dist.name, point.dist.version)
        for point in points
        if point.dist is not None
    ]


def load_plugins(config: Config) -> list[Plugin]:
    """Import and make the enabled plugins, in the operator's order.

    :raises ConfigError: one is missing, doubled, cannot be imported, has a wrong option or hook, or refuses to
        start; with every problem of every plugin. Those that had been made are closed.
    """
    return _all_or_nothing(find_plugins(config))


def load_inputs(config: Config) -> dict[str, Input[Any]]:
    """Import and make the enabled inputs, by name. None has opened anything yet.

    :raises ConfigError: as :func:`load_plugins` does.
    """
    inputs, problems = find_inputs(config)
    if problems:
        raise ConfigError(problems)
    return inputs


def find_plugins(config: Config) -> tuple[list[Plugin], list[str]]:
    """Make those enabled plugins that can be made, and say what is wrong with the others."""
    return _made(_Group(PLUGINS, "plugin", config.plugin), config.plugins)


def find_inputs(config: Config) -> tuple[dict[str, Input[Any]], list[str]]:
    """Make those enabled inputs that can be made, and say what is wrong with the others."""
    kinds = {name: config.input_kind(name) for name in (*config.inputs, *config.input)}
    group = _Group(INPUTS, "input", config.input, kinds)
    made: dict[str, Input[Any]] = {}
    for name, (cls, _) in group.classes(config.inputs).items():
        table = {key: value for key, value in group.tables.get(name, {}).items() if key != "kind"}
        instance = group.attempt(partial(make, cls, table, f"input.{name}"))
        if isinstance(instance, Input):
            made[name] = instance
        elif instance is not None:
            group.problems.append(f"input.{name}: {_target(cls)} is not a mozdef_core.Input")
    return made, group.problems


def load_driver(group: str, name: str) -> type[Any]:
    """Import one driver and return its class.

    :param group: such as ``mozdef.stores``.
    :raises ConfigError: it is not installed, doubled, or cannot be imported.
    """
    where = f"core.{GROUPS[group]}"
    failures: list[BaseException] = []
    _refuse_doubles(group, name, where)
    try:
        manager = _Driver(
            group, name, on_load_failure_callback=lambda _manager, _point, error: failures.append(error),
            on_missing_entrypoints_callback=None,
        )  # fmt: skip
    except NoMatches:
        if failures:  # a driver that cannot be imported is also reported as missing; the first is the reason
            reason = failures[0]
            raise ConfigError([f"{where}: {name!r} cannot be imported: {one_line(reason)}"]) from reason
        hint = suggestion(name, [known.name for known in installed(group)])
        raise ConfigError([f"{where}: no {GROUPS[group]} {name!r} is installed{hint}"]) from None
    except MultipleMatches as error:
        raise ConfigError([f"{where}: {error}"]) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # stevedore lets AssertionError and SystemExit of an import through
        raise ConfigError([f"{where}: {name!r} cannot be imported: {one_line(error)}"]) from error
    (extension,) = manager.extensions
    driver = extension.plugin  # not manager.driver, which is the class whenever the object is falsy
    if not isinstance(driver, type):
        raise ConfigError([f"{where}: {_target(driver)} is not a class"])
    return driver


def load_class(group: str, name: str) -> type[Any]:
    """Import one thing, enabled or not, because the operator asks about it by name.

    :raises ConfigError: it is not installed, doubled, or cannot be imported.
    """
    if group in _ENABLE:
        return _Group(group, _TABLES[group], {}).load(name)[0]
    return load_driver(group, name)


def load_each(group: str, names: Iterable[str]) -> Mapping[str, tuple[type[Any], str] | ConfigError]:
    """Import several things of a group that are plugins, rules or inputs; by name the class and its version.

    What cannot be imported has its error instead, and keeps no other from it.
    """
    found: dict[str, tuple[type[Any], str] | ConfigError] = {}
    shelf = _Group(group, _TABLES[group], {})
    for name in names:
        try:
            found[name] = shelf.load(name)
        except ConfigError as error:
            found[name] = error
    return found


def enabled(config: Config, group: str) -> tuple[str, ...]:
    """Return the installed names that the configuration enables in a group, patterns replaced by what they match."""
    if group == PLUGINS:
        return config.plugins
    if group == INPUTS:
        return tuple(dict.fromkeys(map(config.input_kind, config.inputs)))
    if group != RULES:
        return (str(getattr(config.core, GROUPS[group])),)
    known = [item.name for item in installed(group)]
    names = (_matching(_of_pack(pattern, known), known) or [pattern] for pattern in config.alerts.enabled)
    return tuple(dict.fromkeys(name for found in names for name in found))


def _of_pack(pattern: str, known: Iterable[str]) -> str:
    """Return the name of a pack of rules where a pattern means rules of it, ``pack:*``; else the pattern."""
    pack, colon, _ = pattern.partition(":")
    return pack if colon and pack in known else pattern


def _matching(pattern: str, known: Iterable[str]) -> list[str]:
    return [name for name in known if fnmatchcase(name, pattern)]


def options_of(cls: type[Any], table: Mapping[str, Any], where: str) -> Options:
    """Return the options of a plugin, rule, input or driver class as its table sets them.

    :param where: the table, such as ``plugin.geoip``, for the sentences about what is wrong.
    :raises ConfigError: with every wrong option.
    """
    model = getattr(cls, "Options", Options)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigError([f"{where}: {_target(cls)}.Options is not a subclass of mozdef_core.Options"])
    try:
        options: Any = model.model_validate(typed(table, model))
    except ValidationError as error:
        raise ConfigError(describe(error, model, where, sources=sources(table, where))) from None
    return options  # type: ignore[no-any-return]


def make(cls: type[Any], table: Mapping[str, Any], where: str) -> Any:
    """Check the options of a class and make its object.

    :raises ConfigError: an option is wrong, or the class refuses; with the reason it gives.
    """
    options = options_of(cls, table, where)
    try:
        return cls(options)
    except (KeyboardInterrupt, ConfigError):
        raise
    except BaseException as error:  # building a plugin, whatever it does
        log.debug("%s: could not be made", where, exc_info=True)
        raise ConfigError([f"{where}: cannot start: {one_line(error)}"]) from error


def as_plugin(name: str, cls: type[Any], table: Mapping[str, Any], where: str, version: str = "") -> Plugin:
    """Make a plugin of a class. The key ``order`` of its table overrides the order that the class declares.

    :raises ConfigError: as :func:`make` does.
    """
    own = getattr(cls, "Options", Options)
    order = getattr(cls, "order", 10)
    if "order" in table and "order" not in getattr(own, "model_fields", {}):
        try:
            order = int(table["order"])
        except (TypeError, ValueError):
            raise ConfigError([f"{where}.order: expected a whole number, got {table['order']!r}"]) from None
        table = {key: value for key, value in table.items() if key != "order"}
    instance = make(cls, table, where)
    return Plugin(
        name=name,
        instance=instance,
        version=version,
        order=order,
        stage=getattr(instance, "stage", "action"),
        applies_to=getattr(instance, "applies_to", {}),
    )


class _Group:
    """One entry point group while the enabled things of it are imported, and the problems met.

    :param kinds: by name, under which other name the thing is installed.
    """

    def __init__(
        self,
        group: str,
        table: str,
        tables: Mapping[str, Mapping[str, Any]],
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.group = group
        self.table = table
        self.tables = tables
        self.kinds = kinds or {}
        self.problems: list[str] = []
        self.points = _entry_points(group)
        self.installed = _named(group, self.points)
        self.known = sorted({item.name for item in self.installed})

    def classes(self, names: Iterable[str]) -> dict[str, tuple[type[Any], str]]:
        """Import what is enabled; return class and version by name, in the order of the names."""
        names = tuple(names)
        noun = GROUPS[self.group]
        for name in self.tables:
            kind = self.kinds.get(name, name)
            if kind not in self.known and name not in names:
                hint = suggestion(kind, self.known)
                self.problems.append(f"{self.table}.{name}: no {noun} {kind!r} is installed{hint}")
        classes = {}
        for name in names:
            found = self.attempt(partial(self.load, name))
            if found is not None:
                classes[name] = found
        return classes

    def attempt(self, action: Callable[[], Found]) -> Found | None:
        """Do something for one name; its problems join those of the group."""
        try:
            return action()
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None

    def load(self, name: str) -> tuple[type[Any], str]:
        """Import one thing and return its class and version."""
        where, kind = f"{self.table}.{name}", self.kinds.get(name, name)
        if kind not in self.known:
            place = _ENABLE[self.group] if kind == name else f"{where}.kind"
            raise ConfigError([f"{place}: {self._missing(kind)}"])
        _refuse_doubles(self.group, kind, where, self.installed)
        item = next(item for item in self.installed if item.name == kind)
        points = [point for point in self.points if point.name == kind]
        failures: list[BaseException] = []
        try:
            extensions = type("_These", (_Named,), {"points": points})(
                self.group, [kind], on_load_failure_callback=lambda _manager, _point, error: failures.append(error),
                on_missing_entrypoints_callback=None,
            ).extensions  # fmt: skip
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # stevedore lets AssertionError and SystemExit through
            extensions = []
            failures.append(error)
        if failures:
            log.debug("%s: could not be imported", where, exc_info=failures[0])
            of = f"{item.target} ({item.distribution} {item.version})"
            raise ConfigError(
                [f"{where}: cannot be imported from {of}: {one_line(failures[0])}"]
            ) from failures[0]
        cls = extensions[0].plugin
        if not isinstance(cls, type):
            raise ConfigError([f"{where}: {item.target} is not a class"])
        return cls, item.version

    def _missing(self, name: str) -> str:
        """Say that nothing of this name is installed, and where it would belong if it is something else."""
        text = f"no {GROUPS[self.group]} {name!r} is installed"
        for group, key in _ENABLE.items():
            if group != self.group and any(item.name == name for item in installed(group)):
                return f"{text}; it is a{'n' if group == INPUTS else ''} {GROUPS[group]} and belongs in {key}"
        named = [] if name not in self.kinds else [own for own in self.kinds if own != name]
        return text + suggestion(name, [*self.known, *named])


def _made(group: _Group, names: Sequence[str]) -> tuple[list[Plugin], list[str]]:
    plugins = []
    for name, (cls, version) in group.classes(names).items():
        table, where = group.tables.get(name, {}), f"{group.table}.{name}"
        plugin = group.attempt(partial(as_plugin, name, cls, table, where, version))
        if plugin is not None:
            plugins.append(plugin)
    group.problems.extend(f"{group.table}.{text}" for text in check_plugins(plugins))
    return plugins, group.problems


def _all_or_nothing(found: tuple[list[Plugin], list[str]]) -> list[Plugin]:
    plugins, problems = found
    if problems:
        for plugin in plugins:
            close_plugin(plugin)
        raise ConfigError(problems)
    return plugins


def _refuse_doubles(group: str, name: str, where: str, known: Iterable[Installed] | None = None) -> None:
    """Refuse a name that two distributions claim: stevedore would take the last one without a word."""
    items = installed(group) if known is None else known
    claims = [f"{item.distribution} {item.version}" for item in items if item.name == name]
    if len(claims) > 1:
        raise ConfigError(
            [f"{where}: {' and '.join(claims)} both bring a {GROUPS[group]} {name!r}; uninstall one"]
        )


def _target(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '?')}:{getattr(thing, '__qualname__', repr(thing))}"
