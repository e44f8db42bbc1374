"""The supervisor: starts the roles as child processes, restarts one that dies, and stops them in order."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

log = logging.getLogger(__name__)

READY: Final = b"ready\n"
RESTART_S: Final = (0.2, 1, 2, 5, 10, 30)
STEADY_S: Final = 60
"""A child that has run for so long has its failures forgotten."""
DRAIN_S: Final = 30
"""How long a child may take to finish what it has in hand before it is killed."""
_PR_SET_PDEATHSIG: Final = 1
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

Role = Callable[[Callable[[], None]], None]
"""What a child runs until it gets SIGTERM; it calls its argument once it is ready for work."""


@dataclass(slots=True)
class Child:
    """A role and the process that fills it at the moment."""

    name: str
    role: Role
    pid: int = 0
    pipe: int = -1
    ready: bool = False
    started_s: float = 0.0
    failures: int = 0
    restart_at_s: float = 0.0
    restarts: int = field(default=0)


class Supervisor:
    """Forks one process per role from a parent that has everything imported and nothing opened.

    The children share the parent's pages, so that the second and third cost little, and a restart takes a few
    milliseconds. If the parent dies the kernel sends each child SIGTERM.

    :param roles: name and function, in the order of starting; they are stopped in this order too, so that the
        role that takes events in comes first.
    :param on_ready: called once, when every role has said that it is ready.
    :param watch: called about twice a second with the running children; returns the names of those to kill.
    """

    def __init__(
        self,
        roles: Sequence[tuple[str, Role]],
        on_ready: Callable[[], None],
        watch: Callable[[Sequence[Child]], Sequence[str]] = lambda _: (),
    ) -> None:
        self._children = [Child(name, role) for name, role in roles]
        self._on_ready = on_ready
        self._watch = watch
        self._announced = False

    def run(self) -> int:
        """Start everything and keep it running until SIGTERM or SIGINT; return the exit status.

        A role that ends before all have been ready once ends the others: something is wrong that a restart
        would not mend, and the role has said what.
        """
        gc.freeze()  # what exists now is never collected, so collections in the children copy no pages
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            for child in self._children:
                self._start(child)
            return self._supervise()
        finally:
            self._stop_all()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _supervise(self) -> int:
        while True:
            received = signal.sigtimedwait(_SIGNALS, 0.1 if not self._announced else 0.5)
            if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
                log.info("stopping")
                return 0
            for child in self._children:
                self._look_after(child)
                if child.pid == 0 and not self._announced:
                    return 1
            if not self._announced and all(child.ready for child in self._children):
                self._announced = True
                self._on_ready()
            if self._announced:
                running = [child for child in self._children if child.pid]
                for name in self._watch(running):
                    os.kill(next(child.pid for child in running if child.name == name), signal.SIGKILL)

    def _look_after(self, child: Child) -> None:
        """See whether a child is ready or has ended, and start it again when it is time."""
        now_s = time.monotonic()
        if child.pid:
            self._read_pipe(child)
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._ended(child, status, now_s)
        elif now_s >= child.restart_at_s:
            child.restarts += 1
            self._start(child)

    def _ended(self, child: Child, status: int, now_s: float) -> None:
        code = os.waitstatus_to_exitcode(status)
        how = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        if now_s - child.started_s > STEADY_S:
            child.failures = 0
        wait_s = RESTART_S[min(child.failures, len(RESTART_S) - 1)]
        child.failures += 1
        child.restart_at_s = now_s + wait_s
        self._forget(child)
        if self._announced:
            log.warning("%s was %s; it is started again in %.1f s", child.name, how, wait_s)
        else:
            log.error("%s %s before everything was ready", child.name, how)

    def _read_pipe(self, child: Child) -> None:
        if not child.ready and select.select([child.pipe], [], [], 0)[0]:
            child.ready = os.read(child.pipe, len(READY)) == READY

    def _start(self, child: Child) -> None:
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _become(child.role, parent, writer)
        os.close(writer)
        child.pid, child.pipe, child.ready, child.started_s = pid, reader, False, time.monotonic()

    def _forget(self, child: Child) -> None:
        os.close(child.pipe)
        child.pid, child.pipe, child.ready = 0, -1, False

    def _stop_all(self) -> None:
        """Stop the roles one after the other, each with time to finish what it has in hand."""
        for child in self._children:
            if not child.pid:
                continue
            os.kill(child.pid, signal.SIGTERM)
            deadline_s = time.monotonic() + DRAIN_S
            while os.waitpid(child.pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline_s:
                    log.warning("%s did not stop within %d s and is killed", child.name, DRAIN_S)
                    os.kill(child.pid, signal.SIGKILL)
                    os.waitpid(child.pid, 0)
                    break
                time.sleep(0.02)
            self._forget(child)


def _become(role: Role, parent: int, pipe: int) -> NoReturn:
    """Turn a forked process into a role. It never returns into the parent's code."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # control-C reaches the whole group; the parent tells us
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        role(lambda: _say_ready(pipe))
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # the process ends here either way, and must say why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say_ready(pipe: int) -> None:
    os.write(pipe, READY)
    os.close(pipe)
