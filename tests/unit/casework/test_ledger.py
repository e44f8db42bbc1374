"""The ledger in the database: what only this book has - processes that race, rows that staged alerts leave."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mozdef_core.alert import AlertChange, Status
from mozdef_core.casework import alerts, audit, forgetting, processes
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.changes import apply
from mozdef_core.casework.models import AlertRow, LivenessRow
from mozdef_core.casework.transitions import Step
from mozdef_core.casework.triage import set_status
from mozdef_core.errors import LeaseLostError
from mozdef_core.ports import BatchRecord, Interval, Keep, Outcome, Pruned, RunState
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at, finding
from mozdef_core.testing_contracts.book_findings import silence
from mozdef_core.testing_contracts.ledger_runs import TEN_DAYS, interval


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(url: str, clock: Clock) -> Iterator[SqlBook]:
    opened = SqlBook(url, clock=clock)
    yield opened
    opened.close()


def test_of_two_processes_that_believe_to_have_a_rule_only_the_newer_writes(
    url: str, book: SqlBook, clock: Clock
) -> None:
    other = SqlBook(url, clock=clock)
    old = book.lease("rule", START_US, clock.us, 60)
    clock.pass_by(60)
    new = other.lease("rule", START_US, clock.us, 60)
    assert old is not None
    assert new is not None
    ready, wrote = threading.Barrier(2), list[int]()

    def finish(mine: SqlBook, lease: object, user: str) -> None:
        ready.wait(10)
        try:
            mine.finish(lease, Outcome(interval(0, 60), [finding(event_at(0), user=user)]))  # type: ignore[arg-type]
            wrote.append(lease.fence)  # type: ignore[attr-defined]
        except LeaseLostError:
            pass

    threads = [
        threading.Thread(target=finish, args=args) for args in ((book, old, "ines"), (other, new, "otto"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    other.close()
    assert wrote == [new.fence]
    assert list(book.consumed("rule", 0, 1 << 62)) == ["otto"]


def test_looking_for_a_rule_that_another_process_has_locks_nothing(book: SqlBook, clock: Clock) -> None:
    assert book.lease("rule", START_US, clock.us, 60) is not None
    with book.database.write():  # who would write now would wait for ten seconds, and fail
        assert book.lease("rule", START_US, clock.us, 60) is None


def test_a_watermark_that_stays_locks_nothing(book: SqlBook, clock: Clock) -> None:
    with book.database.write() as session:
        processes.report(session, "worker", "1", {"worker": {"watermark_us": START_US}}, clock.us)
    assert book.watermark(clock.us) == START_US
    with book.database.write():
        assert book.watermark(clock.us) == START_US


def test_a_watermark_that_another_process_has_raised_further_stays(book: SqlBook) -> None:
    with book.database.write() as session:
        assert processes.raise_watermark(session, 9) == 9
        assert processes.raise_watermark(session, 7) == 9


def test_staged_alerts_stand_in_a_list_of_their_own(book: SqlBook) -> None:
    (live,) = book.record(BatchRecord(alerts=[finding(event_at(0))]))
    (staged,) = book.record(BatchRecord(alerts=[finding(event_at(0), staged=True)]))

    def found(wanted: alerts.Filter) -> list[str]:
        with book.database.read() as session:
            return [line.alert.id for line in alerts.search(session, wanted).lines]

    for wanted in (alerts.Filter(), alerts.Filter(waiting=True), alerts.Filter(rule="rule")):
        assert found(wanted) == [live.id]
    assert found(alerts.Filter(staged=True)) == [staged.id]
    assert found(alerts.Filter(staged=True, rule="rule", status=[Status.MANUAL])) == [staged.id]


def test_that_a_silence_lasts_is_no_news_to_who_has_acknowledged_it(book: SqlBook) -> None:
    (silent,) = book.record(BatchRecord(alerts=[silence(0, 60)]))
    (noisy,) = book.record(BatchRecord(alerts=[finding(event_at(0), group_s=60)]))
    for alert in (silent, noisy):
        with book.database.write() as session:
            set_status(session, alert.id, Step(Status.ACKNOWLEDGED), audit.Actor("ines"), START_US)
    book.record(BatchRecord(alerts=[silence(0, 120), finding(event_at(5), group_s=60)]))
    with book.database.read() as session:
        waiting = alerts.search(session, alerts.Filter(waiting=True)).lines
    assert [(line.alert.id, line.news) for line in waiting] == [(noisy.id, 1)]


def history(book: SqlBook, alert_id: str) -> list[tuple[str, str | None, str]]:
    with book.database.read() as session:
        return [
            (entry.action, entry.field, entry.actor_kind)
            for entry in audit.entries(session, "alert", alert_id)
        ]


def test_of_a_staged_alert_only_that_it_was_raised_is_audited(book: SqlBook, clock: Clock) -> None:
    (staged,) = book.record(BatchRecord(alerts=[silence(0, 60, staged=True)]))
    clock.pass_by(7200)
    book.record(BatchRecord(alerts=[silence(0, 7200, staged=True)]))
    book.record(BatchRecord(alerts=[silence(0, 7200, recovered=7300, staged=True)]))
    assert history(book, staged.id) == [("raised", None, "system")]


def test_the_end_of_a_silence_is_audited_as_done_by_the_system(book: SqlBook) -> None:
    (alert,) = book.record(BatchRecord(alerts=[silence(0, 60)]))
    book.record(BatchRecord(alerts=[silence(0, 60, recovered=90)]))
    assert history(book, alert.id) == [
        ("raised", None, "system"),
        ("recovered", "recovered_at", "system"),
        ("changed", "verdict", "system"),
        ("changed", "status", "system"),
    ]
    with book.database.read() as session:
        assert audit.verify(session) is None


def test_an_action_does_not_overwrite_when_a_silence_was_over(book: SqlBook) -> None:
    (alert,) = book.record(BatchRecord(alerts=[silence(0, 60, recovered=90)]))
    with book.database.read() as session:
        assert alerts.show(session, alert.id).alert.recovered_us == START_US + 90 * SECOND
    with book.database.write() as session:
        change = AlertChange({"recovered_at": "never", "site": "Bonn"})
        assert len(list(apply(session.get_one(AlertRow, alert.id), change))) == 1
    with book.database.read() as session:
        details = alerts.show(session, alert.id).alert.details
    assert (details["recovered_at"], details["site"]) == (alert.details["recovered_at"], "Bonn")


def test_a_row_that_has_grown_since_it_was_chosen_is_not_removed(book: SqlBook, clock: Clock) -> None:
    lease = book.lease("rule", START_US, clock.us, 0)
    assert lease is not None
    book.finish(lease, Outcome(interval(0, 60), state={"a": 1}))
    clock.pass_by(400 * 86_400)
    with book.database.read() as session:
        chosen = forgetting.due(session, TEN_DAYS, clock.us, 100)
    assert (len(chosen.intervals), len(chosen.remembered)) == (1, 1)
    assert book.lease("rule", START_US, clock.us, 0) is not None
    grown = Interval("rule", START_US + MINUTE, clock.us, RunState.RAN, clock.us)
    with pytest.raises(LeaseLostError):
        book.finish(lease, Outcome(grown))
    book.finish(lease._replace(fence=2), Outcome(grown))
    with book.database.write() as session:
        assert forgetting.remove(session, chosen, TEN_DAYS, clock.us) == Pruned()
    assert len(book.intervals("rule", 0, clock.us)) == 1
    assert book.recall("rule") == {"a": 1}


def test_a_step_of_forgetting_is_bounded(book: SqlBook, clock: Clock) -> None:
    lease = book.lease("rule", START_US, clock.us, 60)
    assert lease is not None
    state = {f"{number:04d}": number for number in range(1_500)}
    seen = {f"{number:04d}": START_US for number in range(1_500)}
    book.finish(lease, Outcome(interval(0, 60), state=state, seen=seen))
    clock.pass_by(400 * 86_400)
    keep = Keep(TEN_DAYS.events)
    assert book.prune(keep) == Pruned(seen=1_000, remembered=1_000, intervals=1)
    assert book.prune(keep) == Pruned(seen=500, remembered=500)
    assert book.prune(keep) == Pruned(rules=1)
    assert book.prune(keep) == Pruned()


def test_each_report_leaves_a_row_for_every_part_it_vouches_for(book: SqlBook) -> None:
    counters = {"queue": {"items": 0}, "inputs": {"syslog": {"running": True}}}
    with book.database.write() as session:
        processes.report(session, "worker", "1", counters, START_US)
        processes.report(session, "worker", "1", counters, START_US + 1)
    with book.database.read() as session:
        rows = session.query(LivenessRow.minute, LivenessRow.part).all()
    assert sorted(rows) == [(START_US // MINUTE, part) for part in ("input:syslog", "queue", "worker")]
