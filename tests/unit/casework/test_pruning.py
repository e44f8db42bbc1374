"""Pruning of the casework database: what only this book has, and what changes between looking and removing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from mozdef_core.alert import Status
from mozdef_core.casework import audit, dead_letters, processes, pruning
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.database import next_number
from mozdef_core.casework.models import LivenessRow, SpanRow
from mozdef_core.casework.transitions import Step
from mozdef_core.casework.triage import set_status
from mozdef_core.event import LATE_HORIZON_S
from mozdef_core.ports import BatchRecord, DeadLetter, Keep, Origin, Pruned
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at, finding

DAY_S = 86_400
FOR_EVER = Keep(None, None, None, 1 << 40)
INES = audit.Actor("ines")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(url: str, clock: Clock) -> Iterator[SqlBook]:
    opened = SqlBook(url, clock=clock)
    yield opened
    opened.close()


def letters(book: SqlBook, number: int, raw: bytes = b"x") -> None:
    origin = Origin("events", "http")
    book.record(
        BatchRecord(
            dead_letters=[
                DeadLetter(f"id{each}", START_US + each, origin, "parse", "c", "", raw)
                for each in range(number)
            ]
        )
    )


def test_a_minute_of_listening_stays_as_long_as_the_journal(book: SqlBook, clock: Clock) -> None:
    for minutes in (0, 1):
        with book.database.write() as session:
            processes.report(session, "web", "1", {}, START_US + minutes * MINUTE)
    clock.us = START_US - START_US % MINUTE
    clock.pass_by(10 * DAY_S + LATE_HORIZON_S + 7 * DAY_S)
    with book.database.write() as session:
        processes.report(session, "web", "1", {}, clock.us)
    assert book.prune(Keep(timedelta(days=10))) == Pruned()
    clock.pass_by(60)
    assert book.prune(FOR_EVER) == Pruned()
    assert book.prune(Keep(timedelta(days=10))) == Pruned(liveness=1)
    with book.database.read() as session:
        assert min(session.scalars(select(LivenessRow.minute))) == START_US // MINUTE + 1


def test_a_process_that_has_been_silent_for_an_hour_is_forgotten(book: SqlBook, clock: Clock) -> None:
    for process, silent_s in (("1", 3600), ("2", 3600.000001), ("3", 0)):
        with book.database.write() as session:
            processes.report(session, "worker", process, {}, START_US - int(silent_s * SECOND))
    assert book.prune(FOR_EVER) == Pruned(processes=1)
    with book.database.read() as session:
        assert [each.process for each in processes.reports(session)] == ["3", "1"]
    assert book.prune(FOR_EVER) == Pruned()


def test_a_step_frees_few_megabytes_however_few_letters_that_is(
    book: SqlBook, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "STEP_BYTES", 2_500)
    letters(book, 12, b"x" * 1_000)
    assert book.prune(Keep(None, letters_bytes=100)) == Pruned(lost=3)
    clock.pass_by(DAY_S)
    for lost in (3, 3, 3, 0):
        assert book.prune(Keep(None, open_letters=timedelta(0))) == Pruned(lost=lost)


def test_nothing_is_locked_where_nothing_is_due(book: SqlBook) -> None:
    letters(book, 3)
    with book.database.write() as session:  # who would write now would wait for ten seconds, and fail
        next_number(session, "n")
        assert book.prune(Keep(timedelta(days=1))) == Pruned()


def test_what_somebody_has_dealt_with_since_it_was_chosen_is_not_removed_as_lost(book: SqlBook) -> None:
    letters(book, 3)
    with book.database.write() as session:
        dead_letters.discard(session, "id1", INES)
        chosen = dead_letters.due(session, Keep(None, timedelta(0), timedelta(0)), START_US + 10, 100)
    assert chosen == dead_letters.Due(["id1"], ["id0", "id2"])
    book.record(BatchRecord(replayed={"id2": ["event"]}))
    with book.database.write() as session:
        assert dead_letters.remove(session, chosen) == (1, 1)
        assert dead_letters.counts(session) == {"replayed": 1, "lost": 1}


def test_a_process_that_has_spoken_since_it_was_chosen_is_not_forgotten(book: SqlBook) -> None:
    now_us = START_US + 2 * 3600 * SECOND
    with book.database.write() as session:
        processes.report(session, "worker", "1", {}, START_US)
        chosen = processes.silent(session, now_us, 10)
        processes.report(session, "worker", "1", {}, now_us)
        assert (list(chosen), processes.remove(session, chosen, now_us)) == ([("worker", "1")], 0)


def test_the_span_of_an_alert_that_was_opened_again_since_it_was_chosen_stays(book: SqlBook) -> None:
    (alert,) = book.record(BatchRecord(alerts=[finding(event_at(0))]))
    for step in (Step(Status.CLOSED, verdict="benign"), Step(Status.MANUAL, "there is more to it")):
        with book.database.write() as session:
            set_status(session, alert.id, step, INES, START_US)
    with book.database.write() as session:
        assert pruning._remove_spans(session, [alert.id]) == 0
        assert session.get(SpanRow, alert.id) is not None


def test_an_alert_without_a_span_is_opened_and_closed_again(book: SqlBook, clock: Clock) -> None:
    (alert,) = book.record(BatchRecord(alerts=[finding(event_at(0), group_s=60)]))

    def step(step: Step) -> None:
        with book.database.write() as session:
            set_status(session, alert.id, step, INES, clock())

    step(Step(Status.CLOSED, verdict="benign"))
    clock.pass_by(100 * DAY_S)
    assert book.prune(Keep(timedelta(days=10))) == Pruned(spans=1)
    step(Step(Status.MANUAL, "there is more to it"))
    (other,) = book.record(BatchRecord(alerts=[finding(event_at(30), group_s=60)]))
    assert other.id == finding(event_at(30)).minted_id
    step(Step(Status.CLOSED, verdict="benign"))
