"""The scheduler's jobs: alert actions that are due, spans that are owed to a rule, and keeping house."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from mozdef_core.detection import Detector
from mozdef_core.errors import BookUnavailableError, StoreUnavailableError
from mozdef_core.event import now_us
from mozdef_core.ports import AlertBook, EventStore, Scheduler
from mozdef_core.response import Responder

log = logging.getLogger(__name__)

RESPOND: Final = timedelta(seconds=0.5)
OWED: Final = timedelta(seconds=1)
TIDY: Final = timedelta(hours=1)
MOST_TASKS: Final = 50


def add_jobs(
    scheduler: Scheduler,
    *,
    responder: Responder,
    detector: Detector,
    store: EventStore,
    book: AlertBook,
    tidy: Callable[[], None],
) -> None:
    """Give the scheduler its jobs.

    :param tidy: removes what has been kept long enough from the casework database.
    """

    def respond() -> None:
        while responder.run_due(MOST_TASKS) == MOST_TASKS:
            pass

    def pay() -> None:
        detector.run_owed(store, book, now_us())

    scheduler.every(RESPOND, "respond", Patient("respond", respond))
    scheduler.every(OWED, "owed", Patient("owed", pay))
    scheduler.every(TIDY, "tidy", Patient("tidy", tidy))


class Patient:
    """A job that waits out an unavailable store or database: it says so once, and its next run tries again."""

    def __init__(self, name: str, job: Callable[[], None]) -> None:
        self._name = name
        self._job = job
        self._failed = False

    def __call__(self) -> None:
        """Run the job once."""
        try:
            self._job()
        except (BookUnavailableError, StoreUnavailableError) as error:
            if not self._failed:
                log.warning("%s waits, nothing is lost: %s", self._name, error)
            self._failed = True
        else:
            if self._failed:
                log.warning("%s goes on", self._name)
            self._failed = False
