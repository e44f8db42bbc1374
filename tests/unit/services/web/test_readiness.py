from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from mozdef_core.casework import migration, processes
from mozdef_core.casework.database import Database
from mozdef_core.errors import BookUnavailableError
from mozdef_core.event import now_us
from mozdef_core.services.web import readiness
from mozdef_core.services.web.readiness import Readiness


class Book:
    """A casework database that can be away, or hang until it is let go."""

    def __init__(self, tmp_path):
        url = f"sqlite:///{tmp_path}/casework.sqlite"
        migration.upgrade(url)
        self._real = Database(url)
        self.away = False
        self.gate = None
        self.looked = 0
        self.database = self

    @contextmanager
    def read(self):
        self.looked += 1
        if self.gate is not None:
            self.gate.wait(10)
        if self.away:
            raise BookUnavailableError("the casework database cannot be used: gone")
        with self._real.read() as session:
            yield session

    def say(self, role="worker", *, ago_s=0, error=None, process="7"):
        with self._real.write() as session:
            counters = {"worker": {"last_error": error}} if role == "worker" else {}
            processes.report(session, role, process, counters, now_us() - ago_s * 1_000_000)


@pytest.fixture
def book(tmp_path):
    made = Book(tmp_path)
    yield made
    made._real.close()


def ready(book, *, needs_tokens=False):
    return Readiness(book, needs_tokens=needs_tokens, load=lambda: {"reading": 3})


def test_a_worker_that_speaks_and_complains_of_nothing_is_all_that_is_asked(book):
    book.say()
    found = ready(book).look()
    assert (found.degraded, found.refusing) == ((), None)
    assert found.parts["database"] == {"ok": True}
    assert found.parts["bodies"] == {"reading": 3}
    assert [(one["process"], one["error"]) for one in found.parts["workers"]] == [("7", None)]


@pytest.mark.parametrize("reports", [[], [("worker", 11)], [("scheduler", 0), ("web", 0)]])
def test_a_worker_that_is_silent_degrades_the_service(book, reports):
    for role, ago_s in reports:
        book.say(role, ago_s=ago_s)
    found = ready(book, needs_tokens=True).look()
    assert found.degraded == ("no worker has said anything for 10 s; what is accepted waits in the queue",)
    assert found.refusing is None
    assert found.parts["workers"] == []


def test_a_worker_that_cannot_go_on_says_why(book):
    book.say(error="the store cannot be written: disk full")
    book.say(process="8")
    found = ready(book).look()
    assert found.degraded == ("the worker 7 waits: the store cannot be written: disk full",)


@pytest.mark.parametrize("needs_tokens", [True, False])
def test_without_the_database_events_are_refused_only_where_tokens_must_be_checked(book, needs_tokens):
    book.away = True
    found = ready(book, needs_tokens=needs_tokens).look()
    assert "gone" in found.degraded[0]
    assert (found.refusing is not None) is needs_tokens
    assert found.parts["database"]["ok"] is False


def test_a_look_is_remembered_for_a_second(book, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(readiness.time, "monotonic", lambda: now_s[0])
    book.say()
    made = ready(book)
    for _ in range(5):
        made.look()
    assert book.looked == 1
    now_s[0] += 1.1
    book.away = True
    assert made.look().degraded
    assert book.looked == 2


def test_while_the_database_hangs_only_one_thread_waits_for_it(book, monkeypatch):
    book.say()
    made = ready(book)
    made.look()
    monkeypatch.setattr(readiness, "_REMEMBERED_S", -1)
    book.gate = threading.Event()
    waiting = threading.Thread(target=made.look)
    waiting.start()
    try:
        while book.looked < 2:
            pass
        assert made.look().degraded == ()
        assert book.looked == 2
    finally:
        book.gate.set()
        waiting.join()
