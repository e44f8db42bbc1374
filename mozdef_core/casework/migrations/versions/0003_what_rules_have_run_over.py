"""What rules have run over and remember; alerts that are only tried out, and those of a silence that is over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LISTS = (
    ("ix_alerts_created", ["created_us", "id"]),
    ("ix_alerts_rule_created", ["rule", "created_us", "id"]),
    ("ix_alerts_status_created", ["status", "created_us", "id"]),
)


def upgrade() -> None:
    """Bring the schema one revision forward. Lists show either live or staged alerts, so that stands first."""
    op.add_column("alerts", sa.Column("staged", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("alerts", sa.Column("recovered_us", sa.BigInteger(), nullable=True))
    for name, columns in LISTS:
        op.drop_index(name, table_name="alerts")
        op.create_index(name, "alerts", ["staged", *columns], unique=False)
    op.create_index("ix_spans_rule_last", "spans", ["rule", "last_us"], unique=False)
    op.create_table(
        "ledger_rules",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("leased_until_us", sa.BigInteger(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("cursor_us", sa.BigInteger(), nullable=False),
        sa.Column("journal", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("touched_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_ledger_rules")),
    )
    op.create_index("ix_ledger_rules_touched_us", "ledger_rules", ["touched_us"], unique=False)
    _create_intervals()
    op.create_table(
        "ledger_memory",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "digest", name=op.f("pk_ledger_memory")),
    )
    op.create_table(
        "ledger_seen",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "event_id", name=op.f("pk_ledger_seen")),
    )
    op.create_index("ix_ledger_seen_minute", "ledger_seen", ["minute"], unique=False)


def _create_intervals() -> None:
    op.create_table(
        "ledger_intervals",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("took_s", sa.Float(precision=53), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.Column("ungrouped", sa.BigInteger(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "start_us", name=op.f("pk_ledger_intervals")),
    )
    op.create_index("ix_ledger_intervals_rule_end", "ledger_intervals", ["rule", "end_us"], unique=False)
    op.create_index("ix_ledger_intervals_end_us", "ledger_intervals", ["end_us"], unique=False)


def downgrade() -> None:
    """Take the schema one revision back; staged alerts become closed ones, since nobody was to be told of them."""
    for table in ("ledger_seen", "ledger_memory", "ledger_intervals", "ledger_rules"):
        op.drop_table(table)
    op.drop_index("ix_spans_rule_last", table_name="spans")
    for name, columns in LISTS:
        op.drop_index(name, table_name="alerts")
        op.create_index(name, "alerts", columns, unique=False)
    alerts = sa.table("alerts", sa.column("staged", sa.Boolean), sa.column("status", sa.String))
    op.execute(alerts.update().where(alerts.c.staged).values(status="closed"))
    op.drop_column("alerts", "recovered_us")
    op.drop_column("alerts", "staged")
