"""Since when rules are active: one start for all processes, and no catching up with the time in which one was off."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mozdef_core.casework import audit, rule_activity, rule_settings
from mozdef_core.casework.audit import Actor
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import upgrade
from mozdef_core.casework.rule_activity import OFF, ON_STREAM, Active
from mozdef_core.ports import BatchRecord, Interval, Outcome, RunState

MINUTE = 60_000_000
START = 29_000_000 * MINUTE
STREAM, SCHEDULE = Active("1", True), Active("1", False)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with the schema, to be copied, for making one takes two seconds."""
    path = tmp_path_factory.mktemp("migrated") / "casework.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def book(tmp_path: Path, migrated: Path) -> Iterator[SqlBook]:
    shutil.copy(migrated, tmp_path / "casework.db")
    made = SqlBook(f"sqlite:///{tmp_path / 'casework.db'}", clock=lambda: START)
    yield made
    made.close()


def begin(book: SqlBook, at_us: int, **rules: Active) -> dict[str, int]:
    with book.database.write() as session:
        return dict(rule_activity.begin(session, rules, at_us))


def end(book: SqlBook, at_us: int, *rules: str) -> None:
    with book.database.write() as session:
        rule_activity.end(session, rules, at_us)


def run(book: SqlBook, start_us: int, end_us: int) -> None:
    lease = book.lease("r", start_us, end_us, 10)
    assert lease is not None
    row = Interval("r", start_us, end_us, RunState.RAN, end_us)
    book.finish(lease, Outcome(row, cursor_us=end_us))
    book.release(lease)


def rows(book: SqlBook) -> list[tuple[int, int, str, str]]:
    found = book.intervals("r", 0, 2**62)
    return [
        ((r.start_us - START) // MINUTE, (r.end_us - START) // MINUTE, r.state.value, r.reason) for r in found
    ]


def test_all_processes_begin_with_a_version_of_a_rule_at_the_same_time(book: SqlBook) -> None:
    assert begin(book, START, r=STREAM) == {"r": START}
    assert begin(book, START + 7, r=STREAM) == {"r": START}
    newer = Active("2", True)
    assert begin(book, START + 9, r=newer, s=STREAM) == {"r": START + 9, "s": START + 9}
    assert begin(book, START + 11, s=STREAM, r=newer) == {"r": START + 9, "s": START + 9}


def test_a_rule_that_was_off_goes_on_from_when_it_comes_back(book: SqlBook) -> None:
    begin(book, START, r=SCHEDULE)
    run(book, START, START + 2 * MINUTE)
    end(book, START + 3 * MINUTE, "r")
    book.record(BatchRecord(arrivals={START // MINUTE + 5: 1}))
    assert begin(book, START + 9 * MINUTE, r=SCHEDULE) == {"r": START + 9 * MINUTE}
    assert [row[:3] for row in rows(book)] == [(0, 2, "ran"), (2, 3, "failed"), (3, 9, "skipped")]
    assert rows(book)[-1][3] == OFF
    lease = book.lease("r", START, START, 1)
    assert lease is not None
    assert lease.cursor_us == START + 9 * MINUTE
    assert book.arrivals_since(lease.journal)[1] == []


def test_a_rule_of_the_stream_that_was_off_begins_anew(book: SqlBook) -> None:
    begin(book, START, r=STREAM)
    end(book, START + MINUTE, "r")
    end(book, START + 2 * MINUTE, "r")
    assert begin(book, START + 4 * MINUTE, r=STREAM) == {"r": START + 4 * MINUTE}
    assert rows(book) == [(1, 4, "skipped", OFF)]
    end(book, START + 6 * MINUTE, "r")
    begin(book, START + 8 * MINUTE, r=STREAM)
    assert rows(book) == [(1, 8, "skipped", OFF)]


def test_the_stream_takes_over_where_the_schedule_left_off_and_the_other_way_round(book: SqlBook) -> None:
    begin(book, START, r=SCHEDULE)
    run(book, START, START + MINUTE)
    assert begin(book, START + 2 * MINUTE, r=STREAM) == {"r": START + MINUTE}
    begin(book, START + 5 * MINUTE, r=SCHEDULE)
    assert rows(book) == [(0, 1, "ran", ""), (1, 5, "skipped", ON_STREAM)]


def test_a_process_that_saw_the_rule_before_another_began_it_takes_the_same_start(
    book: SqlBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(book, START, r=STREAM)
    monkeypatch.setattr(rule_activity, "_rows", lambda *_: {})  # as it was a moment ago
    assert begin(book, START + 7, r=STREAM) == {"r": START}


def test_only_what_is_active_is_named(book: SqlBook) -> None:
    begin(book, START, r=STREAM, s=SCHEDULE)
    end(book, START, "r", "never seen")
    with book.database.read() as session:
        assert rule_activity.active(session) == {"s"}


def test_what_people_set_is_kept_counted_and_in_the_audit_trail(book: SqlBook) -> None:
    with book.database.write() as session:
        before = rule_settings.version(session)
        rule_settings.switch(session, "r", True, Actor("ines"))
        made = rule_settings.reschedule(session, "r", "*/5 * * * *", Actor("joe"))
        assert rule_settings.version(session) == before + 2
        assert (made.enabled, made.schedule, made.modified_by) == (True, "*/5 * * * *", "joe")
        assert rule_settings.collect(session) == {"r": made}
        entries = audit.entries(session, "rule", "r")
    assert [(entry.actor, entry.field, entry.before, entry.after) for entry in entries] == [
        ("ines", "enabled", None, True),
        ("joe", "schedule", None, "*/5 * * * *"),
    ]


def test_a_schedule_that_is_none_is_refused(book: SqlBook) -> None:
    with book.database.write() as session, pytest.raises(ValueError, match="expected an interval"):
        rule_settings.reschedule(session, "r", "now and then", Actor("ines"))
