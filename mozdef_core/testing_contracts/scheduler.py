"""What every scheduler driver must do, as tests that a driver inherits."""

# a test's name is its sentence, and it asserts

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest

from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import isoformat
from mozdef_core.ports import JobState, Scheduler

SOON = timedelta(milliseconds=10)
NEVER = timedelta(hours=1)
PATIENCE_S = 10
YEARLY = "0 0 29 2 *"
NOON_US = 1_760_011_200_000_000  # 2025-10-09T12:00:00, a Thursday


class Job:
    """A job that counts its runs, can be waited for, and raises while it has an error.

    :param enough: after so many runs ``reached`` is set.
    :param again: what it returns.
    """

    def __init__(
        self, enough: int = 3, error: Exception | None = None, again: timedelta | None = None
    ) -> None:
        self.runs = 0
        self.again = again
        self.enough = enough
        self.error = error
        self.reached = threading.Event()

    def __call__(self) -> timedelta | None:
        self.runs += 1
        error = self.error
        if self.runs >= self.enough:
            self.reached.set()
        if error is not None:
            raise error
        return self.again

    def wait(self) -> None:
        """Wait until it has run often enough."""
        assert self.reached.wait(PATIENCE_S)

    def wait_for(self, more: int) -> None:
        """Wait until it has run so many times more."""
        self.reached.clear()
        self.enough = self.runs + more
        self.wait()


class Running:
    """A scheduler that runs in a thread until it is stopped."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=scheduler.run, args=(self.stopping,))
        self._thread.start()

    def stop(self) -> Mapping[str, JobState]:
        """Stop it, and return how the jobs did."""
        self.stopping.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.scheduler.jobs()


Run = Callable[..., Running]
"""Runs a scheduler that was given these jobs, each as (interval, name, job)."""


class SchedulerContract:
    """The tests for every scheduler; a driver gives the fixture ``scheduler``.

    Its log records are looked at under the name ``mozdef_core`` or that of its own package.
    """

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """Return a scheduler that can run two jobs at the same time, and has none yet."""
        raise NotImplementedError

    @pytest.fixture
    def run(self, scheduler: Scheduler) -> Iterator[Run]:
        """Return what gives the scheduler its jobs and lets it run; it is stopped after the test."""
        running: list[Running] = []

        def start(*jobs: tuple[timedelta, str, Callable[[], None]]) -> Running:
            for job in jobs:
                scheduler.every(*job)
            running.append(Running(scheduler))
            return running[-1]

        yield start
        for one in running:
            one.stop()

    def test_a_job_runs_again_and_again(self, run: Run) -> None:
        job = Job()
        run((SOON, "job", job))
        job.wait()

    def test_a_job_runs_at_once_and_then_no_more_often_than_its_interval(self, run: Run) -> None:
        often, seldom = Job(enough=5), Job()
        running = run((SOON, "often", often), (NEVER, "seldom", seldom))
        often.wait()
        running.stop()
        assert seldom.runs == 1

    def test_two_jobs_of_one_name_are_refused(self, scheduler: Scheduler) -> None:
        scheduler.every(SOON, "job", Job())
        with pytest.raises(ValueError, match="job"):
            scheduler.every(SOON, "job", Job())

    def test_a_slow_job_holds_up_nobody_and_never_runs_twice_at_once(self, run: Run) -> None:
        released, slow_runs, quick = threading.Event(), Job(), Job(enough=5)

        def slow() -> None:
            slow_runs()
            released.wait(PATIENCE_S)

        run((SOON, "slow", slow), (SOON, "quick", quick))
        quick.wait()
        assert slow_runs.runs == 1
        released.set()
        slow_runs.wait()

    def test_stopping_waits_for_the_job_under_way_and_counts_it(self, run: Run) -> None:
        started, released, ended = threading.Event(), threading.Event(), threading.Event()

        def job() -> None:
            started.set()
            released.wait(PATIENCE_S)
            ended.set()

        running = run((NEVER, "job", job))
        assert started.wait(PATIENCE_S)
        running.stopping.set()
        released.set()
        state = running.stop()["job"]
        assert ended.is_set()
        assert (state.runs, state.failures, state.last_error) == (1, 0, None)

    def test_without_jobs_it_ends_when_told(self, run: Run) -> None:
        assert run().stop() == {}

    def test_a_job_that_has_not_run_yet_is_shown(self, scheduler: Scheduler) -> None:
        scheduler.every(SOON, "job", Job())
        assert scheduler.jobs() == {"job": JobState()}

    def test_what_was_shown_does_not_change(self, scheduler: Scheduler, run: Run) -> None:
        job = Job()
        running = run((SOON, "job", job))
        before = scheduler.jobs()
        runs = before["job"].runs
        job.wait()
        running.stop()
        assert before["job"].runs == runs

    def test_a_failing_job_runs_again_and_its_failures_are_counted_and_others_go_on(self, run: Run) -> None:
        bad, good = Job(error=ValueError("no such rule")), Job(enough=5)
        running = run((SOON, "bad", bad), (SOON, "good", good))
        bad.wait()
        good.wait()
        states = running.stop()
        assert states["bad"].runs == states["bad"].failures == bad.runs
        assert states["bad"].last_error == "ValueError: no such rule"
        assert states["good"].runs == good.runs
        assert (states["good"].failures, states["good"].last_error) == (0, None)

    def test_how_long_the_last_run_took_is_shown(self, scheduler: Scheduler, run: Run) -> None:
        started, released = threading.Event(), threading.Event()

        def job() -> None:
            started.set()
            released.wait(PATIENCE_S)

        before_s = time.monotonic()
        running = run((NEVER, "job", job))
        assert started.wait(PATIENCE_S)
        inside_s = time.monotonic()
        assert scheduler.jobs()["job"].last_s is None
        least_s = time.monotonic() - inside_s
        released.set()
        took_s = running.stop()["job"].last_s
        assert took_s is not None
        assert 0 < least_s <= took_s <= time.monotonic() - before_s

    def test_a_bug_is_logged_once_with_its_traceback_until_the_job_runs_well_again(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = Job(error=ValueError("no such rule"))
        with caplog.at_level(logging.INFO):
            running = run((SOON, "job", job))
            job.wait()
            job.error = None
            job.wait_for(3)
            state = running.stop()["job"]
        first, second = caplog.records
        assert "job" in first.getMessage()
        assert first.levelname == "ERROR"
        assert first.exc_info is not None
        assert second.levelname == "WARNING"
        assert state.failures >= 3
        assert state.last_error is None

    def test_an_outage_is_logged_once_without_a_traceback(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = Job(error=StoreUnavailableError("the disk is full"))
        with caplog.at_level(logging.INFO):
            running = run((SOON, "job", job))
            job.wait()
            state = running.stop()["job"]
        (record,) = caplog.records
        assert (record.levelname, record.exc_info) == ("WARNING", None)
        assert "the disk is full" in record.getMessage()
        assert state.last_error == "StoreUnavailableError: the disk is full"

    def test_another_kind_of_failure_is_logged_too(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        job = Job(error=StoreUnavailableError("the disk is full"))
        with caplog.at_level(logging.INFO):
            running = run((SOON, "job", job))
            job.wait()
            job.error = ValueError("no such rule")
            job.wait_for(3)
            running.stop()
        assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]

    def test_a_job_that_fails_while_stopping_is_counted_too(self, run: Run) -> None:
        started, released = threading.Event(), threading.Event()

        def job() -> None:
            started.set()
            released.wait(PATIENCE_S)
            raise ValueError("late")

        running = run((NEVER, "job", job))
        assert started.wait(PATIENCE_S)
        running.stopping.set()
        released.set()
        assert running.stop()["job"].last_error == "ValueError: late"

    @pytest.mark.parametrize(
        ("crontab", "due"),
        [
            ("* * * * *", "2025-10-09T12:01:00"),
            ("*/5 * * * *", "2025-10-09T12:05:00"),
            ("0 12 * * *", "2025-10-10T12:00:00"),
            ("30 9 * * mon-fri", "2025-10-10T09:30:00"),
            ("0 0 1 1,7 *", "2026-01-01T00:00:00"),
            ("0 0 29 2 *", "2028-02-29T00:00:00"),
            ("0 6 13 * 5", "2026-02-13T06:00:00"),
        ],
    )
    def test_a_crontab_names_its_next_time_in_utc(self, scheduler: Scheduler, crontab: str, due: str) -> None:
        assert isoformat(scheduler.due_after(crontab, NOON_US))[:19] == due
        assert isoformat(scheduler.due_after(crontab, NOON_US + 17))[:26] == f"{due}.000000"

    @pytest.mark.parametrize("crontab", ["0 0 30 2 *", "61 * * * *", "* * * *", "noon", "x * * * *", ""])
    def test_a_crontab_that_is_none_or_never_comes_is_refused(
        self, scheduler: Scheduler, crontab: str
    ) -> None:
        with pytest.raises(ValueError, match="crontab"):
            scheduler.at(crontab, "job", Job())
        with pytest.raises(ValueError, match="crontab"):
            scheduler.due_after(crontab, NOON_US)
        assert scheduler.jobs() == {}

    def test_a_job_by_crontab_runs_at_once_and_then_only_at_its_times(
        self, scheduler: Scheduler, run: Run
    ) -> None:
        often, seldom = Job(enough=5), Job(enough=1)
        scheduler.at(YEARLY, "seldom", seldom)
        running = run((SOON, "often", often))
        seldom.wait()
        often.wait_for(5)
        running.stop()
        assert seldom.runs == 1

    def test_a_job_that_asks_for_it_runs_again_before_its_time(self, scheduler: Scheduler, run: Run) -> None:
        eager, patient = Job(enough=3, again=timedelta(0)), Job(again=NEVER)
        scheduler.at(YEARLY, "eager", eager)
        running = run((NEVER, "patient", patient))
        eager.wait()
        running.stop()
        assert patient.runs == 1

    def test_what_a_job_asks_for_does_not_put_off_its_next_time(self, run: Run) -> None:
        job = Job(again=NEVER)
        run((SOON, "job", job))
        job.wait()

    def test_a_job_can_be_added_while_others_run(self, scheduler: Scheduler, run: Run) -> None:
        first, second = Job(), Job()
        run((SOON, "first", first))
        first.wait()
        scheduler.every(SOON, "second", second)
        second.wait()
        assert set(scheduler.jobs()) == {"first", "second"}

    def test_a_job_can_be_removed_while_others_run(self, scheduler: Scheduler, run: Run) -> None:
        gone, other = Job(), Job(enough=5)
        running = run((SOON, "gone", gone), (SOON, "other", other))
        gone.wait()
        scheduler.remove("gone")
        runs = gone.runs
        other.wait_for(5)
        assert set(running.stop()) == {"other"}
        assert gone.runs <= runs + 1  # one may have been under way

    def test_a_job_that_is_not_there_cannot_be_removed(self, scheduler: Scheduler) -> None:
        with pytest.raises(KeyError, match="nobody"):
            scheduler.remove("nobody")

    def test_a_job_can_be_put_in_the_place_of_one_and_waits_for_its_run_to_end(
        self, scheduler: Scheduler, run: Run
    ) -> None:
        started, released, inside = threading.Event(), threading.Event(), threading.Event()
        other = Job(enough=5)

        def slow() -> None:
            inside.set()
            started.set()
            released.wait(PATIENCE_S)
            inside.clear()

        alone: list[bool] = []
        replacement = Job(enough=1)

        def after() -> None:
            alone.append(not inside.is_set())
            replacement()

        run((SOON, "job", slow), (SOON, "other", other))
        assert started.wait(PATIENCE_S)
        scheduler.remove("job")
        scheduler.every(SOON, "job", after)
        other.wait_for(5)
        assert alone == []
        released.set()
        replacement.wait()
        assert set(alone) == {True}
