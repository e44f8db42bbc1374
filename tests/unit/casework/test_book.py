from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from mozdef_core.alert import Status
from mozdef_core.casework import dead_letters, ledger, processes
from mozdef_core.casework.audit import Actor
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.models import Base, DeadLetterRow
from mozdef_core.casework.transitions import Step
from mozdef_core.casework.triage import set_status
from mozdef_core.ports import AlertBook
from mozdef_core.testing_contracts.book import AlertBookContract


class TestSqlBook(AlertBookContract):
    @pytest.fixture(autouse=True)
    def _copy_schema(self, empty_database: Path) -> None:
        self.empty_database = empty_database

    def open_book(self, path: Path, clock: Callable[[], int], repeat: timedelta) -> AlertBook:
        shutil.copy(self.empty_database, path / "casework.sqlite")
        return SqlBook(f"sqlite:///{path / 'casework.sqlite'}", repeat=repeat, clock=clock)

    def set_status(self, book: AlertBook, alert_id: str, status: Status) -> None:
        assert isinstance(book, SqlBook)
        with book.database.write() as session:
            set_status(
                session,
                alert_id,
                Step(status, "for the test", verdict="benign"),
                Actor("ines"),
                book._clock(),
            )

    def letter_ids(self, book: AlertBook) -> Collection[str]:
        assert isinstance(book, SqlBook)
        with book.database.read() as session:
            return session.scalars(select(DeadLetterRow.id)).all()

    def letters_lost(self, book: AlertBook) -> int:
        assert isinstance(book, SqlBook)
        with book.database.read() as session:
            return dead_letters.counts(session)["lost"]

    def report(
        self, book: AlertBook, role: str, process: str, counters: Mapping[str, Any], at_us: int
    ) -> None:
        assert isinstance(book, SqlBook)
        with book.database.write() as session:
            processes.report(session, role, process, counters, at_us)

    def removed(self, book: AlertBook, exception: str) -> int:
        assert isinstance(book, SqlBook)
        with book.database.read() as session:
            return ledger.excepted(session, exception)

    def kept_for_good(self, book: AlertBook) -> Mapping[str, object]:
        assert isinstance(book, SqlBook)
        goes = {"arrivals", "liveness", "spans", "process_health", "dead_letters", "counters"}
        goes |= {"ledger_rules", "ledger_intervals", "ledger_memory", "ledger_seen"}
        with book.database.read() as session:
            return {
                name: session.execute(text(f"SELECT * FROM {name}")).all()
                for name in Base.metadata.tables
                if name not in goes
            }
