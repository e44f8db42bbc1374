"""The rules on a schedule: each is a job of a scheduler of their own, so that nothing else waits for a slow one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mozdef_core.casework import processes
from mozdef_core.detection import Budget, Excepted, Runner, Scheduled, traits_of
from mozdef_core.event import now_us
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import EventStore, Scheduler
from mozdef_core.rules.schedule import read_schedule
from mozdef_core.settings import DetectionSettings

if TYPE_CHECKING:
    from mozdef_core.casework.book import SqlBook

_MICROSECOND: Final = timedelta(microseconds=1)
_SILENT_S: Final = 10
STAGED: Final = "staged:"


def make_runner(
    host: Host,
    store: EventStore,
    book: SqlBook,
    settings: DetectionSettings,
    excepted: Excepted | None = None,
) -> Runner:
    """Return what runs the rules, over the store and with the ledger of this process."""
    budget = Budget(settings.time_limit.total_seconds(), settings.catch_up_max)
    producers = Producers(book, {plugin.name for plugin in host.plugins})
    return Runner(host, store, book, budget, excepted=excepted, degraded=producers.trouble)


def scheduled(scheduler: Scheduler, plugin: Plugin) -> Scheduled | None:
    """Return a rule with its schedule; None where it is on the stream or off."""
    traits = traits_of(plugin)
    if not traits.scheduled:
        return None
    when = read_schedule(traits.schedule)
    if isinstance(when, timedelta):
        step_us = when // _MICROSECOND
        return Scheduled.of(plugin, lambda us: us + step_us)
    return Scheduled.of(plugin, partial(scheduler.due_after, when), calendar=True)


class RuleJobs:
    """The jobs of a scheduler for the rules that are not on the stream; each is run at once over what it missed.

    :param runner: runs them; what it knows of them is kept when they change.
    """

    def __init__(self, scheduler: Scheduler, runner: Runner) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._rules: dict[str, Scheduled] = {}

    def renew(self, host: Host) -> None:
        """Have jobs for the rules of a host and no others; one that is the same object as before goes on undisturbed.

        :raises BookUnavailableError: some are as they were; call again.
        """
        plugins = {plugin.name: plugin for plugin in host.table("alert_match").plugins}
        for name, rule in list(self._rules.items()):
            if name not in plugins or scheduled(self._scheduler, plugins[name]) is None:
                self._drop(name, rule)
        runner = self._runner.renewed(host)
        for name, plugin in plugins.items():
            before, now = self._rules.get(name), scheduled(self._scheduler, plugin)
            if now is None or (before is not None and before.plugin is plugin):
                continue
            runner.add(now)
            if before is not None:
                self._drop(name, before if before.key != now.key else None)
            self._add(name, now, partial(runner.run, now))

    def _add(self, name: str, rule: Scheduled, job: Callable[[], timedelta | None]) -> None:
        when = read_schedule(rule.traits.schedule)
        if isinstance(when, timedelta):
            self._scheduler.every(when, name, job)
        else:
            self._scheduler.at(when, name, job)
        self._rules[name] = rule

    def _drop(self, name: str, rule: Scheduled | None) -> None:
        """Have no job for a rule any more; nothing more is known of it unless another version takes its place."""
        self._scheduler.remove(name)
        del self._rules[name]
        if rule is not None:
            self._runner.drop(rule.key)


def rule_states(scheduler: Scheduler, runner: Runner) -> dict[str, Any]:
    """Return how each rule does, as the health of the process shows it.

    What keeps a rule from running at all, such as a store that is away, its job knows.
    """
    jobs = scheduler.jobs()
    states = {}
    for key, state in runner.snapshot().items():
        job = jobs.get(key.removeprefix(STAGED))
        waits = job.last_error if job is not None else None
        states[key] = {**state, "last_error": state["last_error"] or waits or ""}
    return states


class Producers:
    """Knows how the plugins do whose work on events a rule needs.

    :param enabled: names of the plugins that there are.
    """

    def __init__(self, book: SqlBook, enabled: Collection[str]) -> None:
        self._book = book
        self._enabled = enabled

    def trouble(self, needed: Collection[str]) -> str:
        """Return why events may lack what these plugins add to them; nothing when they do well."""
        absent = [f"plugin {name} is not enabled" for name in needed if name not in self._enabled]
        with self._book.database.read() as session:
            reports = processes.reports(session)
        alive_us = now_us() - _SILENT_S * 1_000_000
        suspended = [
            f"plugin {name} is suspended in the {report.role}: {report.counters['plugins'][name]['reason']}"
            for report in reports
            for name in needed
            if report.heartbeat_us > alive_us
            and report.counters.get("plugins", {}).get(name, {}).get("suspended")
        ]
        return "; ".join([*absent, *dict.fromkeys(suspended)])
