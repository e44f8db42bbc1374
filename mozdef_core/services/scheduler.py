"""The scheduler's jobs: alert actions that are due, spans that are owed to a rule, and keeping house."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from mozdef_core.detection import Detector
from mozdef_core.event import now_us
from mozdef_core.ports import AlertBook, EventStore, Scheduler
from mozdef_core.response import Responder

RESPOND: Final = timedelta(seconds=0.5)
OWED: Final = timedelta(seconds=1)
TIDY: Final = timedelta(minutes=1)
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
    """Give the scheduler its jobs; each raises what is not to be had now, and its next run tries again.

    :param tidy: removes what has been kept long enough from the casework database.
    """

    def respond() -> None:
        while responder.run_due(MOST_TASKS) == MOST_TASKS:
            pass

    def pay() -> None:
        detector.run_owed(store, book, now_us())

    scheduler.every(RESPOND, "respond", respond)
    scheduler.every(OWED, "owed", pay)
    scheduler.every(TIDY, "tidy", tidy)
