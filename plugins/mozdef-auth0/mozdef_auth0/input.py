"""The input itself: what the core finds under the entry point ``auth0``."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from mozdef_auth0.answers import BusyError, RefusedError, wait_s
from mozdef_auth0.api import Api, id_of
from mozdef_auth0.position import Position
from mozdef_auth0.record import read_record
from mozdef_auth0.settings import Auth0Options
from mozdef_core import Input, Intake, QueueError

log = logging.getLogger(__name__)


class Auth0Input(Input[Auth0Options]):
    """Asks Auth0 for what is new in the log of a tenant, again and again."""

    Options = Auth0Options
    kind = "auth0"
    decoder = "auth0"

    def __init__(self, options: Auth0Options) -> None:
        super().__init__(options)
        self._position: Position | None = None
        self._fields = {"hostname": options.domain, "tags": ["auth0", *options.tags]}

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        """Read one record; see :mod:`mozdef_auth0.record`."""
        return read_record(raw)

    def bind(self) -> None:
        """Open and lock the position; the first time, note since when records are wanted.

        :raises OSError: that is not possible; the text names the file.
        """
        if self._position is None:
            self._position = Position(self.options.state_dir, self.options.domain)
            if not self._position.fields.get("since"):
                since = datetime.now(UTC) - self.options.start
                self._position.save(
                    {"since": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "log_id": None}
                )

    def run(self, intake: Intake, stop: threading.Event) -> None:
        """Ask until ``stop`` is set.

        :raises RefusedError: Auth0 refuses, and the operator has to do something.
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
                    self._catch_up(api, position, intake, stop)
                except BusyError as error:
                    failures += 1
                    if failures == 1:
                        log.warning("auth0 does not answer and is asked again until it does: %s", error)
                    stop.wait(wait_s(failures, error.retry_after_s))
                else:
                    if failures:
                        log.warning("auth0 answers again")
                    failures = 0
                    stop.wait(self.options.interval.total_seconds())
        finally:
            api.close()
            position.close()

    def _catch_up(self, api: Api, position: Position, intake: Intake, stop: threading.Event) -> None:
        """Hand over all that is new, page by page; the position moves when the queue has a page."""
        while not stop.is_set():
            since, log_id = position.fields["since"], position.fields.get("log_id")
            records = api.after(log_id) if log_id else api.first(since)
            if not records:
                return
            last = next((found for record in reversed(records) if (found := id_of(record))), None)
            if last is None or last == log_id:
                raise RefusedError(f"auth0 sent {len(records)} records after {log_id} without a new log id")
            if not self._put(intake, records, stop):
                return
            position.save({"since": since, "log_id": last})

    def _put(self, intake: Intake, records: Sequence[Any], stop: threading.Event) -> bool:
        """Put records, as often as it takes; return False if told to stop before the queue has them."""
        raw = [orjson.dumps(record) for record in records]
        ids = [
            id_of(record) or hashlib.sha256(one).hexdigest() for record, one in zip(records, raw, strict=True)
        ]
        while True:
            try:
                intake.put(raw, sender_ids=ids, fields=self._fields)
            except QueueError as error:
                if stop.wait(error.retry_after_s):
                    return False
            else:
                return True
