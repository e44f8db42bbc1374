"""The event store of the API: opened when something is asked of it for the first time, and then kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mozdef_core.errors import ConfigError, StoreUnavailableError
from mozdef_core.ports import EventStore

log = logging.getLogger(__name__)


class LazyStore:
    """Opens a store at the first use; a process that only takes events in never loads an engine.

    :param open_store: opens it for reading.
    """

    def __init__(self, open_store: Callable[[], EventStore]) -> None:
        self._open_store = open_store
        self._lock = threading.Lock()
        self._store: EventStore | None = None

    def get(self) -> EventStore:
        """Return the store.

        :raises StoreUnavailableError: it cannot be opened now; the next call tries again.
        """
        with self._lock:
            if self._store is None:
                try:
                    self._store = self._open_store()
                except ConfigError as error:
                    log.warning("the event store cannot be opened: %s", error)
                    raise StoreUnavailableError(f"the event store cannot be opened: {error}") from error
            return self._store

    def close(self) -> None:
        """Close it, where it was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None
