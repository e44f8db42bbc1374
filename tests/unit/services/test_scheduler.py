from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

import pytest

from mozdef_core import hookimpl
from mozdef_core.alert import Alert, Moment
from mozdef_core.detection import Detector
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import BatchRecord, Job, JobState, OwedSpan, Scheduler
from mozdef_core.response import Responder
from mozdef_core.services.scheduler import MOST_TASKS, add_jobs
from mozdef_core.testing import MakeEvent
from mozdef_core.window import Window


class ByHand(Scheduler):
    """A scheduler whose jobs a test runs."""

    def __init__(self) -> None:
        self.intervals: dict[str, timedelta] = {}
        self.work: dict[str, Job] = {}

    def every(self, interval: timedelta, name: str, job: Job) -> None:
        self.intervals[name], self.work[name] = interval, job

    def at(self, crontab: str, name: str, job: Job) -> None:
        raise NotImplementedError

    def remove(self, name: str) -> None:
        raise NotImplementedError

    def due_after(self, crontab: str, moment_us: int) -> int:
        raise NotImplementedError

    def jobs(self) -> Mapping[str, JobState]:
        return {}

    def run(self, stop: threading.Event) -> None:
        raise NotImplementedError


class Everything:
    """A rule that finds every event; and a counter of the alert actions."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.told = 0

    @hookimpl
    def alert_match(self, window: Window) -> list[Alert]:
        self.seen.extend(event.id for event in window)
        return []

    @hookimpl
    def alert_action(self, alert: Alert) -> None:
        self.told += 1


class Site:
    def __init__(self) -> None:
        self.rule = Everything()
        host = Host([Plugin("everything", self.rule)], Health())
        self.book, self.store, self.scheduler = MemoryBook(), MemoryStore(), ByHand()
        self.tidied = 0
        self.responder = Responder(host, self.book)
        add_jobs(
            self.scheduler,
            responder=self.responder,
            detector=Detector(host),
            store=self.store,
            book=self.book,
            tidy=self.tidy,
        )

    def tidy(self) -> None:
        self.tidied += 1

    def do(self, name: str) -> None:
        self.scheduler.work[name]()


def test_actions_are_looked_for_twice_a_second_owed_spans_each_second_and_house_is_kept_each_minute() -> None:
    assert Site().scheduler.intervals == {
        "respond": timedelta(seconds=0.5),
        "owed": timedelta(seconds=1),
        "tidy": timedelta(minutes=1),
    }


def test_all_due_actions_are_run_at_once_however_many(make_event: MakeEvent) -> None:
    site, number = Site(), 2 * MOST_TASKS + 3
    for ordinal in range(number):
        first = Moment.of(make_event(f"event {ordinal}"))
        alert = Alert("everything", "seen", first, first, group=("n", str(ordinal)))
        site.book.record(BatchRecord(alerts=[alert]))
    site.do("respond")
    assert site.rule.told == number


def test_a_span_that_is_owed_to_a_rule_is_run_over_the_store(make_event: MakeEvent) -> None:
    site, event = Site(), make_event("x")
    site.store.write([event])
    site.book.record(BatchRecord(owed=[OwedSpan("everything", event.id, event.id, "it was suspended")]))
    site.do("owed")
    site.do("owed")
    assert site.rule.seen == [event.id]


def test_keeping_house_is_what_was_given() -> None:
    site = Site()
    site.do("tidy")
    assert site.tidied == 1


def test_what_is_not_to_be_had_now_is_left_to_the_scheduler_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()

    def gone(_most: int) -> int:
        raise StoreUnavailableError("gone")

    monkeypatch.setattr(site.responder, "run_due", gone)
    with pytest.raises(StoreUnavailableError):
        site.do("respond")
