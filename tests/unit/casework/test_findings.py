from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.alert import Alert, Moment
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import migrate
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.event import Event
from mozdef_core.ports import AlertBook, BatchRecord
from mozdef_core.testing_contracts.book_alerts import Clock, event_at, finding

TEMPLATE = Path(tempfile.mkdtemp(prefix="casework-")) / "empty.sqlite"
Steps = list[tuple[int, str]]
steps = st.lists(st.tuples(st.integers(0, 400), st.sampled_from("ab")), min_size=1, max_size=14, unique=True)


def sql_book(folder: str) -> SqlBook:
    if not TEMPLATE.exists():
        migrate(f"sqlite:///{TEMPLATE}")
    path = Path(folder) / "casework.sqlite"
    shutil.copy(TEMPLATE, path)
    return SqlBook(f"sqlite:///{path}", clock=Clock())


def outcome(alerts: Sequence[Alert]) -> dict[str, tuple[Any, ...]]:
    """What each alert came to in the end."""
    last = {alert.id: alert for alert in alerts}
    return {
        alert.id: (alert.first, alert.last, alert.count, tuple(event.id for event in alert.events))
        for alert in last.values()
    }


def findings_of(order: Steps, group_s: float) -> list[Alert]:
    return [finding(event_at(second), user=user, group_s=group_s) for second, user in order]


def recorded(book: AlertBook, batches: Sequence[Sequence[Alert]]) -> list[Alert]:
    return [alert for batch in batches for alert in book.record(BatchRecord(alerts=batch))]


@given(steps, st.data())
@settings(max_examples=25, deadline=None)
def test_batches_in_order_and_delivered_twice_give_the_alerts_of_one_pass(
    order: Steps, data: st.DataObject
) -> None:
    found = findings_of(sorted(order), 60)
    batches: list[list[Alert]] = []
    while found:
        size = data.draw(st.integers(1, len(found)))
        batches.extend([found[:size]] * data.draw(st.integers(1, 2)))
        found = found[size:]
    whole = outcome(MemoryBook(clock=Clock()).record(BatchRecord(alerts=findings_of(order, 60))))
    with tempfile.TemporaryDirectory() as folder:
        book = sql_book(folder)
        assert outcome(recorded(book, batches)) == whole
        book.close()


@given(steps.flatmap(st.permutations), st.booleans())
@settings(max_examples=25, deadline=None)
def test_without_grouping_no_order_changes_anything(order: Steps, again: bool) -> None:
    found = findings_of(order, 0)
    with tempfile.TemporaryDirectory() as folder:
        book = sql_book(folder)
        alerts = outcome(recorded(book, [[each] for each in found] * (2 if again else 1)))
        book.close()
    assert set(alerts) == {each.minted_id for each in found}
    assert {value[2] for value in alerts.values()} == {1}


@given(st.lists(steps.flatmap(st.permutations), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_in_any_order_every_event_is_consumed_and_both_books_agree(batches: list[Steps]) -> None:
    found = [findings_of(batch, 60) for batch in batches]
    memory = outcome(recorded(MemoryBook(clock=Clock()), found))
    with tempfile.TemporaryDirectory() as folder:
        book = sql_book(folder)
        alerts = recorded(book, found)
        assert outcome(alerts) == memory
        assert not recorded(book, found)
        book.close()
    final = {alert.id: alert for alert in alerts}.values()
    for each in (each for batch in found for each in batch):
        alike = [alert for alert in final if alert.group == each.group]
        assert any(alert.first <= each.first <= alert.last for alert in alike)


def test_text_that_no_database_takes_does_not_stop_the_batch(url: str) -> None:
    book = SqlBook(url)
    event: Event = event_at(0, huge=2**80, broken="\ud800", nul="a\0b")
    (alert,) = book.record(
        BatchRecord(
            alerts=[finding(event, user="\ud800", summary="a\0b\ud800c", details={"x": 2**80, "y": "\ud800"})]
        )
    )
    assert alert.summary == "a\ufffdb\ufffdc"
    assert alert.events[0].body["details"]["huge"] == 2**80
    assert alert.first == Moment.of(event)
    assert not book.record(BatchRecord(alerts=[finding(event, user="\ud800")]))
    book.close()
