"""Inputs: run the enabled ones in threads of the worker, and start one again that has failed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mozdef_core.errors import ConfigError
from mozdef_core.host import contain
from mozdef_core.ports import Input, Intake

log = logging.getLogger(__name__)

RESTART_S: Final = (1, 2, 5, 10, 30, 60)
STEADY_S: Final = 300
"""An input that has run for so long has its failures forgotten."""


@dataclass(slots=True)
class InputState:
    """How an input does, for the health page.

    :param finished: it has ended of itself, because there is no more to read.
    """

    running: bool = False
    finished: bool = False
    restarts: int = 0
    last_error: str | None = None


class InputRunner:
    """Runs inputs, each in a thread of its own; one that fails does not touch the others.

    :param inputs: by name.
    :param intake: makes what an input hands its items to.
    """

    def __init__(self, inputs: Mapping[str, Input[Any]], intake: Callable[[str, Input[Any]], Intake]) -> None:
        self._inputs = inputs
        self._intakes = {name: intake(name, source) for name, source in inputs.items()}
        self._threads: list[threading.Thread] = []
        self.states = {name: InputState() for name in inputs}

    def bind(self) -> None:
        """Open the sockets and files of all inputs.

        :raises ConfigError: with every input that could not, not only the first.
        """
        problems = []
        for name, source in self._inputs.items():
            outcome = contain(source.bind)
            if outcome.error is not None:
                problems.append(f"input.{name}: {outcome.error}")
        if problems:
            raise ConfigError(problems)

    def start(self, stop: threading.Event) -> None:
        """Start every input; they end when ``stop`` is set."""
        for name, source in self._inputs.items():
            thread = threading.Thread(
                target=self._keep_running, args=(name, source, stop), name=f"input-{name}"
            )
            thread.start()
            self._threads.append(thread)

    def join(self) -> None:
        """Wait until every input has handed over what it had received."""
        for thread in self._threads:
            thread.join()

    def _keep_running(self, name: str, source: Input[Any], stop: threading.Event) -> None:
        state, failures, bound = self.states[name], 0, True
        while True:
            state.running = True
            outcome = contain(self._run, name, source, stop, bound)
            state.running = False
            if outcome.error is None:
                state.finished = not stop.is_set()
                return
            if stop.is_set():
                log.error("input %s failed while stopping", name, exc_info=outcome.error)
                return
            if outcome.took_s > STEADY_S:
                failures = 0
            wait_s = RESTART_S[min(failures, len(RESTART_S) - 1)]
            state.last_error = f"{type(outcome.error).__name__}: {outcome.error}"
            log.error("input %s failed; it is started again in %d s", name, wait_s, exc_info=outcome.error)
            failures, bound = failures + 1, False
            state.restarts += 1
            if stop.wait(wait_s):
                return

    def _run(self, name: str, source: Input[Any], stop: threading.Event, bound: bool) -> None:
        """Run an input to its end, which is when it is told to stop or there is no more to read."""
        if not bound:
            source.bind()
        source.run(self._intakes[name], stop)
