"""The local scheduler: jobs at fixed intervals on a pool of threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta

from mozdef_core.errors import MozdefError
from mozdef_core.options import Field
from mozdef_core.options import Options as PluginOptions
from mozdef_core.ports import JobState, Scheduler

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    name: str
    interval_s: float
    run: Callable[[], None]
    due_s: float
    future: Future[None] | None = None
    failed_with: type[BaseException] | None = None
    state: JobState = field(default_factory=JobState)


class LocalScheduler(Scheduler):
    """Runs jobs in threads of this process."""

    class Options(PluginOptions):
        """Options in the table ``[scheduler.local]``."""

        threads: int = Field(4, ge=1, le=64, description="jobs that may run at the same time")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._jobs: dict[str, _Job] = {}

    def every(self, interval: timedelta, name: str, job: Callable[[], None]) -> None:
        """Run a job now and at this interval."""
        if name in self._jobs:
            raise ValueError(f"there is a job {name!r} already")
        self._jobs[name] = _Job(name, interval.total_seconds(), job, time.monotonic())

    def jobs(self) -> Mapping[str, JobState]:
        """Return how each job does, by name, as of now."""
        return {name: replace(job.state) for name, job in self._jobs.items()}

    def run(self, stop: threading.Event) -> None:
        """Run the jobs until ``stop`` is set, then let those under way finish."""
        jobs = self._jobs.values()
        with ThreadPoolExecutor(self._options.threads, "job") as pool:
            while not stop.is_set():
                now_s = time.monotonic()
                for job in jobs:
                    self._look_at(job, now_s, pool)
                next_s = min((job.due_s for job in jobs if job.future is None), default=now_s + 0.05)
                stop.wait(max(0.01, min(next_s - time.monotonic(), 0.05)))
        for job in jobs:
            self._collect(job)

    def _look_at(self, job: _Job, now_s: float, pool: ThreadPoolExecutor) -> None:
        if job.future is not None and job.future.done():
            self._collect(job)
        if job.future is None and now_s >= job.due_s:
            job.due_s = now_s + job.interval_s
            job.future = pool.submit(_timed, job)

    @staticmethod
    def _collect(job: _Job) -> None:
        """Count a run that has ended, and say so if it is the first of its kind."""
        if job.future is None:
            return
        state, error, job.future = job.state, job.future.exception(), None
        state.runs += 1
        if error is None:
            if job.failed_with is not None:
                log.warning("the job %s goes on", job.name)
            state.last_error = job.failed_with = None
            return
        state.failures += 1
        state.last_error = f"{type(error).__name__}: {error}"
        if type(error) is job.failed_with:
            return
        job.failed_with = type(error)
        if isinstance(error, MozdefError):
            log.warning("the job %s waits, nothing is lost: %s", job.name, state.last_error)
        else:
            log.error("the job %s failed; it runs again at its next time", job.name, exc_info=error)


def _timed(job: _Job) -> None:
    """Run a job once and note how long it took, however it ends."""
    began_s = time.monotonic()
    try:
        job.run()
    finally:
        job.state.last_s = time.monotonic() - began_s
