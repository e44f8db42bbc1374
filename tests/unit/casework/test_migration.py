from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import mozdef_core
from mozdef_core.casework import migration
from mozdef_core.casework.database import Database
from mozdef_core.casework.models import Base
from mozdef_core.errors import BookUnavailableError

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
    command = [sys.executable, "-c", code, url]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
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
