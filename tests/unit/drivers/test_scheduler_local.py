from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from mozdef_core.drivers.scheduler_local import LocalScheduler

SOON = timedelta(milliseconds=10)


class Running:
    """A scheduler running in a thread until the end of the block."""

    def __init__(self, *jobs: tuple[timedelta, str, Callable[[], None]], threads: int = 4) -> None:
        self.stop = threading.Event()
        scheduler = LocalScheduler(LocalScheduler.Options(threads=threads))
        for job in jobs:
            scheduler.every(*job)
        self.thread = threading.Thread(target=scheduler.run, args=(self.stop,))

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


class Count:
    """A job that counts its runs and can be waited for."""

    def __init__(self, enough: int = 3, error: Exception | None = None) -> None:
        self.runs = 0
        self.enough = enough
        self.error = error
        self.reached = threading.Event()

    def __call__(self) -> None:
        self.runs += 1
        if self.runs >= self.enough:
            self.reached.set()
        if self.error is not None:
            raise self.error


def test_a_job_runs_again_and_again() -> None:
    job = Count()
    with Running((SOON, "job", job)):
        assert job.reached.wait(5)


def test_a_job_runs_no_more_often_than_its_interval() -> None:
    often, seldom = Count(enough=5), Count()
    with Running((SOON, "often", often), (timedelta(hours=1), "seldom", seldom)):
        assert often.reached.wait(5)
    assert seldom.runs == 1


def test_a_failing_job_is_logged_by_name_and_runs_again_and_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, good = Count(error=ValueError("no such rule")), Count(enough=5)
    with caplog.at_level(logging.ERROR), Running((SOON, "bad", bad), (SOON, "good", good)):
        assert bad.reached.wait(5)
        assert good.reached.wait(5)
    assert "the job bad failed" in caplog.text
    assert "ValueError: no such rule" in caplog.text
    assert "the job good" not in caplog.text


def test_a_slow_job_holds_up_nobody_and_never_runs_twice_at_once() -> None:
    released = threading.Event()
    slow_runs = Count()

    def slow() -> None:
        slow_runs()
        released.wait(5)

    quick = Count(enough=5)
    with Running((SOON, "slow", slow), (SOON, "quick", quick)):
        assert quick.reached.wait(5)
        assert slow_runs.runs == 1
        released.set()
        assert slow_runs.reached.wait(5)


def test_stopping_waits_for_the_job_under_way() -> None:
    started, ended = threading.Event(), threading.Event()

    def job() -> None:
        started.set()
        time.sleep(0.05)
        ended.set()

    with Running((timedelta(hours=1), "job", job)):
        assert started.wait(5)
    assert ended.is_set()


def test_a_job_that_fails_while_stopping_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    started = threading.Event()
    released = threading.Event()

    def job() -> None:
        started.set()
        released.wait(5)
        raise ValueError("late")

    with Running((timedelta(hours=1), "job", job)) as running:
        assert started.wait(5)
        running.stop.set()
        released.set()
    assert "ValueError: late" in caplog.text


def test_without_jobs_it_ends_when_told() -> None:
    with Running():
        pass
