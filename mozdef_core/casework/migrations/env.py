"""What Alembic runs for every command: the connection comes from the caller, never from a file."""

from __future__ import annotations

from alembic import context

from mozdef_core.casework import (  # noqa: F401 -- it makes tables known
    ledger_models,
    list_models,
    rule_models,
    watch_models,
)
from mozdef_core.casework.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
