"""Entries of lists say what they refer to and who made them, as blocks do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema one revision forward."""
    for name in ("reference", "creator"):
        op.add_column("list_entries", sa.Column(name, sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take the schema one revision back; the list of blocks stays, as any other list."""
    for name in ("creator", "reference"):
        op.drop_column("list_entries", name)
