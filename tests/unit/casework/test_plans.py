"""How SQLite finds what lists and loops ask for: by an index that is in the order asked for, so nothing is sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from mozdef_core.alert import Status
from mozdef_core.casework import (
    alerts,
    audit,
    dead_letters,
    ledger,
    memory,
    outbox,
    owed,
    processes,
    pruning,
)
from mozdef_core.casework.database import Database
from mozdef_core.ports import Keep

KEEP = Keep(timedelta(days=1), letters_bytes=0)
SMALL = {"process_health", "CONSTANT"}
"""What has few rows: one for each process that ran in the last hour, and a row made of constants."""


@contextmanager
def statements(session: Session) -> Iterator[list[tuple[str, Any]]]:
    """Give the list of what is asked of the database meanwhile."""
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan(database: Database, ask: Callable[[Session], object]) -> list[str]:
    """Return the steps in which SQLite answers what a function asks."""
    with database.write() as session:
        with statements(session) as asked:
            ask(session)
        assert asked
        connection = session.connection()
        return [
            row[3]
            for statement, parameters in asked
            if not statement.startswith("INSERT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


def slow(steps: Sequence[str]) -> list[str]:
    """Return the steps that read all of a table that grows, or sort what they found."""
    return [
        step
        for step in steps
        if "TEMP B-TREE" in step
        or (step.startswith("SCAN") and step.split()[1] not in SMALL and "USING" not in step)
    ]


LISTS: dict[str, Callable[[Session], object]] = {
    "all alerts": lambda session: alerts.search(session, alerts.Filter()),
    "alerts of a status": lambda session: alerts.search(session, alerts.Filter(status=[Status.MANUAL])),
    "alerts of a rule": lambda session: alerts.search(session, alerts.Filter(rule="a")),
    "alerts of a time": lambda session: alerts.search(session, alerts.Filter(since_us=1, until_us=9)),
    "the next alerts of a rule": lambda session: alerts.search(session, alerts.Filter(rule="a", after="5.x")),
    "all letters": lambda session: dead_letters.search(session, dead_letters.Filter()),
    "letters of a code": lambda session: dead_letters.search(session, dead_letters.Filter(code="a")),
    "letters of an input": lambda session: dead_letters.search(session, dead_letters.Filter(input="a")),
    "letters of a status": lambda session: dead_letters.search(session, dead_letters.Filter(status="open")),
    "letters of a time": lambda session: dead_letters.search(session, dead_letters.Filter(since_us=1)),
    "the next letters of a status": lambda session: dead_letters.search(
        session, dead_letters.Filter(status="open", after="5.x")
    ),
    "how many letters there are": dead_letters.counts,
    "what is due in the outbox": lambda session: outbox.something_due(session, 1),
    "what is owed": lambda session: owed.due(session, ["a"], 10, 1),
    "the history of an alert": lambda session: audit.entries(session, "alert", "a"),
    "staged alerts of a rule": lambda session: alerts.search(session, alerts.Filter(rule="a", staged=True)),
    "whether a rule is leased": lambda session: ledger.is_leased(session, "a", 1),
    "rows of a rule": lambda session: ledger.intervals(session, "a", 1, 9),
    "failed rows of a rule": lambda session: ledger.failed(session, "a", 1),
    "late arrivals": lambda session: ledger.arrivals_since(session, 5),
    "what a rule has consumed": lambda session: ledger.consumed(session, "a", 1, 9),
    "what a rule remembers": lambda session: memory.recall(session, "a", ["b"]),
    "all that a rule remembers": lambda session: memory.recall(session, "a", prefix="b"),
    "what a rule has seen": lambda session: memory.seen(session, "a", ["b"]),
    "minutes of listening": lambda session: processes.listened(session, 1, 9),
    "what may be pruned": lambda session: pruning._find(session, KEEP, 1 << 50, 100),
}


@pytest.mark.parametrize("name", LISTS)
def test_no_list_reads_a_whole_table_or_sorts_it(database: Database, name: str) -> None:
    steps = plan(database, LISTS[name])
    assert steps
    assert not slow(steps), steps


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("alerts of a status", "ix_alerts_status_created"),
        ("alerts of a rule", "ix_alerts_rule_created"),
        ("letters of a code", "ix_dead_letters_code_received"),
        ("letters of an input", "ix_dead_letters_input_received"),
        ("letters of a status", "ix_dead_letters_kept"),
        ("how many letters there are", "COVERING INDEX ix_dead_letters_kept"),
        ("what a rule has consumed", "ix_spans_rule_last (rule=? AND last_us>?)"),
        ("what may be pruned", "ix_ledger_intervals_end_us"),
        ("what may be pruned", "ix_ledger_rules_touched_us"),
        ("what may be pruned", "ix_ledger_seen_minute"),
        ("what is due in the outbox", "ix_outbox_waiting"),
        ("what is due in the outbox", "ix_tasks_ready"),
        ("what may be pruned", "ix_spans_closed_us"),
        ("what may be pruned", "COVERING INDEX ix_dead_letters_kept"),
    ],
)
def test_an_index_is_there_for_what_uses_it(database: Database, name: str, index: str) -> None:
    assert any(index in step for step in plan(database, LISTS[name])), plan(database, LISTS[name])


def test_the_size_of_all_letters_is_added_up_without_reading_them(database: Database) -> None:
    scans = [
        step for step in plan(database, LISTS["what may be pruned"]) if step.startswith("SCAN dead_letters")
    ]
    assert scans == ["SCAN dead_letters USING COVERING INDEX ix_dead_letters_kept"]


def test_a_plan_without_its_index_would_be_noticed(database: Database) -> None:
    with database.write() as session:
        session.connection().exec_driver_sql("DROP INDEX ix_dead_letters_code_received")
        session.connection().exec_driver_sql("DROP INDEX ix_dead_letters_received")
    assert slow(plan(database, LISTS["letters of a code"]))
