"""The outbox: which alert has to be told to which action plugin, and how far that has come (detections.md F)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, delete, exists, or_, select
from sqlalchemy.orm import Session, aliased

from mozdef_core.alert import Occasion
from mozdef_core.casework import audit, blocks, records
from mozdef_core.casework.block_guard import BlockGuard
from mozdef_core.casework.changes import apply
from mozdef_core.casework.models import AlertRow, OutboxRow, TaskRow
from mozdef_core.ports import Task, TaskResult

ENRICHING_LIMIT_S: Final = 30
"""After so long an enricher that waits for another try no longer holds up the actions (detections.md D3)."""


def add(session: Session, alert: AlertRow, occasion: Occasion, due_us: int) -> None:
    """Note that the actions must hear of this occasion; part of the transaction that makes it one.

    Nobody hears of an alert that is staged.
    """
    if alert.staged:
        return
    alert.occasions += 1
    session.add(OutboxRow(alert_id=alert.id, occasion=occasion.value, ordinal=alert.occasions, due_us=due_us))
    session.flush()


def add_extended(session: Session, alert: AlertRow, now_us: int, repeat_us: int) -> bool:
    """Note that an alert was extended, unless an entry that has not started will tell it anyway.

    :returns: whether an entry was added; it is due when ``repeat_us`` have passed since the last one.
    """
    if alert.staged or _telling(session, alert.id):
        return False
    due_us = now_us if alert.extended_us is None else max(now_us, alert.extended_us + repeat_us)
    alert.extended_us = due_us
    add(session, alert, Occasion.EXTENDED, due_us)
    return True


def add_repeated(session: Session, alert: AlertRow, now_us: int, repeat_us: int) -> bool:
    """Note that a silence lasts, if ``repeat_us`` have passed since it was told of last; return whether they have.

    Nothing is noted ahead of time, since the silence may be over by then.
    """
    told_us = alert.created_us if alert.extended_us is None else alert.extended_us
    if alert.staged or now_us < told_us + repeat_us or _telling(session, alert.id):
        return False
    alert.extended_us = now_us
    add(session, alert, Occasion.REPEATED, now_us)
    return True


def _telling(session: Session, alert_id: str) -> bool:
    telling = (Occasion.RAISED.value, Occasion.EXTENDED.value, Occasion.REPEATED.value)
    waiting = exists().where(
        OutboxRow.alert_id == alert_id, OutboxRow.started_us.is_(None), OutboxRow.occasion.in_(telling)
    )
    return bool(session.scalar(select(waiting)))


def withdraw_extended(session: Session, alert_id: str) -> None:
    """Forget an extension or repetition that nobody was told of yet, because the alert is at an end."""
    occasions = (Occasion.EXTENDED.value, Occasion.REPEATED.value)
    session.execute(
        delete(OutboxRow).where(
            OutboxRow.alert_id == alert_id,
            OutboxRow.occasion.in_(occasions),
            OutboxRow.started_us.is_(None),
        )
    )


def something_due(session: Session, now_us: int, only: Collection[str] | None = None) -> bool:
    """Return whether :func:`take` could find something; a look that holds no lock."""
    entry = exists().where(OutboxRow.started_us.is_(None), OutboxRow.due_us <= now_us)
    task = exists().where(~TaskRow.finished, TaskRow.ready_us <= now_us)
    if only is not None:
        task = task.where(TaskRow.plugin.in_(only))
    return bool(session.scalar(select(or_(entry, task))))


def take(
    session: Session,
    plugins: Sequence[tuple[str, bool]],
    most: int,
    lease_us: int,
    now_us: int,
    only: Collection[str] | None = None,
) -> list[Task]:
    """Expand due entries for the enabled plugins and lease tasks that nothing else must precede.

    Tasks put back together have one due time, and those first leased together one end of their lease: by that number
    what was one message is one again. A further lease keeps those of different numbers apart.
    """
    _expand(session, plugins, most, now_us)
    _skip_disabled(session, [name for name, _ in plugins], now_us)
    rows = session.execute(_ready(now_us, only).limit(most)).all()
    alerts = {alert.id: alert for alert in records.read(session, list({row[0].alert_id for row in rows}))}
    numbers = sorted({row[0].ready_us for row in rows if row[0].attempt})
    apart = {number: place for place, number in enumerate(numbers, 1)}
    tasks = []
    for task, occasion, started_us in rows:
        tried = task.attempt > 0
        task.attempt += 1
        together_us, unsure = (task.ready_us, not task.waiting) if tried else (None, False)
        tasks.append(
            Task(
                *(task.key, alerts[task.alert_id], Occasion(occasion), task.plugin, task.attempt),
                *(started_us or now_us, together_us, unsure),
            )
        )
        task.waiting = False
        task.ready_us = now_us + lease_us + (apart[together_us] if together_us is not None else 0)
    return tasks


def _expand(session: Session, plugins: Sequence[tuple[str, bool]], most: int, now_us: int) -> None:
    due = (
        select(OutboxRow)
        .where(OutboxRow.started_us.is_(None), OutboxRow.due_us <= now_us)
        .order_by(OutboxRow.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    in_order = [plugin for plugin in plugins if plugin[1]] + [plugin for plugin in plugins if not plugin[1]]
    for entry in session.scalars(due).all():
        if not in_order:
            session.delete(entry)
            continue
        entry.started_us = now_us
        for position, (name, enriches) in enumerate(in_order):
            session.add(
                TaskRow(
                    outbox_id=entry.id,
                    position=position,
                    key=f"{entry.alert_id}:{entry.ordinal}:{name}",
                    alert_id=entry.alert_id,
                    plugin=name,
                    enriches=enriches,
                    ready_us=now_us,
                )
            )
    session.flush()


def _skip_disabled(session: Session, enabled: Sequence[str], now_us: int) -> None:
    gone = select(TaskRow).where(
        ~TaskRow.finished, TaskRow.ready_us <= now_us, TaskRow.plugin.not_in(enabled)
    )
    for row in session.scalars(gone).all():
        _finish(session, row, TaskResult("skipped", "the plugin is no longer enabled"), now_us)


def _ready(now_us: int, only: Collection[str] | None) -> Select[TaskRow, str, int | None]:
    """Select what may start: no enricher ahead of it, and its plugin done with the alert's earlier occasions."""
    query = (
        select(TaskRow, OutboxRow.occasion, OutboxRow.started_us)
        .join(OutboxRow, OutboxRow.id == TaskRow.outbox_id)
        .where(~TaskRow.finished, TaskRow.ready_us <= now_us)
        .where(~_enricher_ahead(now_us), ~_earlier_occasion())
        .order_by(TaskRow.outbox_id, TaskRow.position)
        .with_for_update(of=TaskRow, skip_locked=True)
    )
    return query if only is None else query.where(TaskRow.plugin.in_(only))


def _enricher_ahead(now_us: int) -> ColumnElement[bool]:
    ahead = aliased(TaskRow)
    in_time = OutboxRow.started_us > now_us - ENRICHING_LIMIT_S * 1_000_000
    return exists().where(
        and_(ahead.outbox_id == TaskRow.outbox_id, ahead.position < TaskRow.position),
        and_(ahead.enriches, ~ahead.finished, or_(~ahead.waiting, in_time)),
    )


def _earlier_occasion() -> ColumnElement[bool]:
    earlier = aliased(TaskRow)
    return exists().where(
        and_(earlier.alert_id == TaskRow.alert_id, earlier.plugin == TaskRow.plugin),
        and_(earlier.outbox_id < TaskRow.outbox_id, ~earlier.finished),
    )


def settle(
    session: Session, task: Task, result: TaskResult, now_us: int, guard: BlockGuard | None = None
) -> None:
    """Write down what became of a task; once it is settled, settling it again changes nothing.

    Putting back an attempt whose lease has run out, so that another has begun, changes nothing either. What the
    action wants blocked is blocked in the same transaction.

    :param guard: refuses to block what must not be; None has only what nobody may block.
    """
    row = session.scalar(select(TaskRow).where(TaskRow.key == task.key).with_for_update())
    if row is None or row.finished:
        return
    if result.outcome not in ("retry", "postponed"):
        _finish(session, row, _blocked(session, row, result, guard or BlockGuard(), now_us), now_us)
    elif task.attempt == row.attempt:
        row.attempt -= result.outcome == "postponed"
        row.waiting = row.enriches or not task.unsure  # a failure now says nothing of the try before
        row.ready_us = now_us if result.due_us is None else result.due_us
        if result.text:
            alert = session.get_one(AlertRow, row.alert_id, with_for_update=True)
            _note_error(alert, row.plugin, task.occasion.value, result.text)


def _blocked(
    session: Session, row: TaskRow, result: TaskResult, guard: BlockGuard, now_us: int
) -> TaskResult:
    """Carry out a block that a result asks for, and return the result with what became of it."""
    block = result.change.block if result.change is not None and result.outcome == "done" else None
    if block is None:
        return result
    actor = audit.Actor(row.plugin, "plugin")
    try:
        text = blocks.carry_out(session, block, row.alert_id, guard, actor, now_us)
    except ValueError as error:
        return TaskResult("skipped", f"not blocked: {error}")
    return replace(result, text="; ".join(filter(None, (result.text, text))))


def _finish(session: Session, row: TaskRow, result: TaskResult, now_us: int) -> None:
    row.finished = True
    entry = session.get_one(OutboxRow, row.outbox_id)
    alert = session.get_one(AlertRow, row.alert_id, with_for_update=True)
    actor = audit.Actor(row.plugin, "plugin")
    outcome = {"outcome": result.outcome, "text": result.text, "attempts": row.attempt}
    audit.append(
        session, actor, audit.Change("action", "alert", alert.id, entry.occasion, after=outcome), now_us
    )
    _note_error(alert, row.plugin, entry.occasion, result.text if result.outcome == "failed" else None)
    if result.change is not None and result.outcome == "done":
        for change in apply(alert, result.change):
            audit.append(session, actor, change, now_us)
    session.flush()
    if not session.scalar(select(exists().where(TaskRow.outbox_id == entry.id, ~TaskRow.finished))):
        session.execute(delete(OutboxRow).where(OutboxRow.id == entry.id))


def _note_error(alert: AlertRow, plugin: str, occasion: str, text: str | None) -> None:
    """Let the plugin's last failure on this occasion stand on the alert, or no failure when there is none."""
    label = f"{plugin} ({occasion}): "
    if text is not None:
        text = text.removeprefix(f"{plugin}: ")
    errors = [error for error in alert.errors if not error.startswith(label)]
    alert.errors = errors if text is None else [*errors, label + (text or "failed")]
