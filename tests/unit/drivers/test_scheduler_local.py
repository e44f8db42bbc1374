from __future__ import annotations

import threading

import pytest

from mozdef_core.drivers.scheduler_local import LocalScheduler
from mozdef_core.testing import SchedulerContract
from mozdef_core.testing_contracts.scheduler import NEVER, PATIENCE_S, Running


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
