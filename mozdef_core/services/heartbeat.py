"""The heartbeat: a process writes what it counts into the casework database, so that others can show it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mozdef_core.errors import BookUnavailableError
from mozdef_core.event import now_us

if TYPE_CHECKING:
    from mozdef_core.casework.book import SqlBook

log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 2


class Heartbeat:
    """Writes what a process counts into the casework database every two seconds."""

    def __init__(self, book: SqlBook, role: str, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self._book = book
        self._role = role
        self._snapshot = snapshot
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        from mozdef_core.casework import processes

        failed = False
        while True:
            try:
                with self._book.database.write() as session:
                    processes.report(session, self._role, str(os.getpid()), self._snapshot(), now_us())
                failed = False
            except BookUnavailableError as error:
                if not failed:
                    log.warning("the heartbeat of the %s is late: %s", self._role, error)
                failed = True
            if self._done.wait(HEARTBEAT_S):
                return
