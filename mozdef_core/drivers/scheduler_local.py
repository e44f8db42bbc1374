"""The local scheduler: jobs at intervals and by crontab, on a pool of threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from mozdef_core.drivers.crontab import due_after
from mozdef_core.errors import MozdefError
from mozdef_core.event import now_us
from mozdef_core.options import Field
from mozdef_core.options import Options as PluginOptions
from mozdef_core.ports import Job, JobState, Scheduler

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.05


@dataclass(slots=True)
class _Entry:
    """A job.

    :param due_s: when it runs next, by the monotonic clock: its interval, or what it asked for itself.
    :param due_us: when it runs next by its crontab.
    """

    name: str
    job: Job
    interval_s: float
    crontab: str = ""
    due_s: float = 0.0
    due_us: int = 0
    future: Future[timedelta | None] | None = None
    failed_with: type[BaseException] | None = None
    state: JobState = field(default_factory=JobState)

    def is_due(self, now_s: float) -> bool:
        """Return whether it is time to run it."""
        return now_s >= self.due_s or (bool(self.crontab) and now_us() >= self.due_us)

    def begin(self, now_s: float) -> None:
        """Note that it is run now, and when it is due next."""
        self.due_s = now_s + self.interval_s
        if self.crontab:
            self.due_us = due_after(self.crontab, now_us())


class LocalScheduler(Scheduler):
    """Runs jobs in threads of this process."""

    class Options(PluginOptions):
        """Options in the table ``[scheduler.local]``."""

        threads: int = Field(4, ge=1, le=64, description="jobs that may run at the same time")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._entries: dict[str, _Entry] = {}
        self._leaving: dict[str, list[_Entry]] = {}
        self._lock = threading.Lock()

    def every(self, interval: timedelta, name: str, job: Job) -> None:
        """Run a job now and at this interval."""
        self._add(_Entry(name, job, interval.total_seconds()))

    def at(self, crontab: str, name: str, job: Job) -> None:
        """Run a job now and at the times that a crontab names."""
        due_us = self.due_after(crontab, now_us())
        self._add(_Entry(name, job, float("inf"), crontab, due_us=due_us))

    def _add(self, entry: _Entry) -> None:
        entry.due_s = time.monotonic()
        with self._lock:
            if entry.name in self._entries:
                raise ValueError(f"there is a job {entry.name!r} already")
            self._entries[entry.name] = entry

    def remove(self, name: str) -> None:
        """Run a job no more."""
        with self._lock:
            entry = self._entries.pop(name)
            if entry.future is not None:
                self._leaving.setdefault(name, []).append(entry)

    def due_after(self, crontab: str, moment_us: int) -> int:
        """Return the first time that a crontab names after a moment."""
        return due_after(crontab, moment_us)

    def jobs(self) -> Mapping[str, JobState]:
        """Return how each job does, by name, as of now."""
        with self._lock:
            return {name: replace(entry.state) for name, entry in self._entries.items()}

    def run(self, stop: threading.Event) -> None:
        """Run the jobs until ``stop`` is set, then let those under way finish."""
        with ThreadPoolExecutor(self._options.threads, "job") as pool:
            while not stop.is_set():
                now_s = time.monotonic()
                with self._lock:
                    self._see_off()
                    for entry in self._entries.values():
                        self._look_at(entry, now_s, pool)
                    next_s = min(
                        (entry.due_s for entry in self._entries.values() if not entry.future), default=now_s
                    )
                stop.wait(min(max(next_s - time.monotonic(), 0.01), _LOOK_S))
        with self._lock:
            for entry in self._entries.values():
                self._collect(entry)
            self._see_off()

    def _see_off(self) -> None:
        """Count the last runs of jobs that have been removed."""
        for name, entries in list(self._leaving.items()):
            for entry in list(entries):
                if entry.future is None or entry.future.done():
                    self._collect(entry)
                    entries.remove(entry)
            if not entries:
                del self._leaving[name]

    def _look_at(self, entry: _Entry, now_s: float, pool: ThreadPoolExecutor) -> None:
        if entry.future is not None and entry.future.done():
            self._collect(entry)
        if entry.future is None and entry.name not in self._leaving and entry.is_due(now_s):
            entry.begin(now_s)
            entry.future = pool.submit(_timed, entry)

    @staticmethod
    def _collect(entry: _Entry) -> None:
        """Count a run that has ended, and say so if it is the first of its kind."""
        if entry.future is None:
            return
        future, entry.future = entry.future, None
        state, error = entry.state, future.exception()
        state.runs += 1
        if error is None:
            if entry.failed_with is not None:
                log.warning("the job %s goes on", entry.name)
            state.last_error = entry.failed_with = None
            if (again := future.result()) is not None:
                entry.due_s = min(entry.due_s, time.monotonic() + again.total_seconds())
            return
        state.failures += 1
        state.last_error = f"{type(error).__name__}: {error}"
        if type(error) is entry.failed_with:
            return
        entry.failed_with = type(error)
        if isinstance(error, MozdefError):
            log.warning("the job %s waits, nothing is lost: %s", entry.name, state.last_error)
        else:
            log.error("the job %s failed; it runs again at its next time", entry.name, exc_info=error)


def _timed(entry: _Entry) -> timedelta | None:
    """Run a job once and note how long it took, however it ends."""
    began_s = time.monotonic()
    try:
        return entry.job()
    finally:
        entry.state.last_s = time.monotonic() - began_s
