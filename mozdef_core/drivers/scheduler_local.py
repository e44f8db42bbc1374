"""The local scheduler: jobs at fixed intervals on a pool of threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from mozdef_core.options import Field
from mozdef_core.options import Options as PluginOptions
from mozdef_core.ports import Scheduler

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    name: str
    interval_s: float
    run: Callable[[], None]
    due_s: float
    future: Future[None] | None = None


class LocalScheduler(Scheduler):
    """Runs jobs in threads of this process.

    A job whose run raises is logged with its traceback and runs again at its next time.
    """

    class Options(PluginOptions):
        """Options in the table ``[scheduler.local]``."""

        threads: int = Field(4, ge=1, le=64, description="jobs that may run at the same time")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._jobs: list[_Job] = []

    def every(self, interval: timedelta, name: str, job: Callable[[], None]) -> None:
        """Run a job now and at this interval."""
        self._jobs.append(_Job(name, interval.total_seconds(), job, time.monotonic()))

    def run(self, stop: threading.Event) -> None:
        """Run the jobs until ``stop`` is set, then let those under way finish."""
        with ThreadPoolExecutor(self._options.threads, "job") as pool:
            while not stop.is_set():
                now_s = time.monotonic()
                for job in self._jobs:
                    self._look_at(job, now_s, pool)
                next_s = min((job.due_s for job in self._jobs if job.future is None), default=now_s + 0.05)
                stop.wait(max(0.01, min(next_s - time.monotonic(), 0.05)))
        for job in self._jobs:
            self._collect(job)

    def _look_at(self, job: _Job, now_s: float, pool: ThreadPoolExecutor) -> None:
        if job.future is not None and job.future.done():
            self._collect(job)
        if job.future is None and now_s >= job.due_s:
            job.due_s = now_s + job.interval_s
            job.future = pool.submit(job.run)

    @staticmethod
    def _collect(job: _Job) -> None:
        if job.future is None:
            return
        error = job.future.exception()
        if error is not None:
            log.error("the job %s failed; it runs again at its next time", job.name, exc_info=error)
        job.future = None
