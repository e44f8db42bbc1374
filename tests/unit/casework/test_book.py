from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mozdef_core.alert import Status
from mozdef_core.casework.audit import Actor
from mozdef_core.casework.book import SqlBook
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
            set_status(session, alert_id, Step(status, verdict="benign"), Actor("ines"), book._clock())
