from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from mozdef_core.casework import processes
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import upgrade
from mozdef_core.errors import BookUnavailableError
from mozdef_core.event import now_us
from mozdef_core.services import heartbeat as module
from mozdef_core.services.heartbeat import Heartbeat


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SqlBook]:
    upgrade(f"sqlite:///{tmp_path / 'casework.db'}")
    book = SqlBook(f"sqlite:///{tmp_path / 'casework.db'}")
    yield book
    book.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.001)


class Counting:
    """A snapshot that counts how often it was taken, and can be waited for."""

    def __init__(self, enough: int = 3) -> None:
        self.taken = 0
        self.enough = enough
        self.reached = threading.Event()

    def __call__(self) -> dict[str, Any]:
        self.taken += 1
        if self.taken > self.enough:  # so that the one before is written
            self.reached.set()
        return {"taken": self.taken}


def test_what_a_process_counts_is_written_again_and_again(book: SqlBook) -> None:
    before_us, counting = now_us(), Counting()
    with Heartbeat(book, "worker", counting):
        assert counting.reached.wait(10)
    with book.database.read() as session:
        (report,) = processes.reports(session)
    assert (report.role, report.process) == ("worker", str(os.getpid()))
    assert report.counters["taken"] == counting.taken > 3
    assert before_us <= report.heartbeat_us <= now_us()


def test_it_ends_with_its_block(book: SqlBook) -> None:
    with Heartbeat(book, "worker", Counting()):
        assert "heartbeat" in [thread.name for thread in threading.enumerate()]
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]


class Failing:
    """A book whose database fails as often as it is told, and then goes on failing after one success."""

    def __init__(self, failures: int) -> None:
        self.database = self
        self.calls = 0
        self.failures = failures
        self.reached = threading.Event()

    @contextmanager
    def write(self) -> Iterator[None]:
        self.calls += 1
        if self.calls > 2 * self.failures:
            self.reached.set()
        if self.calls != self.failures + 1:
            raise BookUnavailableError("the database is locked")
        yield None


def test_an_outage_is_told_once_and_the_next_one_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(processes, "report", lambda *_: None)
    book = Failing(3)
    with caplog.at_level(logging.WARNING), Heartbeat(cast(SqlBook, book), "worker", dict):
        assert book.reached.wait(10)
    assert caplog.messages == ["the heartbeat of the worker is late: the database is locked"] * 2
