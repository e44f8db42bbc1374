"""Delivery: what was read waits here for a moment, and a thread puts it in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from mozdef_core import Intake, QueueError

log = logging.getLogger(__name__)

_BATCH_MESSAGES = 1000
_BATCH_BYTES = 4_194_304
_GATHER_S = 0.025
_MOST_MESSAGES = 20_000
_MOST_BYTES = 33_554_432
_WRITERS = 8
_CLOSING_RETRY_S = 0.2


class Delivery:
    """Takes messages from the reading thread and puts them, each sender's in order, until the queue has them.

    Messages of one sender's address go together, 1,000 at most, gathered for 25 ms. Several senders' batches are
    put at the same time, so that they share the queue's write to the disk.

    :param on_stored: called in the writing thread whenever ``stored`` has grown.
    """

    def __init__(self, intake: Intake, on_stored: Callable[[], None]) -> None:
        self.added = 0
        self.stored = 0
        self._intake = intake
        self._on_stored = on_stored
        self._changed = threading.Condition()
        self._waiting: dict[str, list[bytes]] = {}
        self._waiting_messages = 0
        self._held_bytes = 0
        self._safe = 0
        self._refused = threading.Event()
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="syslog-put")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="syslog-delivery")
        self._work: Future[None] = self._thread.submit(self._run)

    @property
    def accepting(self) -> bool:
        """Whether more may be read: the queue takes what it is given, and not too much waits here.

        :raises Exception: what ended the writing thread.
        """
        if self._work.done():
            self._work.result()
        return (
            not self._refused.is_set()
            and self.added - self.stored < _MOST_MESSAGES
            and self._held_bytes < _MOST_BYTES
        )

    def add(self, peer: str, messages: Sequence[bytes]) -> None:
        """Take over messages from a sender; ``stored`` reaches the present value of ``added`` when they are safe."""
        if not messages:
            return
        with self._changed:
            waiting = self._waiting.setdefault(peer, [])
            waiting += messages
            before = self._waiting_messages
            self._waiting_messages += len(messages)
            self._held_bytes += sum(map(len, messages))
            self.added += len(messages)
            if before == 0 or before < _BATCH_MESSAGES <= self._waiting_messages:
                self._changed.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait until something was stored or the queue takes messages again."""
        with self._changed:
            if not self._work.done():
                self._changed.wait(timeout_s)

    def close(self, grace_s: float) -> None:
        """Put what waits, giving up after ``grace_s``; what is left is counted as lost."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        wait([self._work], grace_s)
        self._given_up.set()
        self._pool.shutdown()
        self._thread.shutdown()
        if left := self.added - self._safe:
            self._intake.lost(left, "the queue did not take them before the syslog input ended")

    def _run(self) -> None:
        while batch := self._take():
            jobs = [(peer, messages) for peer, messages in batch.items()]
            if len(jobs) == 1:
                self._put(*jobs[0])
            else:
                for job in [self._pool.submit(self._put, *job) for job in jobs]:
                    job.result()
            if self._given_up.is_set():
                return
            with self._changed:
                self.stored += sum(map(len, batch.values()))
                self._held_bytes -= sum(sum(map(len, messages)) for messages in batch.values())
                self._changed.notify_all()
            self._on_stored()

    def _take(self) -> dict[str, list[bytes]]:
        """Wait for messages and gather more for a moment; nothing when closing and all is put."""
        with self._changed:
            while not self._waiting and not self._closing.is_set():
                self._changed.wait()
            due_s = time.monotonic() + _GATHER_S
            while self._waiting_messages < _BATCH_MESSAGES and not self._closing.is_set():
                left_s = due_s - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            taken, self._waiting, self._waiting_messages = self._waiting, {}, 0
            return taken

    def _put(self, peer: str, messages: Sequence[bytes]) -> None:
        fields = {"category": "syslog", "details.eventsourceipaddress": peer, "hostname": peer}
        for batch in _divide(messages):
            while not self._given_up.is_set():
                try:
                    self._intake.put(batch, peer=peer, fields=fields)
                except QueueError as error:
                    self._pause(error)
                else:
                    with self._changed:
                        self._safe += len(batch)
                    break
        self._refused.clear()

    def _pause(self, error: QueueError) -> None:
        if not self._refused.is_set():
            log.warning("syslog: reading is paused, the queue takes nothing: %s", error)
        self._refused.set()
        if not self._closing.wait(error.retry_after_s):
            return
        self._given_up.wait(_CLOSING_RETRY_S)


def _divide(messages: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield the messages in batches, limited by number and size."""
    start = size = 0
    for index, message in enumerate(messages):
        if index > start and (index - start >= _BATCH_MESSAGES or size + len(message) > _BATCH_BYTES):
            yield messages[start:index]
            start, size = index, 0
        size += len(message)
    yield messages[start:]
