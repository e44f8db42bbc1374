"""Since when each rule is active: the common start of a rule for all processes, and the times in which it was off."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.casework import ledger
from mozdef_core.casework.database import read_number, upsert
from mozdef_core.casework.ledger_models import RuleRow
from mozdef_core.casework.rule_models import RuleActivityRow

OFF: Final = "the rule was switched off"
ON_STREAM: Final = "the rule ran on the stream"


class Active(NamedTuple):
    """How a rule is active.

    :param version: another one whenever it may find something else.
    :param streams: whether it looks at events as they arrive.
    """

    version: str
    streams: bool


def begin(session: Session, rules: Mapping[str, Active], now_us: int) -> Mapping[str, int]:
    """Note that rules are active, and return since when each is in this version: the same for all who ask.

    A rule that was off is run from now on, and does not catch up with the time in between; one that goes over to the
    stream begins there where its schedule left off. Costs one look while nothing has changed.

    :param rules: by key in the ledger.
    """
    known = _rows(session, rules)
    for rule, how in sorted(rules.items()):
        row = known.get(rule)
        if row is not None and row.active and (row.version, row.streams) == how:
            continue
        if row is None:
            fresh = {"rule": rule, "active": True, "version": how.version, "streams": how.streams}
            upsert(session, RuleActivityRow, [{**fresh, "since_us": now_us}])
        row = session.get_one(RuleActivityRow, rule, with_for_update=True, populate_existing=True)
        _change(session, row, how, now_us)
        known[rule] = row
    session.flush()
    return {rule: known[rule].since_us for rule in rules}


def _change(session: Session, row: RuleActivityRow, how: Active, now_us: int) -> None:
    """Bring the row of a rule, which is locked, to how it is active now."""
    if row.active and (row.version, row.streams) == how:
        return
    begins_us, state = now_us, session.get(RuleRow, row.rule)
    if not row.active:
        off_us = row.since_us if state is None or not row.streams else state.cursor_us
        _skip(session, row.rule, off_us, now_us, OFF)
    elif row.streams and not how.streams and state is not None:
        _skip(session, row.rule, state.cursor_us, now_us, ON_STREAM)
    elif how.streams and not row.streams and state is not None:
        begins_us = min(state.cursor_us, now_us)
    row.active, row.version, row.streams, row.since_us = True, how.version, how.streams, begins_us


def _skip(session: Session, rule: str, start_us: int, now_us: int, reason: str) -> None:
    """Have a rule go on from now, as if what has arrived until now had been looked at."""
    ledger.skip_time(session, rule, start_us, now_us, reason, now_us)
    session.get_one(RuleRow, rule).journal = read_number(session, "journal")


def end(session: Session, rules: Collection[str], now_us: int) -> None:
    """Note that rules are not active any more; what each has not run over yet is run when it comes back."""
    for rule in sorted(rules):
        row = session.get(RuleActivityRow, rule, with_for_update=True)
        if row is not None and row.active:
            row.active, row.since_us = False, now_us
    session.flush()


def active(session: Session) -> set[str]:
    """Return the keys of the rules that are active."""
    return set(session.scalars(select(RuleActivityRow.rule).where(RuleActivityRow.active)))


def _rows(session: Session, rules: Collection[str]) -> dict[str, RuleActivityRow]:
    found = session.scalars(select(RuleActivityRow))
    return {row.rule: row for row in found if row.rule in rules}
