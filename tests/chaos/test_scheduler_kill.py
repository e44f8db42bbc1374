"""The scheduler's runner is killed at random moments while events are written; it finds what one pass would, once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mozdef_core.alert import Alert, Moment
from mozdef_core.casework import records
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.ledger_models import RuleRow
from mozdef_core.casework.migration import upgrade
from mozdef_core.casework.models import AlertRow
from mozdef_core.detection import Budget, Runner, Scheduled, runner
from mozdef_core.detection.stream import Conditions, EventsWindow
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.event import Event, isoformat, new_ids, now_us
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import BatchRecord
from mozdef_core.query.model import Term
from mozdef_core.rules import AggregationRule, Group, SequenceRule, Step
from tests.running import eventually

KILLS = int(os.environ.get("MOZDEF_CHAOS_KILLS", "20"))
OPTIONS = TantivyStore.Options(heap_mb=15, open_writers=1)
USERS = 8


class Guessing(AggregationRule[AggregationRule.Options]):
    """Six failures of one user within two seconds, and what follows within one."""

    query = Term("details.result", "failed")
    by = "details.user"
    window = timedelta(seconds=2)
    group_for = timedelta(seconds=1)
    threshold = 6
    schedule = "1s"

    def summary(self, group: Group) -> str:
        return f"{group.count} failures of {group.key}"


class Guessed(SequenceRule[SequenceRule.Options]):
    """Three failures of one user and then a success, within three seconds; every one is an alert of its own."""

    steps = (Step(Term("details.result", "failed"), 3), Step(Term("details.result", "accepted")))
    by = "details.user"
    window = timedelta(seconds=3)
    group_for = timedelta(0)
    schedule = "1s"

    def summary(self, group: Group) -> str:
        return f"{group.key} guessed"


RULES: dict[str, Any] = {"guessing": Guessing, "guessed": Guessed}


def main(folder: str) -> None:
    """Run both rules again and again until killed, with leases that end soon."""
    runner.SLICE_S = 0.2  # type: ignore[misc]
    path = Path(folder)
    store, book = (
        TantivyStore(OPTIONS, path / "events", "reader"),
        SqlBook(f"sqlite:///{path / 'casework.db'}"),
    )
    plugins = [Plugin(name, made(made.Options())) for name, made in RULES.items()]
    running = Runner(Host(plugins, Health(Limits(failures=10**9))), store, book, Budget(time_limit_s=0.2))
    rules = [Scheduled.of(plugin, lambda us: us + 1_000_000) for plugin in plugins]
    print("ready", flush=True)
    while True:
        for rule in rules:
            running.run(rule)


class Writer(threading.Thread):
    """Does what a worker does: numbered events into the store in the order of their times, then into the journal."""

    def __init__(self, store: TantivyStore, book: SqlBook) -> None:
        super().__init__()
        self.store, self.book = store, book
        self.number = 0
        self.stop = threading.Event()

    def run(self) -> None:
        """Write until told to stop."""
        chance = random.Random(29)
        while not self.stop.wait(chance.choice((0.01, 0.05, 0.3))):
            at_us = now_us() - 25  # so that none is in the future
            ids = new_ids(at_us, chance.randrange(1, 25))
            events = [
                self.event(event_id, at_us + place, chance) for place, event_id in enumerate(sorted(ids))
            ]
            self.store.write(events)
            self.book.record(BatchRecord(arrivals={event.detection_us // 60_000_000: 1 for event in events}))

    def event(self, event_id: str, us: int, chance: random.Random) -> Event:
        """Return the next event."""
        self.number += 1
        details = {
            "number": self.number,
            "user": f"user{chance.randrange(USERS)}",
            "result": chance.choice(("failed", "failed", "failed", "accepted", "refused")),
        }
        times = {"utctimestamp": isoformat(us), "receivedtimestamp": isoformat(us)}
        return Event(event_id, {**times, "summary": "a login", "details": details})


@contextmanager
def started(folder: Path) -> Iterator[None]:
    """Start the runner, and kill it when this is left."""
    command = [sys.executable, "-m", "tests.chaos.test_scheduler_kill", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def in_hand(book: SqlBook) -> int:
    """Return how many rules a process holds, dead or alive."""
    with book.database.read() as session:
        return len(session.scalars(select(RuleRow.rule).where(RuleRow.leased_until_us > 0)).all())


def found(book: SqlBook) -> list[Alert]:
    with book.database.read() as session:
        return records.read(session, list(session.scalars(select(AlertRow.id))))


def shapes(alerts: Collection[Alert], rule: str) -> list[tuple[str, Moment, Moment, int]]:
    return sorted((alert.group[1], alert.first, alert.last, alert.count) for alert in alerts
                  if alert.group is not None and alert.rule == rule)  # fmt: skip


def in_one_pass(name: str, events: Sequence[Event]) -> list[tuple[str, Moment, Moment, int]]:
    made = RULES[name]
    alerts = made(made.Options()).alert_match(window=EventsWindow(events, Conditions()))
    return sorted((alert.group[1], alert.first, alert.last, alert.count) for alert in alerts)


@pytest.mark.timeout(900)
def test_a_runner_killed_at_random_moments_finds_what_one_pass_would(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'casework.db'}"
    upgrade(url)
    store, book = TantivyStore(OPTIONS, tmp_path / "events", "writer"), SqlBook(url)
    for name in RULES:  # from now on the rules are responsible
        lease = book.lease(name, now_us(), now_us(), 1)
        assert lease is not None
        book.release(lease)
    chance = random.Random(int(os.environ.get("MOZDEF_CHAOS_SEED", "7")))
    writer = Writer(store, book)
    writer.start()
    interrupted = 0
    try:
        for _ in range(KILLS):
            with started(tmp_path):
                time.sleep(chance.uniform(0, 2))
            interrupted += in_hand(book) > 0
    finally:
        writer.stop.set()
        writer.join()
    written_us = now_us()

    journal, _ = book.arrivals_since(0)

    def caught_up() -> bool:
        with book.database.read() as session:
            rows = session.scalars(select(RuleRow)).all()
            return all(row.cursor_us > written_us and row.journal == journal for row in rows)

    with started(tmp_path):
        assert eventually(caught_up, 120, 0.1)
    store.refresh()
    events = list(store.between_ids("0", "Z" * 26))
    alerts = found(book)
    print(
        f"{KILLS} kills, {interrupted} of them in the middle of a run; {len(events)} events, {len(alerts)} alerts"
    )
    assert len(events) == writer.number
    for name in RULES:
        assert shapes(alerts, name) == in_one_pass(name, events)
        assert len(shapes(alerts, name)) > KILLS // 2
    assert interrupted > 0
    store.close()
    book.close()


if __name__ == "__main__":
    main(sys.argv[1])
