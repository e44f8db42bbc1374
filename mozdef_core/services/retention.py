"""Retention: removes partitions of events that have been kept long enough."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import isoformat, now_us
from mozdef_core.ports import EventStore
from mozdef_core.settings import RetentionSettings

log = logging.getLogger(__name__)

INTERVAL_S: Final = 600


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
