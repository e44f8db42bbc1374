"""Readiness: how the parts behind the intake do, as far as a web process can know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mozdef_core.errors import BookUnavailableError
from mozdef_core.event import now_us

if TYPE_CHECKING:
    from mozdef_core.casework.book import SqlBook

SILENT_S: Final = 10
"""A worker that has said nothing for so long is taken not to run; it speaks every two seconds."""
_REMEMBERED_S: Final = 1


@dataclass(frozen=True, slots=True)
class Condition:
    """How the other parts do.

    :param degraded: sentences about what does not work, though events are accepted and kept.
    :param refusing: why no event can be accepted, None when they can.
    :param parts: what is known of each part, as JSON has it.
    """

    degraded: tuple[str, ...] = ()
    refusing: str | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)


class Readiness:
    """Looks at the casework database, and there at what the worker last said about itself and the store.

    Accepting needs the queue, and the database only where tokens are checked: what waits in the queue is safe, so a
    worker that is away or a store that is down makes the service degraded, not unready (DESIGN.md section 9). A
    look is remembered for a second, so that a probe costs next to nothing.

    :param needs_tokens: whether an entrance takes nothing without a token.
    :param load: what the server's own part has to say, such as how many bodies are on their way.
    """

    def __init__(self, book: SqlBook, *, needs_tokens: bool, load: Callable[[], Mapping[str, int]]) -> None:
        self._book = book
        self._needs_tokens = needs_tokens
        self._load = load
        self._lock = threading.Lock()
        self._seen: tuple[float, Condition] | None = None

    def look(self) -> Condition:
        """Return how the parts do; from any thread."""
        seen = self._seen
        due = seen is None or time.monotonic() - seen[0] > _REMEMBERED_S
        # While one thread looks, which takes long when the database hangs, the others say what was seen last.
        if due and self._lock.acquire(blocking=seen is None):
            try:
                seen = self._seen = (time.monotonic(), self._look())
            finally:
                self._lock.release()
        assert seen is not None  # without one the lock was waited for
        found = seen[1]
        return Condition(found.degraded, found.refusing, {**found.parts, "bodies": dict(self._load())})

    def _look(self) -> Condition:
        from mozdef_core.casework import processes

        try:
            with self._book.database.read() as session:
                reports = [report for report in processes.reports(session) if report.role == "worker"]
        except BookUnavailableError as error:
            reason = f"the casework database is not to be had: {error}"
            parts = {"database": {"ok": False, "reason": str(error)}}
            return Condition((reason,), reason if self._needs_tokens else None, parts)
        now = now_us()
        workers = []
        for report in reports:
            silent_s = (now - report.heartbeat_us) / 1e6
            if silent_s < SILENT_S:
                last_error = report.counters.get("worker", {}).get("last_error")
                workers.append({"process": report.process, "silent_s": silent_s, "error": last_error})
        degraded = [
            f"the worker {worker['process']} waits: {worker['error']}"
            for worker in workers
            if worker["error"]
        ]
        if not workers:
            degraded.append(
                f"no worker has said anything for {SILENT_S} s; what is accepted waits in the queue"
            )
        return Condition(tuple(degraded), None, {"database": {"ok": True}, "workers": workers})
