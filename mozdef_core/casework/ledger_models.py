"""The tables of the ledger: what each scheduled rule has run over, what it remembers, and which events it has seen."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from mozdef_core.casework.models import Base


class RuleRow(Base):
    """A rule by its key in the ledger, and the lease under which one process runs it.

    ``fence`` rises with each lease; what was begun under an older one is refused. ``touched_us`` is when somebody last
    wanted to run it: a rule that is gone is forgotten after long.
    """

    __tablename__ = "ledger_rules"

    rule: Mapped[str] = mapped_column(primary_key=True)
    fence: Mapped[int]
    leased_until_us: Mapped[int]
    since_us: Mapped[int]
    cursor_us: Mapped[int]
    journal: Mapped[int]
    runs: Mapped[int]
    touched_us: Mapped[int] = mapped_column(index=True)


class IntervalRow(Base):
    """A row of the ledger; those of one rule never overlap."""

    __tablename__ = "ledger_intervals"
    __table_args__ = (Index("ix_ledger_intervals_rule_end", "rule", "end_us"),)

    rule: Mapped[str] = mapped_column(primary_key=True)
    start_us: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    end_us: Mapped[int] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(16))
    at_us: Mapped[int]
    took_s: Mapped[float] = mapped_column(Float(53))
    events: Mapped[int]
    alerts: Mapped[int]
    ungrouped: Mapped[int]
    sample: Mapped[str]
    failures: Mapped[int]
    due_us: Mapped[int | None]
    reason: Mapped[str]


class RememberedRow(Base):
    """A JSON value that a rule remembers; ``digest`` stands for the key, which may be longer than an index takes."""

    __tablename__ = "ledger_memory"

    rule: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str]
    value: Mapped[Any] = mapped_column(JSON)
    at_us: Mapped[int]


class SeenRow(Base):
    """An event that a state rule has dealt with; ``minute`` is that of its detection time."""

    __tablename__ = "ledger_seen"

    rule: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    minute: Mapped[int] = mapped_column(index=True)
