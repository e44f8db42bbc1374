"""Writing events in bulk: every event is stored, known already, or handed back with the reason; none is lost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Change, Event
from mozdef_core.indices.catalogue import Catalogue
from mozdef_core.indices.engine import Answer, Engine, describe, error_types, hint, reason, unavailable
from mozdef_core.indices.names import Name, Names, day_of_id, name_of
from mozdef_core.ports import StoreRefusal
from mozdef_core.query.dsl.document import FOREIGN, Layout

_OF_THE_DOCUMENT: Final = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "mapping_exception",
        "parsing_exception",
        "parse_exception",
        "x_content_parse_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
        "max_bytes_length_exceeded_exception",
        "json_parse_exception",
        "stream_constraints_exception",
    }
)
"""Errors with status 400 that are about the document; any other says something about the index or the cluster."""

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_MOST_AT_ONCE: Final = 5_000
_LONGEST_REASON: Final = 500


class _Line(NamedTuple):
    """An event on its way: its two lines for ``_bulk``.

    :param fallback: whether its details are one string already.
    """

    event: Event
    name: Name
    lines: bytes
    fallback: bool


class Writing:
    """One call of ``write``: it is made anew for each.

    :param catalogue: makes the index of a day and class be there.
    :param sleep: how to wait between tries.
    """

    def __init__(
        self,
        engine: Engine,
        names: Names,
        layout: Layout,
        catalogue: Catalogue,
        *,
        patience_s: float,
        bulk_bytes: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._names = names
        self._layout = layout
        self._catalogue = catalogue
        self._patience_s = patience_s
        self._bulk_bytes = bulk_bytes
        self._sleep = sleep
        self.refusals: list[StoreRefusal] = []
        self.touched: set[Name] = set()

    def run(self, events: Sequence[Event]) -> None:
        """Store the events; each is tried until it is stored, refused, or the time is up.

        :raises StoreUnavailableError: the time is up. What was stored until then is known when it comes again.
        """
        deadline_s = time.monotonic() + self._patience_s
        for batch in self._batches(self._lines(events)):
            waiting, pause_s = batch, _FIRST_PAUSE_S
            while waiting:
                waiting, trouble = self._send(waiting)
                if trouble is None:
                    continue
                if time.monotonic() + pause_s > deadline_s:
                    raise trouble
                self._sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311  # spreads retries, no secret
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _lines(self, events: Sequence[Event]) -> Iterator[_Line]:
        """Yield the lines of the events that can be stored, and note the others as refused."""
        for event in events:
            try:
                name = name_of(event)
            except ValueError as error:
                self.refusals.append(StoreRefusal(event, str(error)))
                continue
            line = self._line(event, name)
            if line is not None:
                yield line

    def _line(self, event: Event, name: Name) -> _Line | None:
        try:
            return _Line(event, name, self._encode(event, name), fallback=False)
        except (TypeError, ValueError, RecursionError) as error:
            return self._fall_back(event, name, f"{type(error).__name__}: {error}")

    def _encode(self, event: Event, name: Name) -> bytes:
        document = self._layout.document(event)
        if day_of_id(event.id) != name.day:
            document.setdefault("odd", []).append(FOREIGN)
        action = {"create": {"_index": self._names.index(name), "_id": event.id}}
        return orjson.dumps(action) + b"\n" + orjson.dumps(document) + b"\n"

    def _fall_back(self, event: Event, name: Name, why: str) -> _Line | None:
        """Return the line of an event with its details as one string, None when it has been refused."""
        if "details" in event.body:
            try:
                text = json.dumps(event.body["details"], ensure_ascii=False, default=str)
                changed = event.with_change(Change(set={"details": {"fallback": text}}))
                return _Line(event, name, self._encode(changed, name), fallback=True)
            except (TypeError, ValueError, RecursionError) as error:
                why = f"{type(error).__name__}: {error}"
        self.refusals.append(StoreRefusal(event, why[:_LONGEST_REASON]))
        return None

    def _batches(self, lines: Iterator[_Line]) -> Iterator[list[_Line]]:
        batch: list[_Line] = []
        size = 0
        for line in lines:
            if batch and (size + len(line.lines) > self._bulk_bytes or len(batch) >= _MOST_AT_ONCE):
                yield batch
                batch, size = [], 0
            batch.append(line)
            size += len(line.lines)
        if batch:
            yield batch

    def _send(self, batch: list[_Line]) -> tuple[list[_Line], StoreUnavailableError | None]:
        """Send a batch once; return what has to be sent again, and why if only later.

        :raises StoreUnavailableError: trying again is of no use.
        """
        try:
            for name in {line.name for line in batch}:
                self._catalogue.provide(name)
                self.touched.add(name)
            answer = self._engine.perform("POST", "/_bulk", body=b"".join(line.lines for line in batch))
        except StoreUnavailableError as error:
            return batch, error
        if answer.status == 413 or (answer.status == 400 and isinstance(answer.body, dict)):
            return self._halve(
                batch, answer
            )  # a 400 that is no JSON comes from a proxy, and is about no event
        if answer.status in (401, 403):
            raise unavailable("the events cannot be written", answer)
        if not answer.ok or not isinstance(answer.body, dict):
            return batch, unavailable("the events cannot be written", answer)
        if not answer.body.get("errors"):
            return [], None
        return self._sort_out(batch, answer.body["items"])

    def _halve(self, batch: list[_Line], answer: Answer) -> tuple[list[_Line], StoreUnavailableError | None]:
        """Send a batch that a node will not read in halves, down to the event that it is about."""
        if len(batch) == 1:
            size = (
                f"a request of {len(batch[0].lines):,} bytes is too large"
                if answer.status == 413
                else reason(answer)
            )
            return self._refused(batch[0], size), None
        middle = len(batch) // 2
        again: list[_Line] = []
        trouble: StoreUnavailableError | None = None
        for half in (batch[:middle], batch[middle:]):
            rest, later = self._send(half)
            again += rest
            trouble = later or trouble
        return again, trouble

    def _sort_out(
        self, batch: list[_Line], items: Sequence[Any]
    ) -> tuple[list[_Line], StoreUnavailableError | None]:
        """Look at what became of each event."""
        again: list[_Line] = []
        trouble: StoreUnavailableError | None = None
        for line, item in zip(batch, items, strict=True):
            result = item["create"]
            status = result["status"]
            if status < 300 or status == 409:  # stored now, or stored before
                continue
            error = result.get("error")
            if status == 400 and not _OF_THE_DOCUMENT.isdisjoint(error_types(error)):
                again += self._refused(line, describe(error))
                continue
            again.append(line)
            if status == 404:
                self._catalogue.forget(line.name)
            known = hint(Answer(status, {"error": error}))
            trouble = StoreUnavailableError(
                f"the events cannot be written: {known or f'{status}: {describe(error)}'[:_LONGEST_REASON]}"
            )
        return again, trouble

    def _refused(self, line: _Line, why: str) -> list[_Line]:
        """Return the line to try instead of one that the engine will not take."""
        if line.fallback:
            self.refusals.append(StoreRefusal(line.event, why[:_LONGEST_REASON]))
            return []
        fallback = self._fall_back(line.event, line.name, why)
        return [] if fallback is None else [fallback]
