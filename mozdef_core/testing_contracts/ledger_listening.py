"""The part of the ledger's contract about listening and the watermark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

from mozdef_core.ports import AlertBook
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US
from mozdef_core.testing_contracts.ledger_runs import FIRST_MINUTE


class ListeningContract:
    """Listening; see :class:`~mozdef_core.testing_contracts.ledger.LedgerContract`."""

    def report(
        self, book: AlertBook, role: str, process: str, counters: Mapping[str, Any], at_us: int
    ) -> None:
        """Do what a process does that says at a time what it counts."""
        raise NotImplementedError

    WORKER: Final = {"worker": {"watermark_us": START_US}, "queue": {"items": 0, "oldest_us": None}}

    @pytest.mark.parametrize(
        ("reports", "listening"),
        [
            ([("web", {}), ("worker", WORKER)], True),
            ([("worker", {**WORKER, "inputs": {"syslog": {"running": True}}})], True),
            ([("worker", {**WORKER, "inputs": {"syslog": {"running": False}}})], False),
            ([("worker", WORKER)], False),
            ([("web", {})], False),
            ([("web", {}), ("worker", {"queue": {"error": "it is away"}})], False),
            ([("web", {}), ("worker", {})], False),
            ([("web", {}), ("scheduler", {"queue": {"items": 0}})], False),
            ([], False),
        ],
    )
    def test_a_minute_counts_in_which_entrance_queue_and_worker_were_up(
        self, book: AlertBook, reports: Sequence[tuple[str, Mapping[str, Any]]], listening: bool
    ) -> None:
        for role, counters in reports:
            self.report(book, role, "1", counters, START_US)
        expected = [FIRST_MINUTE] if listening else []
        assert list(book.listened(START_US - 3600 * SECOND, START_US + 3600 * SECOND)) == expected

    def test_minutes_that_a_span_only_touches_count_too(self, book: AlertBook) -> None:
        minutes = [FIRST_MINUTE, FIRST_MINUTE + 1, FIRST_MINUTE + 3, FIRST_MINUTE + 4]
        for minute in reversed(minutes):
            for role, counters in (("web", {}), ("worker", self.WORKER)):
                self.report(book, role, "1", counters, minute * MINUTE + 5)
        assert list(book.listened(FIRST_MINUTE * MINUTE + 59 * SECOND, minutes[3] * MINUTE + 1)) == minutes
        assert list(book.listened(minutes[1] * MINUTE, minutes[3] * MINUTE)) == minutes[1:3]

    def holds(self, book: AlertBook, process: str, held: float, waiting: float | None, at: float) -> None:
        """Have a worker report what it holds and what waits, in seconds from the start."""
        oldest_us = None if waiting is None else START_US + int(waiting * SECOND)
        counters = {
            "worker": {"watermark_us": START_US + int(held * SECOND)},
            "queue": {"oldest_us": oldest_us},
        }
        self.report(book, "worker", process, counters, START_US + int(at * SECOND))

    def test_the_watermark_is_the_least_of_what_live_workers_hold_and_what_waits(
        self, book: AlertBook
    ) -> None:
        now_us = START_US + 100 * SECOND
        assert book.watermark(now_us) == 0
        self.holds(book, "1", 98, None, 99)
        self.holds(book, "2", 97, None, 90.000001)
        self.holds(book, "3", 50, None, 90)
        assert book.watermark(now_us) == START_US + 97 * SECOND
        self.holds(book, "2", 109, 108, 109)
        self.holds(book, "1", 110, None, 110)
        assert book.watermark(START_US + 110 * SECOND) == START_US + 108 * SECOND

    def test_the_watermark_never_falls_and_is_never_ahead_of_the_present(self, book: AlertBook) -> None:
        self.holds(book, "1", 80, None, 99)
        assert book.watermark(START_US + 100 * SECOND) == START_US + 80 * SECOND
        self.holds(book, "1", 40, None, 101)
        assert book.watermark(START_US + 102 * SECOND) == START_US + 80 * SECOND
        self.holds(book, "1", 500, None, 103)
        assert book.watermark(START_US + 104 * SECOND) == START_US + 104 * SECOND
        assert book.watermark(START_US + 900 * SECOND) == START_US + 104 * SECOND

    @pytest.mark.parametrize(
        "counters",
        [{"worker": {"watermark_us": START_US + 50 * SECOND}, "queue": {"error": "it is away"}}, {}],
    )
    def test_a_live_worker_that_cannot_tell_holds_the_watermark(
        self, book: AlertBook, counters: Mapping[str, Any]
    ) -> None:
        self.holds(book, "1", 40, None, 40)
        assert book.watermark(START_US + 40 * SECOND) == START_US + 40 * SECOND
        self.holds(book, "1", 60, None, 60)
        self.report(book, "worker", "2", counters, START_US + 60 * SECOND)
        assert book.watermark(START_US + 61 * SECOND) == START_US + 40 * SECOND
        self.holds(book, "1", 70, None, 70)
        assert book.watermark(START_US + 70 * SECOND) == START_US + 70 * SECOND
