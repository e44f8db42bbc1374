"""The tables of what is set of rules, and of since when each is active; times are microseconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from mozdef_core.casework.models import Base


class RuleSettingRow(Base):
    """What somebody has set of a rule; null leaves it to the configuration."""

    __tablename__ = "rule_settings"

    rule: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool | None]
    schedule: Mapped[str | None]
    modified_by: Mapped[str]
    modified_us: Mapped[int]


class RuleActivityRow(Base):
    """Since when a rule, by its key in the ledger, is active in its present version, or is not active any more."""

    __tablename__ = "rule_activity"

    rule: Mapped[str] = mapped_column(primary_key=True)
    active: Mapped[bool]
    version: Mapped[str] = mapped_column(String(200))
    streams: Mapped[bool]
    since_us: Mapped[int]
