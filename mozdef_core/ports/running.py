"""The ports of what runs by itself: schedulers, and inputs with what they hand their items to."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from mozdef_core.options import Options
from mozdef_core.ports.queue import PutResult

OptionsType = TypeVar("OptionsType", bound=Options)


@dataclass(slots=True)
class JobState:
    """How a job does, for the health page.

    :param failures: how many of the runs have raised.
    :param last_error: of the last run; None when it went well.
    :param last_s: how long the last run took, in seconds; None before the first has ended.
    """

    runs: int = 0
    failures: int = 0
    last_error: str | None = None
    last_s: float | None = None


Job = Callable[[], timedelta | None]
"""What a scheduler runs; it returns after what time it wants to run again if that is before its next time, or None."""


class Scheduler(ABC):
    """Runs jobs again and again, each in its own thread, one failing or slow job not holding up another.

    Jobs may be added and removed while it runs. A job that raises runs again at its next time. That is logged once,
    until it runs well again or raises something else: with a traceback, unless it is a :class:`MozdefError`, which is
    an outage and no bug.
    """

    @abstractmethod
    def every(self, interval: timedelta, name: str, job: Job) -> None:
        """Run a job now and at this interval; a run that takes longer delays only its own next one.

        :param name: of this job alone.
        :raises ValueError: another job has this name.
        """

    @abstractmethod
    def at(self, crontab: str, name: str, job: Job) -> None:
        """Run a job now and at the times that a crontab names; those that come while it runs are passed over.

        :param crontab: minute, hour, day of the month, month and day of the week, in UTC.
        :raises ValueError: the crontab cannot be read or never comes, or another job has this name.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Run a job no more; a run under way goes on, and one added under this name waits until it has ended.

        :raises KeyError: no job has this name.
        """

    @abstractmethod
    def due_after(self, crontab: str, moment_us: int) -> int:
        """Return the first time that a crontab names after a moment, both in microseconds since 1970.

        :raises ValueError: as :meth:`at`.
        """

    @abstractmethod
    def jobs(self) -> Mapping[str, JobState]:
        """Return how each job does, by name; may be called from another thread while they run."""

    @abstractmethod
    def run(self, stop: threading.Event) -> None:
        """Run the jobs until ``stop`` is set, then let those under way finish."""


class Intake(ABC):
    """What an input hands its items to: the queue, with ids, limits and counting taken care of."""

    @abstractmethod
    def put(
        self,
        raw: Sequence[bytes],
        *,
        peer: str | None = None,
        sender_ids: Sequence[str | None] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> PutResult:
        """Keep what was received now; when this returns the items are on stable storage.

        :param raw: the items as received, each to be read by the input's decoder.
        :param fields: what the entrance knows about all of them (event-format.md section 3, column "adds").
        :raises QueueError: nothing was kept; stop reading for ``retry_after_s`` and try again.
        """

    @abstractmethod
    def lost(self, count: int, reason: str) -> None:
        """Count what had to be given up before it could be read, such as a datagram that was cut short."""


class Input(ABC, Generic[OptionsType]):
    """Something that listens or polls, found in the entry point group ``mozdef.inputs`` and run in the worker.

    :param options: the table ``[input.<name>]`` of the configuration.
    """

    Options: ClassVar[type[Options]]
    kind: ClassVar[str]
    decoder: ClassVar[str] = "json"

    def __init__(self, options: OptionsType) -> None:
        self.options = options

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        """Read one raw item into what the normaliser takes; called in the worker, for the input's own decoder name.

        Pure: no I/O and no memory between items.

        :raises InvalidItemError: it cannot be understood; it becomes a dead letter.
        """
        raise NotImplementedError

    @abstractmethod
    def run(self, intake: Intake, stop: threading.Event) -> None:
        """Listen or poll until ``stop`` is set, then finish what was received and return.

        :raises Exception: the worker logs it, says so on the health page, and starts the input again with back-off.
        """

    def bind(self) -> None:
        """Open sockets or files before the worker reports ready, so that a port in use is found at start.

        :raises OSError: with the address in its text.
        """
