"""The table of the watch list; times are microseconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mozdef_core.casework.models import Base


class WatchRow(Base):
    """A term that people watch for, in canonical form; ``hits`` is how many events it occurred in."""

    __tablename__ = "watch_entries"
    __table_args__ = (UniqueConstraint("content", "kind"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    content: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    subdomains: Mapped[bool]
    added_us: Mapped[int]
    expires_us: Mapped[int | None] = mapped_column(index=True)
    comment: Mapped[str]
    reference: Mapped[str]
    creator: Mapped[str]
    hits: Mapped[int] = mapped_column(default=0)
    last_hit_us: Mapped[int | None]
