"""Health: how each plugin does. Counts, timing, suspension after repeated failure, and what is running right now."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mozdef_core.inflight import InFlight

log = logging.getLogger(__name__)

OTHER: Final = "(other)"
_DISTINCT: Final = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """When a call is slow and when a plugin is suspended; times in seconds.

    :param calls: limit of one call by hook; the result of a call that took longer is discarded. After a first slow
        ``on_event`` or ``enrich`` the call is made once more, since it may have been the machine that was busy.
    :param failures: so many failures in a row suspend a plugin.
    :param suspend_s: the first suspension; each further one is twice as long, up to ``suspend_max_s``.
    :param budget_window_s: span over which the time of a plugin's ``on_event`` and ``enrich`` is added up.
    :param budget_share: share of that span above which the plugin is suspended, if its calls are slow on average.
    :param budget_call_s: calls that take less than this on average are never too slow, however many there are.
    """

    calls: Mapping[str, float] = field(
        default_factory=lambda: {"on_event": 0.1, "enrich": 0.1, "alert_match": 10.0, "alert_action": 30.0}
    )
    failures: int = 5
    suspend_s: float = 30.0
    suspend_max_s: float = 600.0
    budget_window_s: float = 60.0
    budget_share: float = 0.5
    budget_call_s: float = 0.002

    @classmethod
    def patient(cls, call_s: float) -> Limits:
        """Return limits under which nothing is ever suspended, for trials and backtests.

        :param call_s: limit of one call of any hook.
        """
        return cls(calls=dict.fromkeys(cls().calls, call_s), failures=10**9, budget_share=1.0)


@dataclass(slots=True)
class Trouble:
    """One distinct error of a plugin, and how often it was seen. Times are seconds since 1970."""

    text: str
    count: int
    first_s: float
    last_s: float


class Record:
    """The counters of one plugin. The Host adds to them in its own code, call by call; times in nanoseconds."""

    __slots__ = (
        "budget_calls",
        "budget_ns",
        "budget_start_ns",
        "calls",
        "changed",
        "consecutive",
        "drops",
        "errors",
        "level",
        "max_ns",
        "name",
        "on_probation",
        "reason",
        "repeating",
        "resumed_ns",
        "slow",
        "suspended_until_ns",
        "suspensions",
        "total_ns",
        "troubles",
        "undelivered",
        "version",
    )

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.calls = self.errors = self.slow = self.changed = self.undelivered = 0
        self.total_ns = self.max_ns = 0
        self.drops: dict[str, int] = {}
        self.troubles: dict[str, Trouble] = {}
        self.consecutive = 0
        self.budget_calls = self.budget_ns = self.budget_start_ns = 0
        self.level = 0
        self.suspensions = 0
        self.suspended_until_ns = 0
        self.resumed_ns = 0
        self.on_probation = self.repeating = False
        self.reason = ""


class Health:
    """Watches over the plugins of one process.

    A plugin is suspended when it fails several times in a row, or when its calls are slow and together take more
    than their share of the time. After a while one call is tried: if it succeeds the plugin is back, if not it is
    suspended for twice as long. It must stay well for as long as it was last suspended before that is forgotten.

    :param in_flight: where to publish what is running, for a supervisor to see; None publishes nothing.
    :param clock: monotonic nanoseconds.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        in_flight: InFlight | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.limits = limits or Limits()
        self.in_flight = in_flight
        self.clock = clock
        self.suspended_names: set[str] = set()
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()

    def record(self, name: str, version: str = "") -> Record:
        """Return the record of a plugin, a new one at first."""
        with self._lock:
            found = self._records.get(name)
            if found is None:
                found = self._records[name] = Record(name, version)
                found.budget_start_ns = self.clock()
            return found

    def dropped(self, name: str, reason: str) -> None:
        """Count an event that a plugin has dropped; reasons beyond a hundred are counted together."""
        drops = self.record(name).drops
        reason = reason if reason in drops or len(drops) < _DISTINCT else OTHER
        drops[reason] = drops.get(reason, 0) + 1

    def failed(self, name: str, text: str, key: str | None = None) -> bool:
        """Count a failure, and suspend the plugin if it was one too many.

        :param text: one line that says what went wrong.
        :param key: what tells this failure from others; None takes the text.
        :returns: whether this failure is the first of its kind, and so belongs in the log.
        """
        record = self.record(name)
        with self._lock:
            record.errors += 1
            record.consecutive += 1
            first = self._note(record, text, key or text)
            if record.on_probation or record.consecutive >= self.limits.failures:
                self._suspend(record, f"{record.consecutive} failures in a row, the last: {text}")
        return first

    def recovered(self, record: Record) -> None:
        """Note that a plugin that was on probation, or had failed before, has done a call well."""
        with self._lock:
            record.consecutive = 0
            if record.on_probation:
                record.on_probation = False
                record.resumed_ns = self.clock()
                self.suspended_names.discard(record.name)
                log.warning("plugin %s works again", record.name)

    def check_budget(self, record: Record, now_ns: int) -> None:
        """Suspend a plugin whose calls were slow and took too much of the window that has just passed."""
        with self._lock:
            elapsed_ns = now_ns - record.budget_start_ns
            spent_ns, calls = record.budget_ns, record.budget_calls
            record.budget_start_ns, record.budget_ns, record.budget_calls = now_ns, 0, 0
            if (
                spent_ns > elapsed_ns * self.limits.budget_share
                and spent_ns > calls * self.limits.budget_call_s * 1e9
            ):
                mean_ms, share = spent_ns / max(calls, 1) / 1e6, 100 * spent_ns / elapsed_ns
                self._suspend(
                    record, f"its calls took {mean_ms:.1f} ms on average and {share:.0f} % of the time"
                )

    def suspend(self, name: str, reason: str, seconds: float | None = None) -> None:
        """Suspend a plugin from outside, such as after a call that had to be ended.

        :param seconds: for how long, or None for as long as its history asks for.
        """
        record = self.record(name)
        with self._lock:
            self._suspend(record, reason, seconds)

    def suspended(self, name: str) -> bool:
        """Return whether a plugin must not be called now; when its time is over the next call is its trial."""
        if name not in self.suspended_names:
            return False
        record = self._records.get(name)
        return record is not None and self.clock() < record.suspended_until_ns

    def forget(self, name: str) -> None:
        """Know nothing more of a plugin that is gone, or is another one by the same name from now on."""
        with self._lock:
            self.suspended_names.discard(name)
            self._records.pop(name, None)

    def claim(self, record: Record) -> bool:
        """Take the one call that a suspended plugin is given when its time is over.

        Until its outcome is known everybody else is refused, at most for the time of a first suspension.
        """
        with self._lock:
            now_ns = self.clock()
            if record.name not in self.suspended_names:
                return True
            if now_ns < record.suspended_until_ns:
                return False
            record.on_probation = True
            record.suspended_until_ns = now_ns + int(self.limits.suspend_s * 1e9)
            return True

    def snapshot(self) -> dict[str, Any]:
        """Return everything by plugin, as JSON can hold it; times are in seconds. Cheap enough for every second."""
        with self._lock:
            records = list(self._records.values())
        return {record.name: self._shown(record) for record in records}

    def _note(self, record: Record, text: str, key: str) -> bool:
        now_s = time.time()
        trouble = record.troubles.get(key)
        if trouble is None and len(record.troubles) >= _DISTINCT:
            key, text = OTHER, "further errors"
            trouble = record.troubles.get(key)
        if trouble is None:
            record.troubles[key] = Trouble(text, 1, now_s, now_s)
            return True
        trouble.count += 1
        trouble.last_s = now_s
        return False

    def _suspend(self, record: Record, reason: str, seconds: float | None = None) -> None:
        now_ns = self.clock()
        if not record.on_probation and now_ns - record.resumed_ns > self._span_s(record.level - 1) * 1e9:
            record.level = 0
        span_s = self._span_s(record.level) if seconds is None else seconds
        record.level = min(record.level + 1, 32)
        record.suspensions += 1
        record.consecutive = 0
        record.on_probation = False
        record.reason = reason
        record.suspended_until_ns = now_ns + int(span_s * 1e9)
        self.suspended_names.add(record.name)
        log.warning("plugin %s is suspended for %.0f s: %s", record.name, span_s, reason)

    def _span_s(self, level: int) -> float:
        return min(self.limits.suspend_s * 2.0**level, self.limits.suspend_max_s)

    def _shown(self, record: Record) -> dict[str, Any]:
        suspended = record.name in self.suspended_names
        return {
            "version": record.version,
            "calls": record.calls,
            "errors": record.errors,
            "slow": record.slow,
            "changed": record.changed,
            "undelivered": record.undelivered,
            "drops": dict(record.drops),
            "total_s": record.total_ns / 1e9,
            "max_s": record.max_ns / 1e9,
            "suspended": suspended,
            "suspended_for_s": max(0.0, (record.suspended_until_ns - self.clock()) / 1e9)
            if suspended
            else 0.0,
            "suspensions": record.suspensions,
            "reason": record.reason if suspended else "",
            "troubles": [
                {
                    "text": trouble.text,
                    "count": trouble.count,
                    "first_s": trouble.first_s,
                    "last_s": trouble.last_s,
                }
                for trouble in list(record.troubles.values())
            ],
        }
