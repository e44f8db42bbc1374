from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.errors import ConfigError
from mozdef_core.options import Options
from mozdef_core.ports import Input, Intake, Origin
from mozdef_core.services import inputs as module
from mozdef_core.services.inputs import RESTART_S, InputRunner, InputState
from mozdef_core.services.intake import QueueIntake


class Stop(threading.Event):
    """Notes how long a failed input would have waited, and lets no time pass; ends after so many waits."""

    def __init__(self, most: int = 100) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        if len(self.waits) >= self.most:
            self.set()
        return self.is_set()


class Scripted(Input[Options]):
    """Does in each run what it was given for it; a run without a script waits for the end."""

    Options = Options
    kind = "scripted"

    def __init__(
        self, *runs: Callable[[Intake, threading.Event], None], binds: list[Exception] | None = None
    ) -> None:
        super().__init__(Options())
        self.done: list[str] = []
        self._runs = iter(runs)
        self._binds = iter(binds or [])
        self.waiting = threading.Event()

    def bind(self) -> None:
        self.done.append("bind")
        error = next(self._binds, None)
        if error is not None:
            raise error

    def run(self, intake: Intake, stop: threading.Event) -> None:
        self.done.append("run")
        script = next(self._runs, None)
        if script is not None:
            script(intake, stop)
            return
        self.waiting.set()
        threading.Event.wait(stop, 10)


def failing(error: BaseException) -> Callable[[Intake, threading.Event], None]:
    def run(_intake: Intake, _stop: threading.Event) -> None:
        raise error

    return run


def ending(_intake: Intake, _stop: threading.Event) -> None:
    """There is nothing more to read."""


def runner_of(**inputs: Input[Any]) -> tuple[InputRunner, MemoryQueue]:
    queue = MemoryQueue(MemoryQueue.Options())
    return InputRunner(inputs, lambda name, source: QueueIntake(queue, Origin(name, source.kind))), queue


def test_what_an_input_puts_is_in_the_queue_under_its_name() -> None:
    def run(intake: Intake, _stop: threading.Event) -> None:
        intake.put([b"{}"])

    runner, queue = runner_of(office=Scripted(run))
    runner.bind()
    runner.start(Stop())
    runner.join()
    ((item,),) = (delivery.items for delivery in queue.take(1, 0))
    assert item.origin == Origin("office", "scripted")


def test_an_input_that_has_nothing_more_to_read_ends_and_is_not_started_again() -> None:
    source = Scripted(ending)
    runner, _ = runner_of(office=source)
    runner.bind()
    runner.start(Stop())
    runner.join()
    assert source.done == ["bind", "run"]
    assert runner.states == {"office": InputState(running=False, finished=True)}


def test_an_input_that_is_told_to_stop_has_not_finished() -> None:
    source, stop = Scripted(), Stop()
    runner, _ = runner_of(office=source)
    runner.start(stop)
    assert source.waiting.wait(10)
    assert runner.states["office"] == InputState(running=True)
    stop.set()
    runner.join()
    assert runner.states["office"] == InputState(running=False, finished=False)


def test_a_failing_input_is_bound_and_started_again_with_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Scripted(*[failing(ValueError("no route"))] * 8, ending)
    runner, _ = runner_of(office=source)
    stop = Stop()
    with caplog.at_level(logging.ERROR):
        runner.bind()
        runner.start(stop)
        runner.join()
    assert stop.waits == [*RESTART_S, RESTART_S[-1], RESTART_S[-1]]
    assert source.done == ["bind", "run", *["bind", "run"] * 8]
    assert runner.states["office"] == InputState(False, True, restarts=8, last_error="ValueError: no route")
    assert caplog.messages[0] == "input office failed; it is started again in 1 s"
    assert caplog.records[0].exc_info is not None


def test_an_input_that_cannot_be_bound_again_is_tried_again_too() -> None:
    source = Scripted(failing(ValueError("x")), ending)
    runner, _ = runner_of(office=source)
    runner.bind()
    source._binds = iter([OSError("port 514 is in use")])
    runner.start(Stop())
    runner.join()
    assert source.done == ["bind", "run", "bind", "bind", "run"]
    assert runner.states["office"].restarts == 2


def test_even_an_input_that_wants_to_end_the_process_is_only_started_again() -> None:
    runner, _ = runner_of(office=Scripted(failing(SystemExit(3)), ending))
    runner.start(Stop())
    runner.join()
    assert runner.states["office"].restarts == 1


def test_one_failing_input_does_not_touch_another() -> None:
    good = Scripted()
    runner, _ = runner_of(bad=Scripted(failing(ValueError("x"))), good=good)
    stop = Stop(most=1)
    runner.start(stop)
    runner.join()
    assert good.done == ["run"]
    assert (runner.states["good"].restarts, runner.states["good"].last_error) == (0, None)


def test_after_a_long_good_run_the_pauses_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEADY_S", -1)
    runner, _ = runner_of(office=Scripted(*[failing(ValueError("x"))] * 4, ending))
    stop = Stop()
    runner.start(stop)
    runner.join()
    assert stop.waits == [RESTART_S[0]] * 4


def test_told_to_stop_while_it_waits_an_input_is_not_started_again() -> None:
    source = Scripted(failing(ValueError("x")))
    runner, _ = runner_of(office=source)
    runner.start(Stop(most=1))
    runner.join()
    assert source.done == ["run"]


def test_an_input_that_fails_while_stopping_is_told_and_left(caplog: pytest.LogCaptureFixture) -> None:
    def run(_intake: Intake, stop: threading.Event) -> None:
        stop.set()
        raise ValueError("late")

    source, stop = Scripted(run), Stop()
    runner, _ = runner_of(office=source)
    runner.start(stop)
    runner.join()
    assert caplog.messages == ["input office failed while stopping"]
    assert (stop.waits, source.done, runner.states["office"].running) == ([], ["run"], False)


def test_every_input_that_cannot_be_bound_is_named() -> None:
    last = Scripted()
    runner, _ = runner_of(
        office=Scripted(binds=[OSError("127.0.0.1:514 is in use")]),
        plant=Scripted(binds=[PermissionError("no positions in /var")]),
        last=last,
    )
    with pytest.raises(ConfigError) as caught:
        runner.bind()
    assert caught.value.problems == (
        "input.office: 127.0.0.1:514 is in use",
        "input.plant: no positions in /var",
    )
    assert last.done == ["bind"]
