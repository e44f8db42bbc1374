from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import mozdef_core
from mozdef_core.casework import (  # noqa: F401 -- tables
    ledger_models,
    list_models,
    migration,
    rule_models,
    watch_models,
)
from mozdef_core.casework.database import Database
from mozdef_core.casework.models import Base
from mozdef_core.errors import BookUnavailableError
from mozdef_core.ports import RAW_LIMIT_BYTES

ROOT = Path(mozdef_core.__file__).parent.parent


def test_the_migrations_make_what_the_models_describe(database: Database) -> None:
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migration.HEAD]


def test_processes_that_start_at_once_upgrade_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'casework.sqlite'}"
    code = "import sys; from mozdef_core.casework.migration import upgrade; print(upgrade(sys.argv[1]))"
    process = [sys.executable, "-c", code, url]
    children = [subprocess.Popen(process, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
    assert sorted(child.communicate()[0].strip() for child in children) == ["False", "False", "True"]
    assert migration.revision(url) == migration.HEAD


def test_an_upgrade_that_has_nothing_to_do_imports_nothing_heavy(url: str) -> None:
    code = (
        "import sys; from mozdef_core.casework.migration import upgrade; upgrade(sys.argv[1]);"
        "print([name for name in ('alembic', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_a_migration_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'casework.sqlite'}"
    from alembic.operations import Operations

    made = Operations.create_table

    def stop_at_tokens(self: Operations, name: str, *columns: object, **options: object) -> object:
        if name == "tokens":
            raise RuntimeError("power cut")
        return made(self, name, *columns, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Operations, "create_table", stop_at_tokens)
    with pytest.raises(RuntimeError, match="power cut"):
        migration.migrate(url)
    monkeypatch.undo()
    assert migration.revision(url) is None
    migration.migrate(url)
    assert migration.revision(url) == migration.HEAD


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "casework.sqlite"
    path.write_text("no database at all, but long enough to be looked at" * 40)
    with pytest.raises(BookUnavailableError, match="not a database"):
        migration.upgrade(f"sqlite:///{path}")


def test_the_second_revision_keeps_what_is_there_and_goes_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'casework.sqlite'}"
    move(url, "0001")
    with closing(sqlite3.connect(tmp_path / "casework.sqlite")) as connection:
        for number, size_bytes in enumerate((10, RAW_LIMIT_BYTES - 1, RAW_LIMIT_BYTES)):
            connection.execute(
                "INSERT INTO dead_letters (id, received_us, input, origin, stage, code, reason, plugin, raw,"
                " size_bytes, attempts, status, replayed_as, fields, sender_id) VALUES (?, 5, 'events',"
                " '[\"events\", \"http\"]', 'parse', 'c', 'a reason', NULL, ?, ?, 1, 'open', '[]', '{}', 's')",
                (f"id{number}", b"x" * size_bytes, size_bytes),
            )
        connection.execute("INSERT INTO counters VALUES ('journal', 7)")
        connection.commit()
    as_before = dump(tmp_path)
    move(url, "0002")
    with closing(sqlite3.connect(tmp_path / "casework.sqlite")) as connection:
        lengths = connection.execute("SELECT id, received_bytes FROM dead_letters ORDER BY id").fetchall()
    assert lengths == [("id0", None), ("id1", None), ("id2", RAW_LIMIT_BYTES)]
    move(url, "0001")
    assert dump(tmp_path) == as_before
    migration.migrate(url)
    assert migration.revision(url) == migration.HEAD
    with closing(sqlite3.connect(tmp_path / "casework.sqlite")) as connection:
        assert connection.execute("SELECT value FROM counters").fetchall() == [(7,)]
        assert connection.execute("SELECT count(*) FROM dead_letters").fetchall() == [(3,)]


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


def dump(directory: Path) -> tuple[dict[str, set[str]], list[tuple[object, ...]]]:
    """Return the columns and indexes of each table in the database of a directory, and the dead letters."""
    with closing(sqlite3.connect(directory / "casework.sqlite")) as connection:
        schema: dict[str, set[str]] = {}
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            schema[table] = {f"{row[1:]}" for row in connection.execute(f"PRAGMA table_info({table})")}
            for _, index, *_ in connection.execute(f"PRAGMA index_list({table})").fetchall():
                schema[table] |= {
                    f"{index} {row}" for row in connection.execute(f"PRAGMA index_info({index})")
                }
        columns = "id, received_us, input, origin, reason, raw, size_bytes, status, sender_id"
        return schema, connection.execute(f"SELECT {columns} FROM dead_letters ORDER BY id").fetchall()
