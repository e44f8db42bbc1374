"""The rules on a schedule: each is a job of a scheduler of their own, so that nothing else waits for a slow one."""

from __future__ import annotations

from collections.abc import Collection
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


def add_rules(scheduler: Scheduler, runner: Runner, host: Host) -> None:
    """Give the scheduler a job for each rule that is not on the stream; each is run at once over what it missed."""
    for plugin in host.table("alert_match").plugins:
        rule = scheduled(scheduler, plugin)
        if rule is None:
            continue
        runner.add(rule)
        when, job = read_schedule(rule.traits.schedule), partial(runner.run, rule)
        if isinstance(when, timedelta):
            scheduler.every(when, plugin.name, job)
        else:
            scheduler.at(when, plugin.name, job)


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
