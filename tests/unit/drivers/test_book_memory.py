from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from mozdef_core.alert import Status
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.ports import AlertBook
from mozdef_core.testing_contracts.book import AlertBookContract


class TestMemoryBook(AlertBookContract):
    def open_book(self, path: Path, clock: Callable[[], int], repeat: timedelta) -> AlertBook:
        return MemoryBook(repeat=repeat, clock=clock)

    def set_status(self, book: AlertBook, alert_id: str, status: Status) -> None:
        assert isinstance(book, MemoryBook)
        book.set_status(alert_id, status)

    def letter_ids(self, book: AlertBook) -> Collection[str]:
        assert isinstance(book, MemoryBook)
        return book.dead_letters.keys()

    def letters_lost(self, book: AlertBook) -> int:
        assert isinstance(book, MemoryBook)
        return book.letters_lost

    def report(
        self, book: AlertBook, role: str, process: str, counters: Mapping[str, Any], at_us: int
    ) -> None:
        assert isinstance(book, MemoryBook)
        book.report(role, process, counters, at_us)

    def removed(self, book: AlertBook, exception: str) -> int:
        assert isinstance(book, MemoryBook)
        return book.excepted.get(exception, 0)

    def kept_for_good(self, book: AlertBook) -> Mapping[str, object]:
        assert isinstance(book, MemoryBook)
        return {
            "alerts": dict(book.alerts),
            "history": list(book.history),
            "states": dict(book.states),
            "outbox": list(book._outbox),
        }
