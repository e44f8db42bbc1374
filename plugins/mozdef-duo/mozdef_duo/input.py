"""The input itself: what the core finds under the entry point ``duo``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mozdef_core import Input, Intake, QueueError
from mozdef_duo.answers import BusyError, wait_s
from mozdef_duo.api import PAGE, PLACES, Api, Place
from mozdef_duo.position import Position
from mozdef_duo.progress import Fresh, Progress, time_of
from mozdef_duo.record import read_record, wrap_record
from mozdef_duo.settings import DuoOptions, Log

log = logging.getLogger(__name__)


class DuoInput(Input[DuoOptions]):
    """Asks Duo for what is new in its logs, again and again."""

    Options = DuoOptions
    kind = "duo"
    decoder = "duo"

    def __init__(self, options: DuoOptions) -> None:
        super().__init__(options)
        self._position: Position | None = None
        self._fields = {"hostname": options.host, "tags": ["duosecurity", *options.tags]}

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        """Read one record; see :mod:`mozdef_duo.record`."""
        return read_record(raw)

    def bind(self) -> None:
        """Open and lock the positions; the first time, note since when records are wanted.

        :raises OSError: that is not possible; the text names the file.
        """
        if self._position is None:
            self._position = Position(self.options.state_dir, self.options.host)
            begin_ms = int((time.time() - self.options.start.total_seconds()) * 1_000)
            begun: dict[str, Any] = {name: {"newest_ms": begin_ms, "seen": {}} for name in self.options.logs}
            self._position.save({**begun, **self._position.fields})

    def run(self, intake: Intake, stop: threading.Event) -> None:
        """Ask until ``stop`` is set.

        :raises RefusedError: Duo refuses, and the operator has to do something.
        """
        self.bind()
        position, self._position = self._position, None
        if position is None:
            return
        api = Api(self.options)
        failures = 0
        try:
            while not stop.is_set():
                try:
                    for name in self.options.logs:
                        _Reading(name, api, position, self.options, self._fields, intake, stop).catch_up()
                except BusyError as error:
                    failures += 1
                    if failures == 1:
                        log.warning("duo does not answer and is asked again until it does: %s", error)
                    stop.wait(wait_s(failures, error.retry_after_s))
                else:
                    if failures:
                        log.warning("duo answers again")
                    failures = 0
                    stop.wait(self.options.interval.total_seconds())
        finally:
            api.close()
            position.close()


class _Reading:
    """One look at one log."""

    def __init__(
        self,
        name: Log,
        api: Api,
        position: Position,
        options: DuoOptions,
        fields: Mapping[str, Any],
        intake: Intake,
        stop: threading.Event,
    ) -> None:
        kept = position.fields[name]
        overlap_ms = int(options.overlap.total_seconds() * 1_000)
        self._progress = Progress(kept["newest_ms"], kept["seen"], overlap_ms)
        self._name: Log = name
        self._place: Place = PLACES[name]
        self._api = api
        self._position = position
        self._fields = fields
        self._intake = intake
        self._stop = stop

    def catch_up(self) -> None:
        """Hand over all that is new, page by page; the position moves when the queue has a page."""
        if self._place.listed:
            until_ms = int(time.time() * 1_000)
            for records in self._api.pages(self._place, min(self._progress.since_ms, until_ms - 1), until_ms):
                if self._stop.is_set() or not self._hand_over(records):
                    return
            return
        since_ms = self._progress.since_ms
        while not self._stop.is_set():
            records = self._api.page(self._place, since_ms)
            if not self._hand_over(records) or len(records) < PAGE:
                return
            last_ms = max((ms for record in records if (ms := time_of(record)) is not None), default=since_ms)
            if last_ms // 1_000 <= since_ms // 1_000:
                log.warning(
                    "duo: more than %d records of %s in one second; the rest is lost", PAGE, self._name
                )
                last_ms = since_ms + 1_000
            since_ms = last_ms

    def _hand_over(self, records: Sequence[Any]) -> bool:
        """Put what is new among records; return False if told to stop before the queue has it."""
        fresh = self._progress.fresh(records, self._place.id)
        if not fresh:
            return True
        if not self._put(fresh):
            return False
        self._progress.advance(fresh, int(time.time() * 1_000))
        self._position.save({**self._position.fields, self._name: self._progress.to_dict()})
        return True

    def _put(self, fresh: Sequence[Fresh]) -> bool:
        raw = [wrap_record(self._name, one.record) for one in fresh]
        ids = [f"{self._name}:{one.id}" for one in fresh]
        while True:
            try:
                self._intake.put(raw, sender_ids=ids, fields=self._fields)
            except QueueError as error:
                if self._stop.wait(error.retry_after_s):
                    return False
            else:
                return True
