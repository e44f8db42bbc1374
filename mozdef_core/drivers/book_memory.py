"""An alert book in memory, for tests and for plugin authors; it passes the same contract as the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from mozdef_core.alert import SUMMARY_LIMIT, Alert, Moment, Occasion, Status, weight
from mozdef_core.drivers.letters_memory import before, due
from mozdef_core.event import now_us
from mozdef_core.ports import (
    PRUNE_STEP,
    AlertBook,
    BatchRecord,
    DeadLetter,
    Keep,
    OwedSpan,
    Pruned,
    StateDocument,
    Task,
    TaskResult,
)

SAMPLES: Final = 10
ENRICHING_LIMIT_US: Final = 30_000_000
MERGE_US: Final = 60_000_000
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class _Owed:
    span: OwedSpan
    due_us: int
    version: int = 1
    failures: int = 0


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


class MemoryBook(AlertBook):
    """Keeps everything in attributes that a test may look at.

    :param repeat: how often at most an alert tells the actions that it was extended.
    :param clock: the time, in microseconds since 1970.
    """

    def __init__(self, *, repeat: timedelta = timedelta(hours=1), clock: Callable[[], int] = now_us) -> None:
        self.alerts: dict[str, Alert] = {}
        self.arrivals: dict[int, int] = {}
        self.dead_letters: dict[str, DeadLetter] = {}
        self.states: dict[tuple[str, str], StateDocument] = {}
        self.history: list[tuple[str, str, Occasion, TaskResult]] = []
        self.letters_lost = 0
        self._repeat_us = repeat // _MICROSECOND
        self._clock = clock
        self._lock = threading.RLock()
        self._closed_us: dict[str, int] = {}
        self._without_span: set[str] = set()
        self._rule_details: dict[str, frozenset[str]] = {}
        self._extended_us: dict[str, int] = {}
        self._ordinals: dict[str, int] = {}
        self._outbox: list[_Entry] = []
        self._owed: dict[int, _Owed] = {}
        self._spans_owed = 0
        self._batches = 0

    def record(self, batch: BatchRecord) -> Sequence[Alert]:
        """Keep all that a batch leaves; see :meth:`AlertBook.record`."""
        with self._lock:
            self._batches += 1
            self.arrivals.update(dict.fromkeys(batch.arrivals, self._batches))
            for span in batch.owed:
                self._owe(span)
            for letter in batch.dead_letters:
                known = self.dead_letters.get(letter.id, letter)
                self.dead_letters[letter.id] = replace(
                    known, stage=letter.stage, code=letter.code, reason=letter.reason, plugin=letter.plugin
                )
            for letter_id, ids in batch.replayed.items():
                if (found := self.dead_letters.get(letter_id)) is not None:
                    joined = tuple(dict.fromkeys([*found.replayed_as, *ids]))
                    self.dead_letters[letter_id] = replace(found, status="replayed", replayed_as=joined)
            for state in batch.states:
                predecessor = self.states.get((state.collection, state.id), state)
                if predecessor.time_us <= state.time_us:
                    self.states[state.collection, state.id] = state
            return self._store(batch.alerts)

    def set_status(self, alert_id: str, status: Status) -> None:
        """Give an alert a status and tell the actions of it; the conditions of the state machine are not checked."""
        with self._lock:
            now, alert = self._clock(), self.alerts[alert_id]
            self.alerts[alert_id] = replace(alert, status=status)
            if status is Status.CLOSED:
                self._closed_us[alert_id] = now
                self._outbox = [
                    entry
                    for entry in self._outbox
                    if (entry.alert_id, entry.occasion) != (alert_id, Occasion.EXTENDED) or entry.started_us
                ]
                self._note(alert_id, Occasion.CLOSED, now)
            else:
                self._closed_us.pop(alert_id, None)
                if status is Status.ACKNOWLEDGED:
                    self.alerts[alert_id] = replace(alert, status=status, acknowledged_us=now)
                    self._note(alert_id, Occasion.ACKNOWLEDGED, now)

    def _store(self, findings: Sequence[Alert]) -> list[Alert]:
        ids = [
            self._find(finding)
            for finding in sorted(findings, key=lambda finding: (finding.first, finding.last))
        ]
        return [self.alerts[alert_id] for alert_id in dict.fromkeys(ids) if alert_id is not None]

    def _find(self, finding: Alert) -> str | None:
        now = self._clock()
        value = finding.group[1] if finding.group else ""
        alike = [
            alert
            for alert in self.alerts.values()
            if alert.rule == finding.rule
            and (alert.group[1] if alert.group else "") == value
            and alert.id not in self._without_span
        ]
        received_us = max((event.received_us for event in finding.events), default=0)
        for alert in alike:
            covered = alert.first <= finding.first and finding.last <= alert.last
            if covered and received_us <= self._closed_us.get(alert.id, received_us):
                return None
        near = [
            (distance, alert)
            for alert in alike
            if (distance := self._distance_us(alert, finding)) is not None
        ]
        if near:
            return self._extend(min(near, key=lambda pair: (pair[0], -pair[1].last.us))[1], finding, now)
        if (known := self.alerts.get(finding.minted_id)) is not None:
            fresh = [event for event in finding.events if Moment.of(event) > known.last]
            if not fresh:
                return None
            count = sum(map(weight, fresh))
            return self._find(replace(finding, first=Moment.of(fresh[0]), events=fresh, count=count))
        alert = replace(
            finding,
            id=finding.minted_id,
            created_us=finding.created_us or now,
            summary=finding.summary[:SUMMARY_LIMIT],
            events=tuple(finding.events[:SAMPLES]),
        )
        self.alerts[alert.id] = alert
        self._rule_details[alert.id] = frozenset(alert.details)
        self._note(alert.id, Occasion.RAISED, now)
        return alert.id

    def _distance_us(self, alert: Alert, finding: Alert) -> int | None:
        if alert.id in self._closed_us:
            return None
        if alert.first <= finding.last and finding.first <= alert.last:
            return -1
        length_us = max(alert.last.us, finding.last.us) - min(alert.first.us, finding.first.us)
        gap_us = max(finding.first.us - alert.last.us, alert.first.us - finding.last.us)
        limit_us = finding.group_for // _MICROSECOND
        if not limit_us or gap_us > limit_us or length_us > finding.group_max // _MICROSECOND:
            return None
        return gap_us

    def _extend(self, alert: Alert, finding: Alert, now: int) -> str:
        inside = [event for event in finding.events if alert.first <= Moment.of(event) <= alert.last]
        new = [event for event in finding.events if event not in inside]
        samples = [*alert.events, *new[: SAMPLES - len(alert.events)]]
        self.alerts[alert.id] = replace(
            alert,
            first=min(alert.first, finding.first),
            last=max(alert.last, finding.last),
            count=alert.count + max(1, finding.count - sum(map(weight, inside))),
            events=tuple(sorted(samples, key=Moment.of)),
        )
        told = (Occasion.RAISED, Occasion.EXTENDED)
        if not any(
            entry.alert_id == alert.id and entry.occasion in told and not entry.started_us
            for entry in self._outbox
        ):
            due_us = max(now, self._extended_us.get(alert.id, now - self._repeat_us) + self._repeat_us)
            self._extended_us[alert.id] = due_us
            self._note(alert.id, Occasion.EXTENDED, due_us)
        return alert.id

    def prune(self, keep: Keep) -> Pruned:
        """Remove a little of what has been kept long enough; see :meth:`AlertBook.prune`. It knows no processes."""
        with self._lock:
            now = self._clock()
            minute = before(now, keep.journal) // MERGE_US
            arrivals = sorted(each for each in self.arrivals if each < minute)[:PRUNE_STEP]
            closed = (
                alert_id for alert_id, at_us in self._closed_us.items() if at_us < before(now, keep.spans)
            )
            spans = [alert_id for alert_id in closed if alert_id not in self._without_span][:PRUNE_STEP]
            settled, lost = due(self.dead_letters.values(), keep, now)
            for each in arrivals:
                del self.arrivals[each]
            self._without_span.update(spans)
            for letter in (*settled, *lost):
                del self.dead_letters[letter.id]
            self.letters_lost += len(lost)
            return Pruned(arrivals=len(arrivals), spans=len(spans), letters=len(settled), lost=len(lost))

    def _note(self, alert_id: str, occasion: Occasion, due_us: int) -> None:
        self._ordinals[alert_id] = ordinal = self._ordinals.get(alert_id, 0) + 1
        self._outbox.append(_Entry(alert_id, occasion, ordinal, due_us))

    def _owe(self, span: OwedSpan) -> None:
        now = self._clock()
        newest = max((key for key, owed in self._owed.items() if self._grows(owed, span)), default=None)
        if (
            newest is None
            or now - self._owed[newest].due_us > MERGE_US
            or span.first < self._owed[newest].span.first
        ):
            self._spans_owed += 1
            self._owed[self._spans_owed] = _Owed(span, now)
        elif span.last > self._owed[newest].span.last:
            owed = self._owed[newest]
            owed.span = owed.span._replace(last=span.last)
            owed.version += 1

    @staticmethod
    def _grows(owed: _Owed, span: OwedSpan) -> bool:
        return owed.span.rule == span.rule and not owed.failures

    def owed_spans(
        self, rules: Collection[str], now_us: int, most: int = 100
    ) -> Sequence[tuple[str, OwedSpan, int]]:
        """Return due spans; see :meth:`AlertBook.owed_spans`."""
        with self._lock:
            due = [
                (f"{number}.{owed.version}", owed.span, owed.failures)
                for number, owed in self._owed.items()
                if owed.span.rule in rules and owed.due_us <= now_us
            ]
            return due[:most]

    def settle_owed(self, key: str, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Store what was found in an owed span and forget it; see :meth:`AlertBook.settle_owed`."""
        with self._lock:
            number, version = map(int, key.split("."))
            if number in self._owed and self._owed[number].version == version:
                del self._owed[number]
            return self._store(alerts)

    def fail_owed(self, key: str, reason: str, due_us: int) -> None:
        """Put an owed span off; see :meth:`AlertBook.fail_owed`."""
        with self._lock:
            owed = self._owed.get(int(key.split(".")[0]))
            if owed is not None:
                owed.failures += 1
                owed.due_us = due_us
                owed.span = owed.span._replace(reason=reason)

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
            busy: set[tuple[str, str]] = set()
            for entry in self._outbox:
                for job in self._open_jobs(entry, now):
                    wanted = only is None or job.plugin in only
                    if (entry.alert_id, job.plugin) in busy or not wanted:
                        continue
                    if job.ready_us <= now and len(tasks) < most:
                        tasks.append(self._lease(entry, job, now + int(lease_s * 1_000_000)))
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
            job.waiting = True
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
