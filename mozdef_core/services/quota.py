"""The quota: when the store takes more room than it may, the oldest days go before their time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, Final

from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import isoformat, now_us
from mozdef_core.ports import EventStore, StorePartition
from mozdef_core.settings import RetentionSettings

log = logging.getLogger(__name__)

INTERVAL_S: Final = 60
REMIND_S: Final = 600


class Quota:
    """A chore of the process that owns the store's writer, done every minute: ``[retention] max_bytes``.

    Whole partitions go, the oldest day of reception first, those of classes that are kept for ever after all others.
    What was received today stays, whatever it takes: then it says so and what to do, every ten minutes.

    :param clock: seconds that never go back.
    """

    def __init__(
        self, store: EventStore, settings: RetentionSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._due_s = self._remind_s = clock()
        self._size_bytes = self._removed = self._removed_bytes = 0
        self._removed_until: str | None = None

    def __call__(self) -> None:
        """Remove what is too much, if it is time to look."""
        most = self._settings.max_bytes
        if most is None or self._clock() < self._due_s:
            return
        self._due_s = self._clock() + INTERVAL_S
        try:
            self._keep_below(most)
        except StoreUnavailableError as error:
            log.warning("nothing was removed to keep retention.max_bytes: %s", error)

    def _keep_below(self, most: int) -> None:
        listed = self._store.partitions()
        self._size_bytes = sum(partition.size_bytes for partition in listed)
        for partition in self._removable(listed):
            if self._size_bytes <= most:
                return
            self._remove(partition, most)
        if self._size_bytes > most and self._clock() >= self._remind_s:
            self._remind_s = self._clock() + REMIND_S
            log.error("%s", self._trouble(most))

    def _removable(self, listed: Sequence[StorePartition]) -> list[StorePartition]:
        """Return what may go, in the order in which it goes."""
        today = isoformat(now_us())[:10]
        return sorted(
            (partition for partition in listed if partition.day < today),
            key=lambda one: (self._settings.keep(one.retention_class) is None, one.day, one.retention_class),
        )

    def _remove(self, partition: StorePartition, most: int) -> None:
        behind = date.fromisoformat(partition.day) + timedelta(days=1)
        self._removed += self._store.drop_before(behind.isoformat(), partition.retention_class)
        log.warning(
            "the store takes %d bytes, more than retention.max_bytes = %d: removed class %s of %s (%d bytes)",
            self._size_bytes, most, partition.retention_class, partition.day, partition.size_bytes,
        )  # fmt: skip
        self._size_bytes -= partition.size_bytes
        self._removed_bytes += partition.size_bytes
        self._removed_until = max(self._removed_until or "", partition.day)

    def _trouble(self, most: int) -> str:
        return (
            f"the store takes {self._size_bytes} bytes, more than retention.max_bytes = {most}, and only what was"
            " received today is left, which is not removed: raise retention.max_bytes, or let less in"
        )

    def snapshot(self) -> dict[str, Any]:
        """Return what was removed since this process started, as the health page shows it; empty without a limit."""
        most = self._settings.max_bytes
        if most is None:
            return {}
        return {
            "size_bytes": self._size_bytes,
            "max_bytes": most,
            "removed": self._removed,
            "removed_bytes": self._removed_bytes,
            "removed_until": self._removed_until,
            "trouble": self._trouble(most) if self._size_bytes > most else None,
        }
