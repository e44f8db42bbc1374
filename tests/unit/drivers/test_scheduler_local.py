from __future__ import annotations

import threading

import pytest

from mozdef_core.drivers import scheduler_local
from mozdef_core.drivers.scheduler_local import LocalScheduler
from mozdef_core.testing import SchedulerContract
from mozdef_core.testing_contracts.scheduler import NEVER, NOON_US, PATIENCE_S, SOON, Job, Running


class TestLocalScheduler(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> LocalScheduler:
        return LocalScheduler(LocalScheduler.Options(threads=4))


def test_no_more_jobs_run_at_once_than_there_are_threads() -> None:
    scheduler = LocalScheduler(LocalScheduler.Options(threads=2))
    inside, most, ran = [0], [0], threading.Semaphore(0)
    lock, gate = threading.Lock(), threading.Barrier(2)

    def job() -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        gate.wait(PATIENCE_S)  # lets nobody through alone: two do run at once
        with lock:
            inside[0] -= 1
        ran.release()

    for number in range(4):
        scheduler.every(NEVER, f"job{number}", job)
    running = Running(scheduler)
    for _ in range(4):
        assert ran.acquire(timeout=PATIENCE_S)
    running.stop()
    assert most == [2]


def test_a_job_by_crontab_runs_when_the_clock_comes_to_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [NOON_US]
    monkeypatch.setattr(scheduler_local, "now_us", lambda: clock[0])
    scheduler = LocalScheduler(LocalScheduler.Options(threads=2))
    job, other = Job(enough=1), Job()
    scheduler.at("5,10 * * * *", "job", job)
    scheduler.every(SOON, "other", other)
    running = Running(scheduler)
    job.wait()
    clock[0] += 5 * 60_000_000 - 1
    other.wait_for(5)
    assert job.runs == 1
    clock[0] += 1
    job.wait_for(1)
    other.wait_for(5)
    assert job.runs == 2
    clock[0] += 7 * 60_000_000  # a time passed over while the machine slept
    job.wait_for(1)
    running.stop()
    assert job.runs == 3
