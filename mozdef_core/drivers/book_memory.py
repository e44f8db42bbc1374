"""An alert book in memory, for tests and for plugin authors; it passes the same contract as the real one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from mozdef_core.alert import Alert
from mozdef_core.drivers.ledger_memory import MemoryLedger
from mozdef_core.drivers.letters_memory import before, due
from mozdef_core.event import now_us
from mozdef_core.ports import (
    PRUNE_STEP,
    AlertBook,
    BatchRecord,
    DeadLetter,
    Keep,
    OwedSpan,
    Pruned,
    StateDocument,
)

MERGE_US: Final = 60_000_000


@dataclass(slots=True)
class _Owed:
    span: OwedSpan
    due_us: int
    version: int = 1
    failures: int = 0


class MemoryBook(MemoryLedger, AlertBook):
    """Keeps everything in attributes that a test may look at.

    :param repeat: how often at most an alert tells the actions that it was extended.
    :param clock: the time, in microseconds since 1970.
    """

    def __init__(self, *, repeat: timedelta = timedelta(hours=1), clock: Callable[[], int] = now_us) -> None:
        super().__init__(repeat, clock)
        self.dead_letters: dict[str, DeadLetter] = {}
        self.states: dict[tuple[str, str], StateDocument] = {}
        self.letters_lost = 0
        self._owed: dict[int, _Owed] = {}
        self._spans_owed = 0

    def record(self, batch: BatchRecord) -> Sequence[Alert]:
        """Keep all that a batch leaves; see :meth:`AlertBook.record`."""
        with self._lock:
            if batch.arrivals:
                self._batches += 1
                self.arrivals.update(dict.fromkeys(batch.arrivals, self._batches))
            for span in batch.owed:
                self._owe(span)
            for letter in batch.dead_letters:
                known = self.dead_letters.get(letter.id, letter)
                self.dead_letters[letter.id] = replace(
                    known, stage=letter.stage, code=letter.code, reason=letter.reason, plugin=letter.plugin
                )
            for letter_id, ids in batch.replayed.items():
                if (found := self.dead_letters.get(letter_id)) is not None:
                    joined = tuple(dict.fromkeys([*found.replayed_as, *ids]))
                    self.dead_letters[letter_id] = replace(found, status="replayed", replayed_as=joined)
            for state in batch.states:
                predecessor = self.states.get((state.collection, state.id), state)
                if predecessor.time_us <= state.time_us:
                    self.states[state.collection, state.id] = state
            return self._store(batch.alerts)

    def _owe(self, span: OwedSpan) -> None:
        now = self._clock()
        newest = max((key for key, owed in self._owed.items() if self._grows(owed, span)), default=None)
        if (
            newest is None
            or now - self._owed[newest].due_us > MERGE_US
            or span.first < self._owed[newest].span.first
        ):
            self._spans_owed += 1
            self._owed[self._spans_owed] = _Owed(span, now)
        elif span.last > self._owed[newest].span.last:
            owed = self._owed[newest]
            owed.span = owed.span._replace(last=span.last)
            owed.version += 1

    @staticmethod
    def _grows(owed: _Owed, span: OwedSpan) -> bool:
        return owed.span.rule == span.rule and not owed.failures

    def owed_spans(
        self, rules: Collection[str], now_us: int, most: int = 100
    ) -> Sequence[tuple[str, OwedSpan, int]]:
        """Return due spans; see :meth:`AlertBook.owed_spans`."""
        with self._lock:
            due = [
                (f"{number}.{owed.version}", owed.span, owed.failures)
                for number, owed in self._owed.items()
                if owed.span.rule in rules and owed.due_us <= now_us
            ]
            return due[:most]

    def settle_owed(self, key: str, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Store what was found in an owed span and forget it; see :meth:`AlertBook.settle_owed`."""
        with self._lock:
            number, version = map(int, key.split("."))
            if number in self._owed and self._owed[number].version == version:
                del self._owed[number]
            return self._store(alerts)

    def fail_owed(self, key: str, reason: str, due_us: int) -> None:
        """Put an owed span off; see :meth:`AlertBook.fail_owed`."""
        with self._lock:
            owed = self._owed.get(int(key.split(".")[0]))
            if owed is not None:
                owed.failures += 1
                owed.due_us = due_us
                owed.span = owed.span._replace(reason=reason)

    def prune(self, keep: Keep) -> Pruned:
        """Remove a little of what has been kept long enough; see :meth:`AlertBook.prune`. Processes stay."""
        with self._lock:
            now = self._clock()
            minute = before(now, keep.journal) // MERGE_US
            arrivals = sorted(each for each in self.arrivals if each < minute)[:PRUNE_STEP]
            closed = (
                alert_id for alert_id, at_us in self._closed_us.items() if at_us < before(now, keep.spans)
            )
            spans = [alert_id for alert_id in closed if alert_id in self._spans][:PRUNE_STEP]
            settled, lost = due(self.dead_letters.values(), keep, now)
            for each in arrivals:
                del self.arrivals[each]
            for alert_id in spans:
                self._spans.remove(alert_id)
            for letter in (*settled, *lost):
                del self.dead_letters[letter.id]
            self.letters_lost += len(lost)
            gone = Pruned(arrivals=len(arrivals), spans=len(spans), letters=len(settled), lost=len(lost))
            return gone.plus(self._prune_ledger(keep, now))
