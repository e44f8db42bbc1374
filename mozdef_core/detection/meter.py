"""Meters: how each rule on a schedule does, what it costs, and whether it is in quarantine."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

HOUR_US: Final = 3_600_000_000


class Cost(NamedTuple):
    """What one run cost; times in seconds, of the clock and of the processor."""

    at_us: int
    wall_s: float
    cpu_s: float


@dataclass(slots=True)
class Meter:
    """What is known about one rule in this process; written by the thread that runs it, read by another.

    :param failures: runs in a row that failed, by why they were made.
    :param slow: runs in a row that took longer than they may; ``timeouts``, that were given up for it.
    :param late_after_us: after when it is late, judged by its cursor.
    :param resting_until_us: of a rule in quarantine, when it is tried again.
    """

    last_run_us: int = 0
    last_s: float = 0.0
    cursor_us: int = 0
    runs: int = 0
    events: int = 0
    alerts: int = 0
    set_aside: int = 0
    late_after_us: int = 0
    last_error: str = ""
    failures: dict[str, int] = field(default_factory=dict)
    slow: int = 0
    timeouts: int = 0
    quarantine: str = ""
    resting_until_us: int = 0
    _costs: deque[Cost] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ran(self, cost: Cost) -> None:
        """Count a run, whatever became of it."""
        with self._lock:
            self.last_run_us, self.last_s = cost.at_us, cost.wall_s
            self.runs += 1
            self._costs.append(cost)
            self._forget(cost.at_us)

    def failed(self, kind: str, text: str) -> int:
        """Count a failure, and return how many there were in a row of runs made for the same reason."""
        self.last_error = text
        self.failures[kind] = self.failures.get(kind, 0) + 1
        return self.failures[kind]

    def succeeded(self, kind: str) -> None:
        """Forget the failures of runs made for this reason."""
        self.failures.pop(kind, None)
        if not self.failures:
            self.last_error = ""

    def rest(self, reason: str, until_us: int) -> None:
        """Put the rule in quarantine."""
        self.quarantine, self.resting_until_us = reason, until_us

    def resume(self) -> None:
        """End the quarantine, if there is one."""
        self.quarantine, self.resting_until_us, self.slow = "", 0, 0

    def snapshot(self, now_us: int) -> dict[str, Any]:
        """Return it as JSON can hold it; ``wall_s`` and ``cpu_s`` are of the last hour."""
        with self._lock:
            self._forget(now_us)
            wall_s = sum(cost.wall_s for cost in self._costs)
            cpu_s = sum(cost.cpu_s for cost in self._costs)
        return {
            "last_run_us": self.last_run_us,
            "last_s": self.last_s,
            "cursor_us": self.cursor_us,
            "runs": self.runs,
            "events": self.events,
            "alerts": self.alerts,
            "set_aside": self.set_aside,
            "late": 0 < self.late_after_us < now_us,
            "failures": max(self.failures.values(), default=0),
            "last_error": self.last_error,
            "quarantine": self.quarantine,
            "wall_s": wall_s,
            "cpu_s": cpu_s,
        }

    def _forget(self, now_us: int) -> None:
        while self._costs and self._costs[0].at_us < now_us - HOUR_US:
            self._costs.popleft()
