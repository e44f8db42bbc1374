"""The process that writes an embedded store: it does what it is told over a pipe, and ends with the one that tells it.

:class:`~mozdef_core.drivers.tantivy_writer_process.WriterProcess` starts it as ``python -m ... DIRECTORY``, where the
directory stands for whoever reads ``ps``. Requests come on standard input, answers go to what was standard output.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any, Final

import orjson

from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_shelf import StoreLockedError
from mozdef_core.drivers.tantivy_writer_frames import receive, send
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Event

_NAME: Final = b"mozdef-writer"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_BUFFER_BYTES: Final = 262_144


class _Records(logging.Handler):
    """Keeps log records until they go with an answer, so that they are logged where the others are."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._kept: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._kept.append((record.name, record.levelno, record.getMessage()))

    def take(self) -> list[tuple[str, int, str]]:
        """Return logger, level and text of those that were kept, and keep them no longer."""
        kept, self._kept = self._kept, []
        return kept


def main(path: Path) -> None:
    """Serve one store until its user closes it or is gone."""
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # they reach the whole group; whoever drains tells us when to end
        signal.signal(number, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, _NAME)
    records = _Records()
    logging.basicConfig(level=logging.INFO, handlers=[records])
    requests, answers = _take_pipes()
    try:
        _serve(path, requests, answers, records)
    except (EOFError, BrokenPipeError):
        return  # whoever told us has gone; what was not committed comes again


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Return the two pipes and put others in their places: nothing that prints or reads can get between the frames."""
    requests = os.fdopen(os.dup(0), "rb", _BUFFER_BYTES)
    answers = os.fdopen(os.dup(1), "wb", _BUFFER_BYTES)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _serve(path: Path, requests: IO[bytes], answers: IO[bytes], records: _Records) -> None:
    head, _ = receive(requests)
    if os.getppid() != head["parent"]:  # it died before the kernel was asked to tell
        return
    try:
        store = _open(path, head["options"], head["lock_s"])
    except StoreUnavailableError as error:
        send(answers, {"error": str(error), "log": records.take()})
        return
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # events are trees without cycles
    send(answers, {"log": records.take()})
    try:
        while True:
            head, parts = receive(requests)
            if head["call"] == "close":
                break
            try:
                answer = _answer(store, head, parts)
            except StoreUnavailableError as error:
                answer = {"error": str(error)}
            send(answers, {**answer, "log": records.take()})
    finally:
        store.close()


def _open(path: Path, options: dict[str, Any], lock_s: float) -> TantivyStore:
    """Open the store; a writer that is just ending is waited for.

    :raises StoreUnavailableError: it cannot be opened, or there is another writer, which stays.
    """
    deadline_s = time.monotonic() + lock_s
    while True:
        try:
            return TantivyStore(TantivyStore.Options(**options), path, "writer")
        except StoreLockedError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(0.05)


def _answer(store: TantivyStore, head: dict[str, Any], parts: list[bytes]) -> dict[str, Any]:
    if head["call"] == "drop_before":
        return {"dropped": store.drop_before(head["day"], head["retention_class"])}
    events = [Event(event_id, orjson.loads(raw)) for event_id, raw in zip(head["ids"], parts, strict=True)]
    refusals = store.write(events, maybe_known=head["maybe_known"])
    if not refusals:
        return {"refusals": []}
    places = {id(event): place for place, event in enumerate(events)}
    return {"refusals": [(places[id(refusal.event)], refusal.reason) for refusal in refusals]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
