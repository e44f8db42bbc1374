"""What people set of rules while MozDef runs: enabled or not, and the schedule; each change in the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.casework import audit
from mozdef_core.casework.database import next_number, read_number
from mozdef_core.casework.rule_models import RuleSettingRow
from mozdef_core.event import now_us
from mozdef_core.rules.schedule import check_schedule

COUNTER: Final = "rule_settings"
"""The counter that rises with every change."""


class RuleSetting(NamedTuple):
    """What somebody has set of a rule; None leaves it to the configuration or the rule's file.

    :param modified_us: when, microseconds since 1970.
    """

    rule: str
    enabled: bool | None
    schedule: str | None
    modified_by: str
    modified_us: int


def collect(session: Session) -> Mapping[str, RuleSetting]:
    """Return what is set, by rule."""
    return {row.rule: _setting(row) for row in session.scalars(select(RuleSettingRow))}


def version(session: Session) -> int:
    """Return a number that is another one after every change; one row is read."""
    return read_number(session, COUNTER)


def switch(session: Session, rule: str, enabled: bool | None, actor: audit.Actor) -> RuleSetting:
    """Enable or disable a rule from now on; None leaves it to the configuration again."""
    return _change(session, rule, "enabled", enabled, actor)


def reschedule(session: Session, rule: str, schedule: str | None, actor: audit.Actor) -> RuleSetting:
    """Let a rule look at other times from now on; None leaves it to the configuration again.

    Whether the rule can have such a schedule is only known when it is made: one that cannot stays as it was.

    :raises ValueError: it is no schedule.
    """
    return _change(session, rule, "schedule", None if schedule is None else check_schedule(schedule), actor)


def _change(session: Session, rule: str, name: str, value: object, actor: audit.Actor) -> RuleSetting:
    now = now_us()
    row = session.get(RuleSettingRow, rule, with_for_update=True)
    if row is None:
        row = RuleSettingRow(rule=rule, enabled=None, schedule=None, modified_by="", modified_us=0)
        session.add(row)
    before = getattr(row, name)
    setattr(row, name, value)
    row.modified_by, row.modified_us = actor.name, now
    session.flush()
    next_number(session, COUNTER)
    audit.append(session, actor, audit.Change("changed", "rule", rule, name, before, value), now)
    return _setting(row)


def _setting(row: RuleSettingRow) -> RuleSetting:
    return RuleSetting(row.rule, row.enabled, row.schedule, row.modified_by, row.modified_us)
