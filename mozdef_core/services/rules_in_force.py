"""The rules in force: those of one process, which change while it runs when files, or what people set, change."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mozdef_core.detection.traits import traits_of
from mozdef_core.errors import BookUnavailableError, ConfigError
from mozdef_core.event import now_us
from mozdef_core.host import Host, Plugin, close_plugin
from mozdef_core.services.rulebook import KnownRule, Loaded, RuleLoader

if TYPE_CHECKING:
    from mozdef_core.casework.database import Database
    from mozdef_core.casework.rule_activity import Active
    from mozdef_core.casework.rule_settings import RuleSetting
    from mozdef_core.config import Config

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often it is looked whether something has changed."""

_LINGERS_S: Final = 600.0
_HOOK: Final = "alert_match"


@dataclass(frozen=True, slots=True)
class Force:
    """The rules in force at one time; it never changes.

    :param rules: all that are known, in force or not.
    :param host: calls those in force, and the plugins that detect something.
    :param since_us: by name, from when on a rule is responsible in this version, for all processes alike.
    """

    rules: Sequence[KnownRule]
    host: Host
    since_us: Mapping[str, int]

    @property
    def plugins(self) -> Mapping[str, Plugin]:
        """What detects, by name."""
        return {plugin.name: plugin for plugin in self.host.table(_HOOK).plugins}


class RulesInForce:
    """Makes the rules, looks each second whether they should be others, and tells who uses them.

    A rule that cannot be made stays in force as it was; one that never could is only shown, with the reason.

    :param host: of the plugins; those that detect something are rules, too, and never change.
    :raises ConfigError: an installed rule that is enabled cannot be made, or the configuration names what is not there.
    :raises BookUnavailableError: what people have set cannot be read.
    """

    def __init__(self, config: Config, host: Host, database: Database) -> None:
        self._database = database
        self._plugins = host
        self._engines = host.table(_HOOK).plugins
        self._loader = RuleLoader(config, [plugin.name for plugin in host.plugins])
        self._listeners: list[Callable[[Force], None]] = []
        self._retired: list[tuple[float, Plugin]] = []
        self._told: set[str] = set()
        self._untold = False
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._files = self._loader.fingerprint()
        self._version, settings = self._settings()
        loaded = self._loader.load(settings)
        if loaded.problems:
            raise ConfigError(loaded.problems)
        self._tell(loaded)
        self.force = self._forced(loaded.rules, None)

    def listen(self, listener: Callable[[Force], None]) -> None:
        """Have somebody called, in the thread that looks, after the rules in force have changed."""
        self._listeners.append(listener)

    def look(self) -> bool:
        """Look whether files or settings have changed, and if so make other rules; return whether they did.

        :raises BookUnavailableError: the rules are as they were; look again.
        """
        self._close_retired()
        from mozdef_core.casework import rule_settings

        with self._database.read() as session:
            version = rule_settings.version(session)
        files = self._loader.fingerprint()
        if (version, files) == (self._version, self._files):
            self._tell_listeners()
            return False
        version, settings = self._settings()
        loaded = self._loader.load(settings)
        before = self.force
        self.force = self._forced(self._kept(loaded.rules), before)
        self._version, self._files = version, files
        self._tell(loaded)
        self._retire(before)
        self._untold = True
        self._tell_listeners()
        return True

    def problems(self) -> Mapping[str, Sequence[str]]:
        """Return by name what is wrong with rules."""
        return {rule.name: rule.problems for rule in self.force.rules if rule.enabled and rule.problems}

    def _tell_listeners(self) -> None:
        """Tell who uses the rules; one that cannot take them now is told again with the next look."""
        if self._untold:
            for listener in self._listeners:
                listener(self.force)
            self._untold = False

    def snapshot(self) -> dict[str, Any]:
        """Return how each rule stands that is enabled or has a problem, as the health of the process shows it."""
        return {
            rule.name: {
                "kind": rule.kind,
                "origin": rule.origin,
                "enabled": rule.enabled,
                "in_force": rule.in_force,
                "mode": rule.mode,
                "schedule": rule.schedule,
                "problems": list(rule.problems),
            }
            for rule in self.force.rules
            if rule.enabled or rule.problems
        }

    def __enter__(self) -> RulesInForce:
        self._thread = threading.Thread(target=self._run, name="rulebook", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Close the rules, when nobody uses them any more."""
        engines = set(self._engines)
        for plugin in [*self.force.plugins.values(), *(plugin for _, plugin in self._retired)]:
            if plugin not in engines:
                close_plugin(plugin)

    def _run(self) -> None:
        failed = False
        while not self._done.wait(LOOK_S):
            try:
                self.look()
                failed = False
            except BookUnavailableError as error:
                if not failed:
                    log.warning("the rules stay as they are: %s", error)
                failed = True

    def _settings(self) -> tuple[int, Mapping[str, RuleSetting]]:
        from mozdef_core.casework import rule_settings

        with self._database.read() as session:
            return rule_settings.version(session), rule_settings.collect(session)

    def _kept(self, rules: Sequence[KnownRule]) -> Sequence[KnownRule]:
        """Return the rules with the one of before in place of each that cannot be made now."""
        before = {rule.name: rule for rule in self.force.rules if rule.in_force}
        files = {rule.origin: rule for rule in before.values() if rule.file}
        kept = []
        for rule in rules:
            old = before.get(rule.name) or (files.get(rule.origin) if rule.file else None)
            if rule.plugin is None and rule.problems and rule.enabled and old is not None:
                rule = replace(old, problems=rule.problems)
            kept.append(rule)
        return kept

    def _forced(self, rules: Sequence[KnownRule], before: Force | None) -> Force:
        """Return the rules in force, after noting which are active from now on and which no more."""
        plugins = [rule.plugin for rule in rules if rule.in_force and rule.plugin is not None]
        old = before.plugins if before is not None else {}
        for plugin in plugins:
            if plugin.name in old and old[plugin.name] is not plugin:
                self._plugins.health.forget(plugin.name)
        host = Host([*self._engines, *plugins], self._plugins.health)
        return Force(rules, host, self._activated(rules, host, before))

    def _activated(self, rules: Sequence[KnownRule], host: Host, before: Force | None) -> Mapping[str, int]:
        from mozdef_core.casework import rule_activity

        tables = {rule.name: rule.table for rule in rules}
        active = {key_of(plugin): activity(plugin, tables.get(plugin.name, {})) for plugin in host.plugins}
        with self._database.write() as session:
            gone = rule_activity.active(session) if before is None else {*map(key_of, before.host.plugins)}
            now = now_us()
            rule_activity.end(session, gone - active.keys(), now)
            since = rule_activity.begin(session, active, now)
        return {plugin.name: since[key_of(plugin)] for plugin in host.plugins}

    def _tell(self, loaded: Loaded) -> None:
        """Log what is wrong, once."""
        wrong = {*loaded.problems, *loaded.warnings}
        for text in sorted(wrong - self._told):
            log.warning("%s", text)
        self._told = wrong

    def _retire(self, before: Force) -> None:
        now = self.force.plugins
        for name, plugin in before.plugins.items():
            if now.get(name) is not plugin:
                self._retired.append((time.monotonic(), plugin))
            if name not in now:
                log.info("the rule %s is not in force any more", name)
                self._plugins.health.forget(name)
        for name, plugin in now.items():
            if before.plugins.get(name) is not plugin:
                log.info(
                    "the rule %s is in force%s", name, " in another version" if name in before.plugins else ""
                )

    def _close_retired(self) -> None:
        """Close rules that are out of force for so long that no run of them can be under way."""
        due_s = time.monotonic() - _LINGERS_S
        for since_s, plugin in list(self._retired):
            if since_s < due_s:
                self._retired.remove((since_s, plugin))
                close_plugin(plugin)


def key_of(plugin: Plugin) -> str:
    """Return what a rule is called in the ledger."""
    return f"staged:{plugin.name}" if traits_of(plugin).mode == "staged" else plugin.name


def activity(plugin: Plugin, table: Mapping[str, Any]) -> Active:
    """Return in which version a rule is active: another one when its code, its file or its options are."""
    from mozdef_core.casework.rule_activity import Active

    options = hashlib.blake2b(repr(sorted(table.items())).encode(), digest_size=8).hexdigest()
    version = str(getattr(plugin.instance, "version", ""))
    return Active(f"{plugin.version}/{version}/{options}"[:200], traits_of(plugin).streams)
