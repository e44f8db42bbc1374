"""The worker: takes batches from the queue and leads them through pipeline, detection, store and casework database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from mozdef_core.detection import Detector, EventsWindow, Found
from mozdef_core.errors import BookUnavailableError, MozdefError, QueueError, StoreUnavailableError
from mozdef_core.event import Event, now_us
from mozdef_core.pipeline import Pipeline, Processed, dead_letter
from mozdef_core.ports import AlertBook, BatchRecord, DeadLetter, Delivery, EventStore, Queue, StoreRefusal
from mozdef_core.services.backfill import Backfill, divide, restore
from mozdef_core.services.stream_rules import StreamRules

log = logging.getLogger(__name__)

BATCH: Final = 5_000
"""Items taken at once: what one store commit is shared by."""
BACK_OFF_S: Final = (0.5, 1, 2, 5, 10, 30)


@dataclass(slots=True)
class Work:
    """Some deliveries on their way: first processed, then committed; nothing of it is acknowledged before.

    :param backfill: what was imported; it is stored as it was.
    :param oldest_us: received time of the oldest item, microseconds since 1970.
    """

    deliveries: Sequence[Delivery]
    processed: Processed
    backfill: Backfill
    window: EventsWindow
    found: Found
    oldest_us: int
    refused: Sequence[StoreRefusal] | None = None

    @property
    def events(self) -> Sequence[Event]:
        """The events to store."""
        return (
            [*self.processed.events, *self.backfill.events] if self.backfill.events else self.processed.events
        )

    @property
    def maybe_known(self) -> bool:
        """Whether some of the events may be stored already."""
        return bool(self.backfill.items) or any(delivery.redelivered for delivery in self.deliveries)


@dataclass(slots=True)
class Progress:
    """What the worker has done, for the health page. Written by the worker's threads, read by another."""

    taken: int = 0
    stored: int = 0
    dead_letters: int = 0
    alerts: int = 0
    imported: int = 0
    imported_old: int = 0
    retries: int = 0
    last_error: str | None = None
    held: list[int] = field(default_factory=list)

    def snapshot(self) -> dict[str, object]:
        """Return the counters, and ``watermark_us``: the received time of the oldest item in hand, or now."""
        held = list(self.held)
        return {
            "taken": self.taken,
            "stored": self.stored,
            "dead_letters": self.dead_letters,
            "alerts": self.alerts,
            "imported": self.imported,
            "imported_old": self.imported_old,
            "retries": self.retries,
            "last_error": self.last_error,
            "watermark_us": min(held) if held else now_us(),
        }


class Worker:
    """Two threads in step: one decodes, maps, enriches and detects a batch while the other commits the one before.

    The order of a commit is fixed: store, then one transaction of the casework database, then the acknowledgement.
    What fails for now is tried again with back-off, from the step that failed, while the queue holds the items.

    :param chores: what has to be done now and then by the process that owns the store's writer; each decides
        itself whether it is time.
    :param rules: gives the detector other rules when others are in force; without it they never change.
    """

    def __init__(
        self,
        queue: Queue,
        pipeline: Pipeline,
        detector: Detector,
        store: EventStore,
        book: AlertBook,
        chores: Sequence[Callable[[], None]] = (),
        rules: StreamRules | None = None,
    ) -> None:
        self._queue = queue
        self._pipeline = pipeline
        self._detector = detector
        self._store = store
        self._book = book
        self._chores = chores
        self._rules = rules
        self._last_id = ""
        self.progress = Progress()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, then finish what is in hand and return.

        :raises Exception: a bug; nothing that was in hand is acknowledged, and it comes again after a restart.
        """
        with ThreadPoolExecutor(1, "commit") as pool:
            committing: Future[None] | None = None
            failures = 0
            while not stop.is_set():
                try:
                    deliveries = self._queue.take(BATCH, wait_s=0.5)
                    failures = 0
                except QueueError as error:
                    failures = self._wait(stop, failures, error)
                    continue
                if self._rules is not None and self._rules.stale:
                    if committing is not None:
                        committing.result()
                    self._rules.renew(self._last_id)
                work = self.process(deliveries) if deliveries else None
                if committing is not None:
                    committing.result()
                for chore in self._chores:
                    chore()
                committing = pool.submit(self._persist, work, stop) if work is not None else None
            if committing is not None:
                committing.result()

    def process(self, deliveries: Sequence[Delivery]) -> Work:
        """Lead the items of some deliveries through the pipeline and the stream rules."""
        items = [item for delivery in deliveries for item in delivery.items]
        self.progress.taken += len(items)
        sent, imported = divide(items)
        processed, backfill = self._pipeline.process(sent), restore(imported)
        window = self._detector.window(processed.events)
        found = self._detect(window, processed.events)
        if backfill.recent:  # apart from the others, since what is owed to a rule is a range of ids
            late = self._detect(self._detector.window(backfill.recent), backfill.recent)
            found = Found([*found.alerts, *late.alerts], [*found.owed, *late.owed])
            window = self._detector.window([*processed.events, *backfill.recent])
        oldest_us = min(item.received_us for item in items)
        work = Work(deliveries, processed, backfill, window, found, oldest_us)
        self.progress.held.append(work.oldest_us)
        return work

    def _detect(self, window: EventsWindow, events: Sequence[Event]) -> Found:
        """Run the stream rules over a window of these events."""
        ids = [event.id for event in events]
        if not ids:
            return Found([], [])
        first, last = min(ids), max(ids)
        self._last_id = max(self._last_id, last)
        return self._detector.stream(window, first, last)

    def commit(self, work: Work, *, again: bool = False) -> None:
        """Store the events, record what they leave, acknowledge the deliveries.

        :param again: this is another try: some of the events may be stored already.
        :raises MozdefError: one of the three is not to be had now; call again with the same work.
        """
        if work.refused is None:
            work.refused = self._store.write(work.events, maybe_known=again or work.maybe_known)
        letters = [
            *work.processed.dead_letters,
            *work.backfill.dead_letters,
            *(self._letter(work, refusal) for refusal in work.refused),
        ]
        raised = self._book.record(
            BatchRecord(
                arrivals=work.window.arrivals(),
                alerts=work.found.alerts,
                owed=work.found.owed,
                dead_letters=letters,
                states=work.processed.states,
                replayed={**work.processed.replayed, **work.backfill.replayed},
            )
        )
        self._queue.acknowledge(work.deliveries)
        self.progress.held.remove(work.oldest_us)
        self.progress.stored += len(work.events) - len(work.refused)
        self.progress.imported += len(work.backfill.items)
        self.progress.imported_old += len(work.backfill.old)
        self.progress.dead_letters += len(letters)
        self.progress.alerts += len(raised)

    @staticmethod
    def _letter(work: Work, refusal: StoreRefusal) -> DeadLetter:
        """Return the dead letter of an event that the store refused, with the bytes that the sender sent."""
        item = work.backfill.items.get(refusal.event.id)
        if item is None:
            parent = refusal.event.id.partition("-")[0]
            items = (item for delivery in work.deliveries for item in delivery.items)
            item = next(item for item in items if item.id == parent)
        return dead_letter(item, "store", "refused", refusal.reason, event_id=refusal.event.id)

    def _persist(self, work: Work, stop: threading.Event) -> None:
        """Commit some work, for as long as it takes; when stopping, leave what does not get through for later."""
        failures = 0
        while True:
            try:
                self.commit(work, again=failures > 0)
            except (StoreUnavailableError, BookUnavailableError, QueueError) as error:
                if stop.is_set():
                    log.warning(
                        "stopped with %d deliveries in hand, they come again: %s", len(work.deliveries), error
                    )
                    return
                failures = self._wait(stop, failures, error)
            else:
                if failures:
                    log.warning("the worker goes on after %d tries", failures + 1)
                self.progress.last_error = None
                return

    def _wait(self, stop: threading.Event, failures: int, error: MozdefError) -> int:
        """Wait before another try, and say why, once per outage; return the new number of failures."""
        wait_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
        text = f"{type(error).__name__}: {error}"
        if text != self.progress.last_error:
            log.warning("the worker waits, nothing is lost, next try in %.1f s: %s", wait_s, text)
        self.progress.last_error = text
        self.progress.retries += 1
        stop.wait(wait_s)
        return failures + 1
