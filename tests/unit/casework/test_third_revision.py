"""The third revision of the casework database: what the ledger and staged alerts need."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config

from mozdef_core.casework import alerts, migration
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.database import Database
from mozdef_core.ports import BatchRecord
from mozdef_core.testing_contracts.book_alerts import event_at, finding


def test_the_third_revision_keeps_alerts_and_goes_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'casework.sqlite'}"
    move(url, "0002")
    as_before = schema(tmp_path / "casework.sqlite")
    raised = [finding(event_at(0), user="ines"), finding(event_at(0), staged=True)]
    move(url, "0003")
    book = SqlBook(url)
    live, staged = book.record(BatchRecord(alerts=raised))
    book.close()
    move(url, "0002")
    assert schema(tmp_path / "casework.sqlite") == as_before
    with closing(sqlite3.connect(tmp_path / "casework.sqlite")) as connection:
        rows = dict(connection.execute("SELECT id, status FROM alerts").fetchall())
        assert connection.execute("SELECT count(*) FROM alert_samples").fetchall() == [(2,)]
    assert rows == {raised[0].minted_id: "manual", raised[1].minted_id: "closed"}
    migration.migrate(url)
    with Database(url).read() as session:
        found = alerts.search(session, alerts.Filter())
    assert {line.alert.id for line in found.lines} == {live.id, staged.id}


def schema(path: Path) -> set[str]:
    """Return what SQLite knows of each table and index, in the words of the statement that made it."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {
            f"{name} {row}" for name in names for row in connection.execute(f"PRAGMA table_xinfo({name})")
        }
        indexes = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        return found | {row[0] for row in indexes}


def move(url: str, target: str) -> None:
    """Take a database to a revision, forward or back."""
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    database = Database(url)
    going_back = (migration.revision(url) or "") > target
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        (command.downgrade if going_back else command.upgrade)(config, target)
    database.close()
