"""Retention: removes what has been kept long enough, from the event store and from the casework database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import isoformat, now_us
from mozdef_core.ports import AlertBook, EventStore, Keep, Pruned
from mozdef_core.settings import RetentionSettings

log = logging.getLogger(__name__)

INTERVAL_S: Final = 600
PAUSE_S: Final = 0.05
"""Between two steps others may write for at least so long, and for as long as the step before took."""


class Retention:
    """A chore of the process that owns the store's writer, done every ten minutes.

    A partition goes when all of its day of reception is further back than its class is kept.
    """

    def __init__(
        self, store: EventStore, settings: RetentionSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._due_s = 0.0

    def __call__(self) -> None:
        """Remove what is due, if it is time to look."""
        if self._clock() < self._due_s:
            return
        self._due_s = self._clock() + INTERVAL_S
        try:
            for retention_class in self._store.retention_classes():
                kept = self._settings.keep(retention_class)
                if kept is None:
                    continue
                day = isoformat(now_us() - int(kept.total_seconds() * 1_000_000))[:10]
                gone = self._store.drop_before(day, retention_class)
                if gone:
                    log.info("removed %d days of class %s received before %s", gone, retention_class, day)
        except StoreUnavailableError as error:
            log.warning("nothing was removed: %s", error)


class Housekeeping:
    """The scheduler's job that keeps the casework database small, a step at a time.

    :param wait: waits so many seconds, and says whether the process is to stop; ``Event.wait`` is one.
    """

    def __init__(
        self,
        book: AlertBook,
        store: EventStore,
        settings: RetentionSettings,
        wait: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._store = store
        self._settings = settings
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        self._total = Pruned()

    @property
    def total(self) -> Pruned:
        """How much has gone since this process started."""
        with self._lock:
            return self._total

    def __call__(self) -> None:
        """Remove what is due until nothing is left to remove or the process is to stop.

        Without the store nobody knows which classes of events there are, so what depends on them stays.

        :raises BookUnavailableError: the rest stays until the next time.
        """
        try:
            keep = self._settings.keeping(self._store.retention_classes())
        except StoreUnavailableError:
            keep = replace(self._settings.keeping(), events=None)
        before = self.total
        try:
            while self._step(keep):
                pass
        finally:
            lost = self.total.lost - before.lost
            if lost:
                log.warning("%d open dead letters were removed by age or size", lost)

    def _step(self, keep: Keep) -> bool:
        """Do one step and pause; return whether there may be more to do."""
        begun_s = self._clock()
        gone = self._book.prune(keep)
        with self._lock:
            self._total = self._total.plus(gone)
        return gone != Pruned() and not self._wait(max(PAUSE_S, self._clock() - begun_s))
