"""The outbox of the alert book in memory: which alert has to be told to which action plugin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from mozdef_core.alert import SUMMARY_LIMIT, Alert, Occasion
from mozdef_core.ports import Task, TaskResult

ENRICHING_LIMIT_US: Final = 30_000_000


@dataclass(slots=True)
class _Job:
    key: str
    plugin: str
    enriches: bool
    ready_us: int
    attempt: int = 0
    waiting: bool = False
    finished: bool = False


@dataclass(slots=True)
class _Entry:
    alert_id: str
    occasion: Occasion
    ordinal: int
    due_us: int
    started_us: int = 0
    jobs: list[_Job] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return bool(self.started_us) and all(job.finished for job in self.jobs)


class MemoryOutbox:
    """What a test may look at: the alerts, and in ``history`` what became of each task.

    ``blocks`` holds what actions had blocked, with the id of the alert; the checks of the block list are not made.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.alerts: dict[str, Alert] = {}
        self.history: list[tuple[str, str, Occasion, TaskResult]] = []
        self.blocks: dict[str, str] = {}
        self._clock = clock
        self._lock = threading.RLock()
        self._rule_details: dict[str, frozenset[str]] = {}
        self._ordinals: dict[str, int] = {}
        self._outbox: list[_Entry] = []

    def _note(self, alert_id: str, occasion: Occasion, due_us: int) -> None:
        """Note that the actions must hear of this occasion; of a staged alert nobody does."""
        if not self.alerts[alert_id].staged:
            self._ordinals[alert_id] = ordinal = self._ordinals.get(alert_id, 0) + 1
            self._outbox.append(_Entry(alert_id, occasion, ordinal, due_us))

    def _waits(self, alert_id: str, *occasions: Occasion) -> bool:
        """Return whether an entry for one of these occasions has not started."""
        return any(
            entry.alert_id == alert_id and entry.occasion in occasions and not entry.started_us
            for entry in self._outbox
        )

    def _withdraw(self, alert_id: str, *occasions: Occasion) -> None:
        """Forget what nobody was told of yet."""
        self._outbox = [
            entry
            for entry in self._outbox
            if entry.alert_id != alert_id or entry.occasion not in occasions or entry.started_us
        ]

    def due_tasks(
        self,
        plugins: Sequence[tuple[str, bool]],
        most: int,
        lease_s: float,
        only: Collection[str] | None = None,
    ) -> Sequence[Task]:
        """Take due outbox entries; see :meth:`AlertBook.due_tasks`."""
        with self._lock:
            now = self._clock()
            self._start(plugins, most, now)
            tasks: list[Task] = []
            apart: dict[int, int] = {}
            busy: set[tuple[str, str]] = set()
            for entry in self._outbox:
                for job in self._open_jobs(entry, now):
                    wanted = only is None or job.plugin in only
                    if (entry.alert_id, job.plugin) in busy or not wanted:
                        continue
                    if job.ready_us <= now and len(tasks) < most:
                        place = apart.setdefault(job.ready_us, len(apart) + 1) if job.attempt else 0
                        tasks.append(self._lease(entry, job, now + int(lease_s * 1_000_000) + place))
                busy.update((entry.alert_id, job.plugin) for job in entry.jobs if not job.finished)
            return tasks

    def _lease(self, entry: _Entry, job: _Job, until_us: int) -> Task:
        tried = job.attempt > 0
        together_us, unsure = (job.ready_us, not job.waiting) if tried else (None, False)
        job.attempt += 1
        job.waiting = False
        job.ready_us = until_us
        return Task(
            *(job.key, self.alerts[entry.alert_id], entry.occasion, job.plugin, job.attempt),
            *(entry.started_us, together_us, unsure),
        )

    def _start(self, plugins: Sequence[tuple[str, bool]], most: int, now: int) -> None:
        """Expand due entries into one job per enabled plugin, and skip the jobs of plugins that no longer are."""
        in_order = sorted(plugins, key=lambda plugin: not plugin[1])
        enabled = {name for name, _ in plugins}
        for entry in [entry for entry in self._outbox if not entry.started_us and entry.due_us <= now][:most]:
            entry.started_us = now
            entry.jobs = [
                _Job(f"{entry.alert_id}:{entry.ordinal}:{name}", name, enriches, now)
                for name, enriches in in_order
            ]
        for entry in self._outbox:
            for job in entry.jobs:
                if not job.finished and job.ready_us <= now and job.plugin not in enabled:
                    self._finish(entry, job, TaskResult("skipped", "the plugin is no longer enabled"))
        self._outbox = [entry for entry in self._outbox if not entry.done]

    @staticmethod
    def _open_jobs(entry: _Entry, now: int) -> list[_Job]:
        """Return the unfinished jobs up to the first enricher that the others have to wait for."""
        late = entry.started_us <= now - ENRICHING_LIMIT_US
        jobs = []
        for job in entry.jobs:
            if not job.finished:
                jobs.append(job)
                if job.enriches and not (job.waiting and late):
                    break
        return jobs

    def settle_tasks(self, results: Sequence[tuple[Task, TaskResult]]) -> None:
        """Write down what became of tasks; see :meth:`AlertBook.settle_tasks`."""
        with self._lock:
            by_key = {task.key: (task, result) for task, result in results}
            for entry in self._outbox:
                for job in entry.jobs:
                    if job.key in by_key and not job.finished:
                        self._settle(entry, job, *by_key[job.key])
            self._outbox = [entry for entry in self._outbox if not entry.done]

    def _settle(self, entry: _Entry, job: _Job, task: Task, result: TaskResult) -> None:
        if result.outcome not in ("retry", "postponed"):
            self._finish(entry, job, result)
        elif task.attempt == job.attempt:
            job.attempt -= result.outcome == "postponed"
            job.waiting = job.enriches or not task.unsure
            job.ready_us = self._clock() if result.due_us is None else result.due_us
            if result.text:
                self._note_error(entry, job, result.text)

    def _finish(self, entry: _Entry, job: _Job, result: TaskResult) -> None:
        job.finished = True
        self.history.append((entry.alert_id, job.plugin, entry.occasion, result))
        self._note_error(entry, job, result.text if result.outcome == "failed" else None)
        change = result.change
        if change is None or result.outcome != "done":
            return
        if change.block is not None and not change.block.dry_run:
            self.blocks[change.block.address] = entry.alert_id
        alert, kept = self.alerts[entry.alert_id], self._rule_details[entry.alert_id]
        new = {name: value for name, value in change.details.items() if name not in kept}
        suffix = f"; {change.summary_suffix}" if change.summary_suffix else ""
        self.alerts[alert.id] = replace(
            alert,
            details={**alert.details, **new},
            summary=(alert.summary + suffix)[:SUMMARY_LIMIT],
            severity=change.severity or alert.severity,
        )

    def _note_error(self, entry: _Entry, job: _Job, text: str | None) -> None:
        alert = self.alerts[entry.alert_id]
        label = f"{job.plugin} ({entry.occasion.value}): "
        errors = [error for error in alert.errors if not error.startswith(label)]
        if text is not None:
            errors.append(label + (text.removeprefix(f"{job.plugin}: ") or "failed"))
        self.alerts[alert.id] = replace(alert, errors=tuple(errors))
