"""The host: the only caller of plugins. Whatever a plugin does, its caller gets an answer that can be used."""

from __future__ import annotations

import inspect
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pluggy

from mozdef_core import hookspecs
from mozdef_core.alert import Occasion
from mozdef_core.answers import ACCEPT
from mozdef_core.calltable import CallTable, Plugin
from mozdef_core.errors import (
    BookUnavailableError,
    ConfigError,
    DeliveryError,
    QueueError,
    StoreUnavailableError,
)
from mozdef_core.health import Health, Record
from mozdef_core.inflight import InFlight
from mozdef_core.markers import PROJECT
from mozdef_core.problems import suggestion

__all__ = [
    "HOOKS",
    "CallTable",
    "Contained",
    "Host",
    "Outcome",
    "Plugin",
    "check_plugins",
    "contain",
    "one_line",
]

log = logging.getLogger(__name__)

HOOKS: Final = ("on_event", "enrich", "alert_match", "alert_action")
_BUDGETED: Final = frozenset({"on_event", "enrich"})
_NOT_ITS_FAULT: Final = (StoreUnavailableError, BookUnavailableError, QueueError)
_LONGEST: Final = 300


class Outcome(NamedTuple):
    """What became of a call.

    :param value: what the hook returned, of a type that the hook may return; None when there is a problem.
    :param problem: code and message: ``plugin-error``, ``plugin-timeout``, ``plugin-suspended``,
        ``delivery-failed`` (the plugin raised DeliveryError) or ``unavailable`` (store, queue or database were away).
    :param error: the exception behind the problem, where there is one.
    """

    value: Any
    problem: tuple[str, str] | None = None
    error: BaseException | None = None


class _Binding:
    """One hook of one plugin, with everything that a call needs at hand."""

    __slots__ = ("accept", "arguments", "budgeted", "function", "label", "limit_ns", "plugin", "record")

    def __init__(
        self,
        plugin: Plugin,
        hook: str,
        function: Callable[..., Any],
        arguments: tuple[str, ...],
        health: Health,
    ) -> None:
        self.plugin = plugin
        self.function = function
        all_of_them = set(arguments) == set(inspect.signature(getattr(hookspecs, hook)).parameters)
        self.arguments = None if all_of_them else arguments
        self.record: Record = health.record(plugin.name, plugin.version)
        self.limit_ns = int(health.limits.calls[hook] * 1e9)
        self.accept = ACCEPT[hook]
        self.budgeted = hook in _BUDGETED
        self.label = InFlight.label(plugin.name, hook)


class Host:
    """Holds the enabled plugins, calls their hooks, and contains what goes wrong in them.

    :param plugins: in the operator's order.
    :raises ConfigError: a plugin has an unknown hook or argument, a hook wrapper, or a name that is taken.
    """

    def __init__(self, plugins: Sequence[Plugin], health: Health) -> None:
        ordered = sorted(plugins, key=lambda plugin: plugin.order)
        manager, problems = _register(ordered)
        if problems:
            raise ConfigError(problems)
        self.plugins = tuple(ordered)
        self.health = health
        self._bindings: dict[str, dict[Plugin, _Binding]] = {}
        self._tables: dict[str, CallTable] = {}
        for hook in HOOKS:
            bindings = _bind(manager, hook, ordered, plugins, health)
            self._bindings[hook] = bindings
            self._tables[hook] = CallTable(tuple(bindings), health)
        self._budget_ns = int(health.limits.budget_window_s * 1e9)

    @property
    def recognisers(self) -> list[Any]:
        """The recognisers of native records that the plugins bring, in call order (event-format.md 5.2a)."""
        return [item for plugin in self.plugins for item in getattr(plugin.instance, "recognisers", ())]

    def table(self, hook: str) -> CallTable:
        """Return the plugins that implement a hook, in call order."""
        return self._tables[hook]

    def suspended(self, plugin: Plugin) -> bool:
        """Return whether calls of a plugin are refused at the moment; what it misses must be noted by the caller."""
        return self.health.suspended(plugin.name)

    def call(self, plugin: Plugin, hook: str, **arguments: Any) -> Outcome:
        """Call one hook of one plugin. Nothing that the plugin does gets out of this but its answer.

        :raises KeyboardInterrupt: nothing else, ever.
        """
        binding = self._bindings[hook][plugin]
        health, record = self.health, binding.record
        if record.name in health.suspended_names and not health.claim(record):
            return Outcome(None, ("plugin-suspended", record.reason))
        in_flight, slot, error = health.in_flight, -1, None
        value: Any = None
        began_ns = health.clock()
        if in_flight is not None:
            slot = in_flight.begin(binding.label, _key(arguments), began_ns)
        try:
            if binding.arguments is None:
                value = binding.accept(binding.function(**arguments))
            else:
                value = binding.accept(binding.function(*[arguments[name] for name in binding.arguments]))
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # noqa: BLE001  # even SystemExit: a plugin may not end the process
            error = raised
        finally:
            if in_flight is not None:
                in_flight.end(slot)
        ended_ns = health.clock()
        took_ns = ended_ns - began_ns
        record.calls += 1
        record.total_ns += took_ns
        record.max_ns = max(took_ns, record.max_ns)
        if binding.budgeted:
            record.budget_calls += 1
            record.budget_ns += took_ns
            if ended_ns - record.budget_start_ns > self._budget_ns:
                health.check_budget(record, ended_ns)
        if error is not None:
            return self._failed(binding, hook, error)
        if took_ns > binding.limit_ns:
            if binding.budgeted and not record.consecutive and not record.repeating:
                return self._once_more(plugin, hook, record, arguments)
            return self._slow(binding, hook, took_ns)
        if record.consecutive or record.on_probation:
            health.recovered(record)
        if value is not None:
            record.changed += 1
        return Outcome(value)

    def close(self) -> None:
        """Let every plugin that has a ``close`` release what it holds; errors are logged."""
        for plugin in reversed(self.plugins):
            close_plugin(plugin)

    def _failed(self, binding: _Binding, hook: str, error: BaseException) -> Outcome:
        text = one_line(error)
        if isinstance(error, (DeliveryError, *_NOT_ITS_FAULT)):
            binding.record.undelivered += 1
            self.health.recovered(binding.record)
            code = "delivery-failed" if isinstance(error, DeliveryError) else "unavailable"
            return Outcome(None, (code, text), error)
        if self.health.failed(binding.plugin.name, f"{hook}: {text}", f"{hook} {_place(error)}"):
            log.error(
                "plugin %s: %s raised %s", binding.plugin.name, hook, type(error).__name__, exc_info=error
            )
        return Outcome(None, ("plugin-error", text), error)

    def _once_more(self, plugin: Plugin, hook: str, record: Record, arguments: Mapping[str, Any]) -> Outcome:
        """Call again after a first slow call: on a busy machine a plugin may be slow that did nothing wrong.

        ``on_event`` and ``enrich`` keep nothing between events, so a second call does no harm. One that stays slow
        gains nothing by it: while its failures last it is not called twice.
        """
        record.slow += 1
        record.repeating = True
        try:
            return self.call(plugin, hook, **arguments)
        finally:
            record.repeating = False

    def _slow(self, binding: _Binding, hook: str, took_ns: int) -> Outcome:
        binding.record.slow += 1
        limit_ms = binding.limit_ns / 1e6
        text = f"{hook} took {took_ns / 1e6:.0f} ms, the limit is {limit_ms:.0f} ms"
        if self.health.failed(binding.plugin.name, text, f"{hook} slow"):
            log.error("plugin %s: %s; its answer was discarded", binding.plugin.name, text)
        return Outcome(None, ("plugin-timeout", text))


class Contained(NamedTuple):
    """What became of a call that :func:`contain` made: its value or its error, and how long it took in seconds."""

    value: Any
    error: BaseException | None
    took_s: float


def contain(function: Callable[..., Any], *arguments: Any) -> Contained:
    """Call something that a plugin brought and that is no hook, such as an input's ``run``, and contain its errors.

    :raises KeyboardInterrupt: nothing else.
    """
    began_s = time.monotonic()
    try:
        return Contained(function(*arguments), None, time.monotonic() - began_s)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # even SystemExit: a plugin may not end the process
        return Contained(None, error, time.monotonic() - began_s)


def close_plugin(plugin: Plugin) -> None:
    """Call the ``close`` of a plugin if it has one; what it raises is logged."""
    try:
        close = getattr(plugin.instance, "close", None)
        if close is not None:
            close()
    except KeyboardInterrupt:
        raise
    except BaseException:  # one plugin must not keep the others from closing
        log.exception("plugin %s: close failed", plugin.name)


def check_plugins(plugins: Sequence[Plugin]) -> list[str]:
    """Return what is wrong with the hooks and attributes of plugins, one sentence each."""
    return _register(sorted(plugins, key=lambda plugin: plugin.order))[1]


def _register(ordered: Sequence[Plugin]) -> tuple[pluggy.PluginManager, list[str]]:
    """Register the plugins, the last one first because pluggy calls the one registered last first."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    problems: dict[str, list[str]] = {plugin.name: _attribute_problems(plugin) for plugin in ordered}
    for plugin in reversed(ordered):
        if manager.has_plugin(plugin.name):
            problems[plugin.name].append(
                f"{plugin.name}: two plugins or rules have this name; enable one of them"
            )
            continue
        try:
            manager.register(plugin.instance, name=plugin.name)
            problems[plugin.name].extend(_hook_problems(manager, plugin))
        except pluggy.PluginValidationError as error:
            problems[plugin.name].append(_signature_problem(plugin.name, error))
        except ValueError:
            problems[plugin.name].append(f"{plugin.name}: the same object is registered under two names")
        except Exception as error:  # noqa: BLE001  # pluggy compares plugins, and older ones read every attribute
            problems[plugin.name].append(f"{plugin.name}: cannot be registered: {one_line(error)}")
    found = [text for plugin in ordered for text in problems.pop(plugin.name, ())]
    if not found:
        manager.check_pending()
    return manager, found


def _signature_problem(name: str, error: pluggy.PluginValidationError) -> str:
    """Say in one line what pluggy says in three about arguments that a hook does not have."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    definition = next((line.partition(":")[2].strip() for line in lines if "definition" in line), "")
    hook, _, arguments = definition.rstrip(")").partition("(")
    if hook not in HOOKS:
        return f"{name}: {'; '.join(lines)}"
    known = list(inspect.signature(getattr(hookspecs, hook)).parameters)
    extra = [argument for argument in arguments.split(", ") if argument not in known]
    if not extra:
        return f"{name}: {hook}: {lines[-1]}"
    wanted = ", ".join(map(repr, extra))
    return f"{name}: {hook} asks for {wanted}, which this hook does not have; it has {', '.join(known)}"


def _hook_problems(manager: pluggy.PluginManager, plugin: Plugin) -> list[str]:
    problems, name = [], plugin.name
    hooks = manager.get_hookcallers(plugin.instance) or []
    for caller in hooks:
        for impl in caller.get_hookimpls():
            if impl.plugin_name != name:
                continue
            if not caller.has_spec() and not impl.optionalhook:
                problems.append(f"{name}: unknown hook {caller.name!r}{suggestion(caller.name, HOOKS)}")
            elif impl.wrapper or impl.hookwrapper:
                problems.append(
                    f"{name}: {caller.name} is a hook wrapper; plugins return changes and wrap nothing"
                )
            elif impl.tryfirst or impl.trylast:
                problems.append(
                    f"{name}: {caller.name} asks for tryfirst or trylast; set 'order' on the class instead"
                )
    implemented = {caller.name for caller in hooks}
    for hook in HOOKS:
        if hook not in implemented and callable(getattr(plugin.instance, hook, None)):
            problems.append(f"{name}: {hook} is not marked as a hook; put @hookimpl above it")
            implemented.add(hook)
    if (
        not implemented
        and not hasattr(plugin.instance, "recognisers")
        and not hasattr(plugin.instance, "check")
    ):
        problems.append(f"{name}: has no hook; mark at least one of {', '.join(HOOKS)} with @hookimpl")
    return problems


def _attribute_problems(plugin: Plugin) -> list[str]:
    problems, name = [], plugin.name
    if isinstance(plugin.order, bool) or not isinstance(plugin.order, int):
        problems.append(f"{name}: the attribute 'order' is {plugin.order!r}, expected a whole number")
    if plugin.stage not in ("action", "enrich"):
        problems.append(f"{name}: the attribute 'stage' is {plugin.stage!r}, expected 'action' or 'enrich'")
    problems.extend(
        f"{name}: the attribute {attribute!r} is {value!r}, expected true or false"
        for attribute in ("notifies", "collects", "acts_late")
        if not isinstance(value := getattr(plugin.instance, attribute, True), bool)
    )
    occasions = getattr(plugin.instance, "occasions", None)
    if occasions is not None and not _all_occasions(occasions):
        problems.append(
            f"{name}: the attribute 'occasions' is {occasions!r}, expected a collection of Occasions"
        )
    retries = getattr(plugin.instance, "retries", 0)
    if callable(getattr(plugin.instance, "alert_action", None)) and not isinstance(retries, int):
        problems.append(f"{name}: the attribute 'retries' is {retries!r}, expected a whole number")
    applies_to: object = plugin.applies_to
    wanted = f"{name}: the attribute 'applies_to'"
    if not isinstance(applies_to, Mapping):
        return [*problems, f"{wanted} is {applies_to!r}, expected a mapping of field to values"]
    for field, values in applies_to.items():
        if not isinstance(field, str) or isinstance(values, str) or not isinstance(values, Iterable):
            problems.append(f"{wanted} has {field!r}: {values!r}, expected a collection such as {{'sshd'}}")
    return problems


def _all_occasions(value: object) -> bool:
    return isinstance(value, Iterable) and all(isinstance(part, Occasion) for part in value)


def _bind(
    manager: pluggy.PluginManager,
    hook: str,
    ordered: Sequence[Plugin],
    listed: Sequence[Plugin],
    health: Health,
) -> dict[Plugin, _Binding]:
    """Return the plugins that implement a hook, in the order in which it calls them."""
    by_name = {plugin.name: plugin for plugin in ordered}
    impls = list(reversed(getattr(manager.hook, hook).get_hookimpls()))
    if hook == "alert_action":
        position = {plugin.name: place for place, plugin in enumerate(listed)}
        impls.sort(key=lambda impl: (by_name[impl.plugin_name].stage != "enrich", position[impl.plugin_name]))
    return {
        (plugin := by_name[impl.plugin_name]): _Binding(
            plugin, hook, impl.function, tuple(impl.argnames), health
        )
        for impl in impls
    }


def _key(arguments: Mapping[str, Any]) -> str:
    """Return what tells a supervisor which event, alert or span a call is about."""
    event = arguments.get("event")
    if event is not None:
        return str(event.id)
    alert = arguments.get("alert")
    if alert is not None:
        return str(alert.id)
    window = arguments["window"]
    return f"{window.start_us}-{window.end_us}"


def _place(error: BaseException) -> str:
    """Return what tells one error from another: its type and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} {place}"


def one_line(error: BaseException) -> str:
    """Return an exception as one line of text, whatever its ``__str__`` does."""
    try:
        text = " ".join(str(error).split())
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # the text of a plugin's exception is a plugin's code too
        text = "(its text cannot be had)"
    name = type(error).__name__
    return f"{name}: {text}"[:_LONGEST] if text else name
