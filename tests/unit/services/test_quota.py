from __future__ import annotations

import logging

import pytest

from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.query.model import All
from mozdef_core.services import quota as module
from mozdef_core.services.quota import INTERVAL_S, REMIND_S, Quota
from mozdef_core.settings import RetentionSettings
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event


class Clock:
    def __init__(self) -> None:
        self.s = 50.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "now_us", lambda: BASE_US)  # 2026-03-29


def filled(*days: tuple[int, str]) -> MemoryStore:
    """Return a store with an event of a class received so many days ago, each as large as the next."""
    store = MemoryStore()
    for ago, retention_class in days:
        book = {"retention": retention_class.ljust(9), "defaulted": []}
        store.write([stored_event(BASE_US, received_us=BASE_US - ago * DAY_US, mozdef=book)])
    return store


def limited(store: MemoryStore, partitions: float, **classes: None) -> RetentionSettings:
    size = store.partitions()[0].size_bytes
    kept = {name.ljust(9): span for name, span in classes.items()}
    return RetentionSettings(max_bytes=int(size * partitions), classes=kept)


def left(store: MemoryStore) -> list[tuple[int, str]]:
    days = {f"2026-03-{29 - ago:02}": ago for ago in range(10)}
    return [(days[one.day], one.retention_class.strip()) for one in store.partitions()]


def test_the_oldest_days_go_until_the_rest_fits(caplog: pytest.LogCaptureFixture) -> None:
    store = filled((3, "a"), (2, "b"), (2, "a"), (1, "a"), (0, "a"))
    quota = Quota(store, limited(store, 3))
    with caplog.at_level(logging.WARNING):
        quota()
    assert left(store) == [(2, "b"), (1, "a"), (0, "a")]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "more than retention.max_bytes" in caplog.messages[0]
    assert "removed class a         of 2026-03-26" in caplog.messages[0]
    counters = quota.snapshot()
    assert (counters["removed"], counters["removed_until"], counters["trouble"]) == (2, "2026-03-27", None)
    assert counters["removed_bytes"] == 2 * store.partitions()[0].size_bytes
    assert counters["size_bytes"] == sum(one.size_bytes for one in store.partitions())


def test_nothing_goes_below_the_limit() -> None:
    store = filled((3, "a"), (0, "a"))
    Quota(store, limited(store, 2))()
    assert left(store) == [(3, "a"), (0, "a")]


def test_nothing_goes_without_a_limit() -> None:
    store = filled((3, "a"), (0, "a"))
    quota = Quota(store, RetentionSettings())
    quota()
    assert store.count(All()) == 2
    assert quota.snapshot() == {}


def test_what_is_kept_for_ever_goes_last() -> None:
    store = filled((9, "audit"), (2, "a"), (1, "a"), (0, "a"))
    Quota(store, limited(store, 2, audit=None))()
    assert left(store) == [(9, "audit"), (0, "a")]
    Quota(store, limited(store, 1, audit=None))()
    assert left(store) == [(0, "a")]


def test_what_was_received_today_stays_and_it_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = filled((1, "a"), (0, "a"), (0, "b")), Clock()
    quota = Quota(store, limited(store, 1), clock)
    for _ in range(REMIND_S // INTERVAL_S):
        quota()
        clock.s += INTERVAL_S
    assert left(store) == [(0, "a"), (0, "b")]
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert "raise retention.max_bytes, or let less in" in errors[0]
    assert quota.snapshot()["trouble"] == errors[0]
    quota()
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 2


def test_a_day_ahead_of_the_clock_stays() -> None:
    store = filled((-1, "a"), (0, "a"))
    Quota(store, limited(store, 1))()
    assert store.count(All()) == 2


def test_it_looks_every_minute() -> None:
    store, clock = filled((0, "a")), Clock()
    quota = Quota(store, limited(store, 1), clock)
    quota()
    old = filled((5, "a"))
    store.write(list(old.between_ids("0", "Z" * 26)))
    clock.s += INTERVAL_S - 1
    quota()
    assert store.count(All()) == 2
    clock.s += 1
    quota()
    assert left(store) == [(0, "a")]


def test_a_store_that_is_not_to_be_had_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = filled((3, "a"), (0, "a")), Clock()
    quota = Quota(store, limited(store, 1), clock)

    def gone(*_: str) -> int:
        raise StoreUnavailableError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(store, "drop_before", gone)
        quota()
    assert caplog.messages == ["nothing was removed to keep retention.max_bytes: the disk is gone"]
    assert quota.snapshot()["removed"] == 0
    clock.s += INTERVAL_S
    quota()
    assert left(store) == [(0, "a")]
