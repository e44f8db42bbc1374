from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Change
from mozdef_core.query.model import All
from mozdef_core.services import retention as module
from mozdef_core.services.retention import INTERVAL_S, Retention
from mozdef_core.settings import RetentionSettings
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
