"""The tables of lists that people keep, and of exceptions from rules; times are microseconds since 1970, UTC."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from mozdef_core.casework.models import Base, Serial


class ListRow(Base):
    """A list. ``version`` is the number of its last change, from the counter of all changes of lists."""

    __tablename__ = "lists"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 -- SQLAlchemy reads it as a plain attribute

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    comment: Mapped[str]
    version: Mapped[int]
    created_us: Mapped[int]
    created_by: Mapped[str]
    changed_us: Mapped[int]
    changed_by: Mapped[str]


class EntryRow(Base):
    """A member of a list, in canonical form; ``touched_us`` is when somebody last gave it.

    ``reference`` and ``creator`` belong to blocks: what a block refers to, such as an alert, and who asked for it.
    """

    __tablename__ = "list_entries"
    __table_args__ = (
        Index("ix_list_entries_expires", "expires_us", "list_id"),
        {"sqlite_with_rowid": False},
    )

    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    comment: Mapped[str]
    added_us: Mapped[int]
    touched_us: Mapped[int]
    expires_us: Mapped[int | None]
    reference: Mapped[str] = mapped_column(server_default="")
    creator: Mapped[str] = mapped_column(server_default="")


class ExceptionRow(Base):
    """An exception from rules: events that match ``query`` are removed for the rules that it concerns.

    ``samples`` holds the last events that it removed, ``reported`` whether its end stands in the audit trail.
    """

    __tablename__ = "exceptions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    scope: Mapped[str] = mapped_column(String(8))
    target: Mapped[str]
    query: Mapped[str]
    owner: Mapped[str]
    reason: Mapped[str]
    starts_us: Mapped[int]
    expires_us: Mapped[int] = mapped_column(index=True)
    created_us: Mapped[int]
    created_by: Mapped[str]
    changed_us: Mapped[int]
    changed_by: Mapped[str]
    hits: Mapped[int] = mapped_column(default=0)
    last_hit_us: Mapped[int | None]
    samples: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    reported: Mapped[bool] = mapped_column(default=False)
