"""The rulebook: every rule that there is, installed or in a file, and how each stands as it is configured and set."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mozdef_core import discovery
from mozdef_core.detection.traits import traits_of
from mozdef_core.discovery import RULES, Installed
from mozdef_core.errors import ConfigError
from mozdef_core.host import HOOKS, Plugin, check_plugins
from mozdef_core.problems import suggestion
from mozdef_core.rulefiles import OfFile, RuleFile
from mozdef_core.rules import (
    AggregationRule,
    DeadmanRule,
    EventRule,
    NewValueRule,
    RulePack,
    SequenceRule,
    StateRule,
)
from mozdef_core.services.rule_folders import RuleFolders

if TYPE_CHECKING:
    from mozdef_core.casework.rule_settings import RuleSetting
    from mozdef_core.config import Config
    from mozdef_core.services.examples import Examples

_KINDS: Final[tuple[tuple[type[Any], str], ...]] = (
    (EventRule, "event"),
    (AggregationRule, "aggregation"),
    (SequenceRule, "sequence"),
    (DeadmanRule, "deadman"),
    (NewValueRule, "new_value"),
    (StateRule, "state"),
)
_GLOB: Final = frozenset("*?[")


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
    :param target: where its code is, ``module:attribute``; empty for a file.
    :param file: whether it stands in a file of a folder of rules.
    :param table: the options with which it was made.
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
    file: bool = False
    table: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def in_force(self) -> bool:
        """Whether it is enabled, can be made and is not off."""
        return self.enabled and self.plugin is not None and self.mode != "off"

    def examples(self) -> Examples | None:
        """Read its examples; None where it has none.

        :raises ConfigError: they are not as they should be.
        """
        from mozdef_core.services.examples import path_of, read, read_value

        if self.cls is not None and issubclass(self.cls, OfFile):
            value = self.cls.examples
            return None if value is None else read_value(value, f"{self.cls.stands_in}: examples")
        path = path_of(self.target) if self.target else None
        return None if path is None else read(path)


class Loaded(NamedTuple):
    """All rules, and what is wrong with the configuration of them.

    :param problems: what keeps MozDef from starting: of installed rules and of the configuration, not of files.
    :param warnings: what does not, one sentence each.
    """

    rules: Sequence[KnownRule]
    problems: Sequence[str]
    warnings: Sequence[str]


def known_rules(
    config: Config,
    wanted: Collection[str] = (),
    settings: Mapping[str, RuleSetting] | None = None,
) -> Sequence[KnownRule]:
    """Return every rule that there is, by name. What is enabled or stands in a file is made, and so is what is wanted.

    :param wanted: names or patterns of rules that are to be imported and made even where they are not enabled.
    :param settings: what people have set while MozDef runs (:func:`mozdef_core.casework.rule_settings.collect`).
    """
    return RuleLoader(config).load(settings or {}, wanted).rules


def kind_of(cls: type[Any]) -> str:
    """Return what kind of rule a class is."""
    return next((name for kind, name in _KINDS if issubclass(cls, kind)), "engine")


class RuleLoader:
    """Makes rules, again and again; what has not changed since the last time is the same object.

    :param taken: names of plugins, which no rule can have.
    """

    def __init__(self, config: Config, taken: Collection[str] = ()) -> None:
        self._config = config
        self._taken = frozenset(taken)
        self._folders = RuleFolders([config.resolve(folder) for folder in config.alerts.folders])
        self._classes: dict[str, tuple[type[Any], str] | ConfigError] = {}
        self._packs: dict[str, Mapping[str, type[Any]]] = {}
        self._before: dict[str, KnownRule] = {}

    def fingerprint(self) -> object:
        """Return what is another one when the folders have changed; each file is looked at, none is read."""
        return self._folders.fingerprint()

    def load(self, settings: Mapping[str, RuleSetting], wanted: Collection[str] = ()) -> Loaded:
        """Return every rule as it is configured and set now. What cannot be made says why, and spares the others."""
        installed = discovery.installed(RULES)
        named = [name for name, setting in settings.items() if setting.enabled]
        self._import(installed, [*self._config.alerts.enabled, *wanted, *named])
        found = [*self._installed(installed, settings, wanted), *self._in_files(installed, settings)]
        self._before = {rule.name: rule for rule in found if rule.plugin is not None}
        known = [rule.name for rule in found]
        problems, warnings = self._lost(known), list(self._folders.problems)
        for rule in found:
            if rule.plugin is None:
                (warnings if rule.file else problems).extend(rule.problems)
        dangling = [
            f"alerts.{name}: no rule {name!r} is installed{suggestion(name, known)}"
            for name in self._config.alerts.rules
            if name not in known
        ]
        (warnings if self._config.alerts.folders else problems).extend(dangling)
        return Loaded(sorted(found, key=lambda rule: rule.name), problems, warnings)

    def _import(self, installed: Sequence[Installed], patterns: Sequence[str]) -> None:
        """Import the classes of what is enabled, set or wanted, and was not imported yet."""
        names = {item.name for item in installed}
        chosen = {name for name in names if any(_chooses(pattern, name) for pattern in patterns)}
        new = sorted(chosen - self._classes.keys())
        self._classes.update(discovery.load_each(RULES, new) if new else {})
        for name in new:
            loaded = self._classes[name]
            if isinstance(loaded, tuple) and issubclass(loaded[0], RulePack):
                try:
                    self._packs[name] = dict(loaded[0].rules())
                except ConfigError as error:
                    self._classes[name] = ConfigError([f"alerts.{name}: {text}" for text in error.problems])

    def _installed(
        self, installed: Sequence[Installed], settings: Mapping[str, RuleSetting], wanted: Collection[str]
    ) -> Iterator[KnownRule]:
        for item in installed:
            origin, loaded = f"{item.distribution} {item.version}", self._classes.get(item.name)
            known = KnownRule(item.name, "", origin, target=item.target)
            if isinstance(loaded, tuple) and item.name in self._packs:
                for local, cls in self._packs[item.name].items():
                    rule = replace(known, name=f"{item.name}:{local}", kind=kind_of(cls), cls=cls)
                    yield self._stands(rule, settings, wanted, item.version, pack=item.name)
            elif isinstance(loaded, tuple):
                rule = replace(known, kind=kind_of(loaded[0]), cls=loaded[0])
                yield self._stands(rule, settings, wanted, item.version)
            elif isinstance(loaded, ConfigError):
                yield replace(known, problems=loaded.problems, enabled=self._enabled(known, settings))
            else:
                yield known

    def _stands(
        self,
        rule: KnownRule,
        settings: Mapping[str, RuleSetting],
        wanted: Collection[str],
        version: str,
        pack: str = "",
    ) -> KnownRule:
        """Return an installed rule as it stands; it is made if it is enabled or wanted."""
        rule = replace(rule, enabled=self._enabled(rule, settings, pack))
        if not rule.enabled and not any(
            fnmatchcase(rule.name, pattern) or pattern == pack for pattern in wanted
        ):
            return rule
        return self._made(rule, settings, version)

    def _enabled(self, rule: KnownRule, settings: Mapping[str, RuleSetting], pack: str = "") -> bool:
        setting = settings.get(rule.name)
        if setting is not None and setting.enabled is not None:
            return setting.enabled
        return any(fnmatchcase(rule.name, each) or each == pack for each in self._config.alerts.enabled)

    def _in_files(
        self, installed: Sequence[Installed], settings: Mapping[str, RuleSetting]
    ) -> Iterator[KnownRule]:
        places = {item.name: f"{item.distribution} {item.version}" for item in installed}
        places |= dict.fromkeys(self._taken, "a plugin")
        for file in self._folders.read():
            setting = settings.get(file.name)
            said = setting.enabled if setting is not None else None
            enabled = file.enabled if said is None else said
            rule = KnownRule(
                file.name, file.kind, str(file.path), file.cls, None, file.problems, enabled, file=True
            )
            if file.name in places:
                other = (
                    f"{file.path}: the name {file.name!r} is taken by {places[file.name]}; expected another"
                )
                yield replace(rule, name=f"{file.name} ({file.path.name})", problems=[*file.problems, other])
                continue
            places[file.name] = str(file.path)
            yield rule if file.problems else self._of_file(rule, file, settings)

    def _of_file(self, rule: KnownRule, file: RuleFile, settings: Mapping[str, RuleSetting]) -> KnownRule:
        """Return the rule of a file that can be read; an example or a window that cannot be makes it invalid."""
        made = self._made(rule, settings, "")
        problems = list(made.problems) if made.plugin is None else []
        try:
            made.examples()
        except ConfigError as error:
            problems.extend(error.problems)
        if made.plugin is not None:
            problems.extend(f"{file.path}: {text}" for text in self._too_long(made.plugin))
        return replace(made, plugin=None, problems=problems) if problems else made

    def _too_long(self, plugin: Plugin) -> Iterator[str]:
        """Yield which spans of a rule are longer than events are kept."""
        kept = self._config.retention.default
        rule: Any = plugin.instance
        spans = [(name, getattr(rule, name, None)) for name in ("window", "span")]
        if isinstance(rule, DeadmanRule):
            spans.append(("the longest window", rule.warm_up - rule.options.settle))
        for name, found in spans:
            if kept is not None and isinstance(found, timedelta) and found > kept:
                yield f"{name} is {found}, longer than events are kept (retention.default is {kept})"

    def _made(self, rule: KnownRule, settings: Mapping[str, RuleSetting], version: str) -> KnownRule:
        """Return a rule with its plugin, the one of before if it would be the same, or with why it cannot be made."""
        assert rule.cls is not None
        table, setting = dict(self._config.alerts.rules.get(rule.name, {})), settings.get(rule.name)
        if setting is not None and setting.schedule is not None:
            table["schedule"] = setting.schedule
        before = self._before.get(rule.name)
        if before is not None and before.cls is rule.cls and before.table == table:
            return replace(before, enabled=rule.enabled)
        where = f"alerts.{rule.name}"
        if rule.name in self._taken:
            return replace(
                rule, problems=[f"{where}: a plugin has this name; expected it not to be enabled, too"]
            )
        try:
            plugin = discovery.as_plugin(rule.name, rule.cls, table, where, version)
        except ConfigError as error:
            return replace(rule, problems=_at_file(rule, error.problems))
        wrong = [] if rule.file else [*check_plugins([plugin]), *_other_hooks(plugin)]
        if wrong:
            return replace(rule, problems=[f"alerts.{text}" for text in wrong])
        traits = traits_of(plugin)
        unusable = tuple(getattr(plugin.instance, "problems", ()))
        return replace(
            rule, plugin=plugin, problems=unusable, mode=traits.mode, schedule=traits.schedule, table=table
        )

    def _lost(self, known: Collection[str]) -> list[str]:
        """Return what in ``alerts.enabled`` means no rule; where there are folders, files may come yet."""
        found = []
        for pattern in self._config.alerts.enabled:
            if pattern in self._classes or any(fnmatchcase(name, pattern) for name in known):
                continue
            if _GLOB & set(pattern):
                hint = suggestion("", known)
                found.append(f"alerts.enabled: {pattern!r} matches no installed rule{hint}")
            elif pattern in {item.name for item in discovery.installed(discovery.PLUGINS)}:
                found.append(
                    f"alerts.enabled: no rule {pattern!r} is installed; it is a plugin and belongs in plugins"
                )
            else:
                hint = suggestion(pattern, known)
                found.append(f"alerts.enabled: no rule {pattern!r} is installed{hint}")
        return found


def _chooses(pattern: str, name: str) -> bool:
    """Return whether a pattern means an installed rule, or rules of an installed pack."""
    return fnmatchcase(name, pattern) or (":" in pattern and fnmatchcase(name, pattern.partition(":")[0]))


def _other_hooks(plugin: Plugin) -> Iterator[str]:
    """Yield what a rule has that only a plugin may."""
    for hook in HOOKS:
        if hook != "alert_match" and callable(getattr(plugin.instance, hook, None)):
            yield f"{plugin.name}: a rule has no hook but alert_match; put {hook} into a plugin"


def _at_file(rule: KnownRule, problems: Sequence[str]) -> Sequence[str]:
    """Return sentences about options with the file of the rule, if it stands in one."""
    return [f"{rule.origin}: {text}" for text in problems] if rule.file else problems
