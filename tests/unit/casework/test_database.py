from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

import mozdef_core
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.database import Database, next_number, read_number
from mozdef_core.casework.models import ArrivalRow
from mozdef_core.casework.processes import report, reports
from mozdef_core.casework.states import read
from mozdef_core.errors import BookUnavailableError, ConfigError
from mozdef_core.ports import BatchRecord, StateDocument

ROOT = Path(mozdef_core.__file__).parent.parent


def test_every_connection_is_durable_and_keeps_references_whole(database: Database) -> None:
    with database.read() as session:
        values = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_processes_that_write_at_once_lose_no_number(url: str, database: Database) -> None:
    code = (
        "import sys\n"
        "from mozdef_core.casework.database import Database, next_number, read_number\n"
        "database = Database(sys.argv[1])\n"
        "for _ in range(40):\n"
        "    with database.write() as session:\n"
        "        read_number(session, 'n')\n"
        "        next_number(session, 'n')\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    with database.read() as session:
        assert read_number(session, "n") == 120


def test_a_writer_holds_the_lock_before_it_reads_and_a_reader_never_does(
    url: str, database: Database
) -> None:
    other = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    with database.read() as session:
        read_number(session, "n")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    with database.write() as session:
        read_number(session, "n")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.close()


def test_what_fails_half_way_is_not_kept(database: Database) -> None:
    def raise_and_fail() -> None:
        with database.write() as session:
            next_number(session, "n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        raise_and_fail()
    with database.read() as session:
        assert read_number(session, "n") == 0


def test_a_database_that_cannot_be_written_keeps_nothing_and_says_so(url: str) -> None:
    other = sqlite3.connect(url.removeprefix("sqlite:///"))
    other.execute("DROP TABLE arrivals")
    other.close()
    book = SqlBook(url)
    document = StateDocument("vulnerabilities", "a", 1, {})
    with pytest.raises(BookUnavailableError, match="arrivals"):
        book.record(BatchRecord(arrivals={1: 1}, states=[document]))
    with book.database.read() as session:
        assert read_number(session, "journal") == 0
        assert read(session, "vulnerabilities", "a") is None
    book.close()


@pytest.mark.parametrize("url", ["nonsense", "oracle9://x/y", "sqlite://", "sqlite:///:memory:"])
def test_a_wrong_url_is_a_problem_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"core\.database"):
        Database(url)


def test_the_journal_gives_the_minutes_of_a_batch_a_higher_number(url: str) -> None:
    book = SqlBook(url)
    for minutes in ({1: 5, 2: 5}, {2: 1, 3: 1}):
        book.record(BatchRecord(arrivals=minutes))
    with book.database.read() as session:
        rows = session.query(ArrivalRow).order_by(ArrivalRow.minute)
        assert [(row.minute, row.number) for row in rows] == [(1, 1), (2, 2), (3, 2)]
    book.close()


def test_a_state_document_replaces_its_predecessor_unless_that_is_newer(url: str) -> None:
    book = SqlBook(url)
    for time_us in (5, 3, 7, 6):
        book.record(BatchRecord(states=[StateDocument("status", "web1", time_us, {"seen": time_us})]))
    with book.database.read() as session:
        assert read(session, "status", "web1") == StateDocument("status", "web1", 7, {"seen": 7})
        assert read(session, "status", "web2") is None
    book.close()


def test_a_process_shows_what_it_said_last(database: Database) -> None:
    for process, at_us in (("1", 1_000_000), ("2", 2_000_000), ("1", 3_000_000)):
        with database.write() as session:
            report(session, "worker", process, {"events": at_us}, at_us)
    with database.read() as session:
        found = [(each.process, each.counters) for each in reports(session)]
    assert found == [("1", {"events": 3_000_000}), ("2", {"events": 2_000_000})]
