"""What is kept, and how it is found: dead letters know whether they were cut, and no list needs a sort.

The table of run-time settings goes: nothing has used it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RAW_LIMIT_BYTES = 1 << 20

OLD = (
    ("alerts", "ix_alerts_rule", ["rule"]),
    ("alerts", "ix_alerts_status", ["status"]),
    ("dead_letters", "ix_dead_letters_code", ["code"]),
    ("dead_letters", "ix_dead_letters_input", ["input"]),
    ("dead_letters", "ix_dead_letters_status", ["status"]),
    ("outbox", "ix_outbox_due_us", ["due_us"]),
    ("tasks", "ix_tasks_ready", ["finished", "ready_us"]),
)
NEW = (
    ("alerts", "ix_alerts_rule_created", ["rule", "created_us", "id"]),
    ("alerts", "ix_alerts_status_created", ["status", "created_us", "id"]),
    ("dead_letters", "ix_dead_letters_code_received", ["code", "received_us", "id"]),
    ("dead_letters", "ix_dead_letters_input_received", ["input", "received_us", "id"]),
    ("dead_letters", "ix_dead_letters_kept", ["status", "received_us", "id", "size_bytes"]),
    ("outbox", "ix_outbox_waiting", ["started_us", "due_us"]),
    ("spans", "ix_spans_closed_us", ["closed_us"]),
    ("tasks", "ix_tasks_ready", ["finished", "ready_us", "outbox_id", "position"]),
)


def upgrade() -> None:
    """Bring the schema one revision forward.

    Of a letter of exactly the limit nobody knows whether it was cut, so it counts as cut, as it did before; that its
    length was not noted shows in that ``received_bytes`` is not more than what is kept.
    """
    op.add_column("dead_letters", sa.Column("received_bytes", sa.BigInteger(), nullable=True))
    letters = sa.table("dead_letters", sa.column("raw", sa.LargeBinary), sa.column("received_bytes"))
    at_limit = sa.func.length(letters.c.raw) >= RAW_LIMIT_BYTES
    op.execute(letters.update().where(at_limit).values(received_bytes=sa.func.length(letters.c.raw)))
    _replace(OLD, NEW)
    op.drop_table("settings")


def downgrade() -> None:
    """Take the schema one revision back."""
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    _replace(NEW, OLD)
    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.drop_column("received_bytes")


def _replace(
    old: tuple[tuple[str, str, list[str]], ...], new: tuple[tuple[str, str, list[str]], ...]
) -> None:
    for table, name, _ in old:
        op.drop_index(name, table_name=table)
    for table, name, columns in new:
        op.create_index(name, table, columns, unique=False)
