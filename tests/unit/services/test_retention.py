from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import BookUnavailableError, StoreUnavailableError
from mozdef_core.event import Change
from mozdef_core.ports import PRUNE_STEP, BatchRecord, DeadLetter, Keep, Origin, Pruned
from mozdef_core.query.model import All
from mozdef_core.services import retention as module
from mozdef_core.services.retention import INTERVAL_S, PAUSE_S, Housekeeping, Retention
from mozdef_core.settings import LetterSettings, RetentionSettings
from mozdef_core.testing import MakeEvent

NOW_US = 1_767_323_045_000_000
"""2026-01-02T03:04:05Z."""


class Clock:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "now_us", lambda: NOW_US)


def filled(make_event: MakeEvent, *received: str, retention_class: str = "") -> MemoryStore:
    store = MemoryStore()
    events = [make_event("x", received=f"{moment}+00:00") for moment in received]
    if retention_class:
        events = [event.with_change(Change(set={"mozdef.retention": retention_class})) for event in events]
    store.write(events)
    return store


def keeping(default: str | None, **classes: timedelta | None) -> RetentionSettings:
    days = None if default is None else timedelta(days=int(default.removesuffix("d")))
    return RetentionSettings(default=days, classes=classes)


def test_a_day_goes_when_all_of_it_is_further_back_than_its_class_is_kept(make_event: MakeEvent) -> None:
    store = filled(make_event, "2025-12-30T23:59:59", "2025-12-31T00:00:00", "2026-01-02T03:00:00")
    Retention(store, keeping("2d"))()
    assert list(store.status().days) == ["2025-12-31", "2026-01-02"]


@pytest.mark.parametrize(
    ("retention_class", "left"), [("short", 0), ("audit", 1), ("1d", 0), ("9d", 1), ("", 1)]
)
def test_each_class_is_kept_as_long_as_it_says(
    make_event: MakeEvent, retention_class: str, left: int
) -> None:
    store = filled(make_event, "2025-12-28T00:00:00", retention_class=retention_class)
    Retention(store, keeping("7d", short=timedelta(days=2), audit=None))()
    assert store.count(All()) == left


def test_without_a_limit_everything_stays(make_event: MakeEvent) -> None:
    store = filled(make_event, "1999-01-01T00:00:00")
    Retention(store, keeping(None))()
    assert store.count(All()) == 1


def test_it_looks_every_ten_minutes(make_event: MakeEvent) -> None:
    store, clock = MemoryStore(), Clock()
    retention = Retention(store, keeping("2d"), clock)
    retention()
    store.write([make_event("x", received="2020-01-01T00:00:00+00:00")])
    clock.s += INTERVAL_S - 1
    retention()
    assert store.count(All()) == 1
    clock.s += 1
    retention()
    assert store.count(All()) == 0


def test_a_store_that_is_not_to_be_had_is_asked_again_next_time(
    make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = filled(make_event, "2020-01-01T00:00:00"), Clock()

    def gone(*_: str) -> int:
        raise StoreUnavailableError("the disk is gone")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(store, "drop_before", gone)
        retention = Retention(store, keeping("2d"), clock)
        retention()
    assert caplog.messages == ["nothing was removed: the disk is gone"]
    clock.s += INTERVAL_S
    retention()
    assert store.count(All()) == 0


class Book(MemoryBook):
    """Says what it was asked to keep, and takes its time."""

    def __init__(self, clock: Clock, step_s: float = 0.0) -> None:
        super().__init__(clock=lambda: NOW_US)
        self.asked: list[Keep] = []
        self.clock, self.step_s = clock, step_s
        self.fails_at: int | None = None

    def prune(self, keep: Keep) -> Pruned:
        self.asked.append(keep)
        if len(self.asked) == self.fails_at:
            raise BookUnavailableError("the disk is gone")
        self.clock.s += self.step_s
        return super().prune(keep)

    def fill(self, letters: int) -> None:
        origin = Origin("events", "http")
        self.record(
            BatchRecord(
                dead_letters=[
                    DeadLetter(f"{each}", 0, origin, "parse", "c", "", b"", status="open")
                    for each in range(letters)
                ]
            )
        )


class House:
    def __init__(
        self, settings: RetentionSettings, store: MemoryStore | None = None, step_s: float = 0.0
    ) -> None:
        self.clock, self.waits = Clock(), list[float]()
        self.book = Book(self.clock, step_s)
        self.stop_after = 1_000
        self.keeping = Housekeeping(self.book, store or MemoryStore(), settings, self.wait, self.clock)

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return len(self.waits) >= self.stop_after


def test_the_casework_database_is_pruned_step_by_step_until_nothing_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House(RetentionSettings())
    house.book.fill(2 * PRUNE_STEP + 1)
    with caplog.at_level(logging.WARNING):
        house.keeping()
    assert (house.waits, len(house.book.asked)) == ([PAUSE_S] * 3, 4)
    assert house.keeping.total == Pruned(lost=2 * PRUNE_STEP + 1)
    assert caplog.messages == ["2001 open dead letters were removed by age or size"]
    house.book.fill(1)
    house.keeping()
    assert house.keeping.total == Pruned(lost=2 * PRUNE_STEP + 2)
    assert caplog.messages[1:] == ["1 open dead letters were removed by age or size"]


def test_others_may_write_for_as_long_as_a_step_took() -> None:
    house = House(RetentionSettings(), step_s=3.0)
    house.book.fill(PRUNE_STEP + 1)
    house.keeping()
    assert house.waits == [3.0, 3.0]


def test_a_process_that_is_to_stop_leaves_the_rest_for_the_next() -> None:
    house = House(RetentionSettings())
    house.book.fill(2 * PRUNE_STEP)
    house.stop_after = 1
    house.keeping()
    assert len(house.book.dead_letters) == PRUNE_STEP


def test_a_database_that_fails_half_way_is_the_jobs_failure_and_what_was_lost_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House(RetentionSettings())
    house.book.fill(2 * PRUNE_STEP)
    house.book.fails_at = 2
    with caplog.at_level(logging.WARNING), pytest.raises(BookUnavailableError, match="the disk is gone"):
        house.keeping()
    assert caplog.messages == ["1000 open dead letters were removed by age or size"]
    assert house.keeping.total == Pruned(lost=PRUNE_STEP)


def test_the_casework_database_keeps_what_the_class_that_is_kept_longest_needs(make_event: MakeEvent) -> None:
    letters = LetterSettings.model_validate({"open": "forever", "settled": "2d", "limit_bytes": 5})
    settings = keeping("7d", short=timedelta(days=2)).model_copy(update={"dead_letters": letters})
    store = filled(make_event, "2025-12-28T00:00:00", retention_class="9d")
    for known, days in ((MemoryStore(), 7), (store, 9)):
        house = House(settings, known)
        house.keeping()
        assert house.book.asked == [Keep(timedelta(days=days), None, timedelta(days=2), 5)]
    house = House(keeping("7d", audit=None))
    house.keeping()
    assert [keep.events for keep in house.book.asked] == [None]


def test_without_the_store_dead_letters_go_and_what_depends_on_events_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone() -> list[str]:
        raise StoreUnavailableError("the disk is gone")

    store = MemoryStore()
    monkeypatch.setattr(store, "retention_classes", gone)
    house = House(RetentionSettings(), store)
    house.book.fill(1)
    house.book.record(BatchRecord(arrivals={1: 1}))
    house.keeping()
    assert house.keeping.total == Pruned(lost=1)
