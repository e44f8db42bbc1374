"""The contract of every ledger: leases, intervals, memory, listening. It is part of the contract of the alert book."""

from __future__ import annotations

import threading

import pytest

from mozdef_core.alert import Consumed, Moment, Status
from mozdef_core.errors import AlertClosedError, LeaseLostError
from mozdef_core.ports import AlertBook, BatchRecord, Lease, Outcome, RunState
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at, finding
from mozdef_core.testing_contracts.ledger_listening import ListeningContract
from mozdef_core.testing_contracts.ledger_memory import MemoryContract
from mozdef_core.testing_contracts.ledger_runs import FAILED, FIRST_MINUTE, RAN, SKIPPED, interval, seconds


class LedgerContract(MemoryContract, ListeningContract):
    """The ledger; see :class:`~mozdef_core.testing_contracts.book.AlertBookContract`."""

    def set_status(self, book: AlertBook, alert_id: str, status: Status) -> None:
        """Do what an analyst does to give an alert this status."""
        raise NotImplementedError

    def test_a_new_rule_begins_where_it_is_told_and_with_the_journal_as_it_is(
        self, book: AlertBook, clock: Clock
    ) -> None:
        book.record(BatchRecord(arrivals={FIRST_MINUTE: 1}))
        number, _ = book.arrivals_since(0)
        assert number > 0
        assert book.lease("a", 123, clock.us, 60) == Lease("a", 1, 123, 123, number, 0)
        clock.pass_by(60)
        assert book.lease("a", 999, clock.us, 60) == Lease("a", 2, 123, 123, number, 0)

    def test_a_rule_is_leased_to_one_until_it_is_given_back_or_the_time_is_up(
        self, book: AlertBook, clock: Clock
    ) -> None:
        lease = self.take(book, clock)
        assert book.lease("rule", 0, clock.us, 60) is None
        assert book.lease("other", 0, clock.us, 60) is not None
        clock.pass_by(59.999999)
        assert book.lease("rule", 0, clock.us, 60) is None
        book.release(lease)
        again = self.take(book, clock)
        assert again.fence == lease.fence + 1
        clock.pass_by(60)
        assert self.take(book, clock).fence == lease.fence + 2

    def test_a_lease_that_was_lost_gives_nothing_back(self, book: AlertBook, clock: Clock) -> None:
        old = self.take(book, clock)
        clock.pass_by(60)
        self.take(book, clock)
        book.release(old)
        assert book.lease("rule", 0, clock.us, 60) is None
        book.release(old._replace(rule="unknown"))

    def test_of_many_that_race_for_a_rule_one_gets_it(self, book: AlertBook, clock: Clock) -> None:
        ready, got = threading.Barrier(4), list[Lease | None]()

        def race() -> None:
            ready.wait(10)
            got.append(book.lease("rule", START_US, clock.us, 60))

        for turn in range(1, 4):
            got.clear()
            threads = [threading.Thread(target=race) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert [lease.fence for lease in got if lease is not None] == [turn]
            assert len(got) == 4
            clock.pass_by(60)

    def test_what_was_begun_under_a_lost_lease_leaves_nothing(self, book: AlertBook, clock: Clock) -> None:
        old = self.take(book, clock)
        clock.pass_by(60)
        new = self.take(book, clock)
        outcome = Outcome(
            interval(0, 60),
            [finding(event_at(1))],
            cursor_us=START_US + 60 * SECOND,
            journal=7,
            state={"a": 1},
            seen={"id": START_US},
        )
        with pytest.raises(LeaseLostError, match="rule"):
            book.finish(old, outcome)
        with pytest.raises(LeaseLostError, match="rule"):
            book.set_aside(old, interval(0, 60, FAILED), START_US + 60 * SECOND)
        with pytest.raises(LeaseLostError, match="unknown"):
            book.finish(old._replace(rule="unknown"), outcome)
        assert not self.rows(book)
        assert not book.recall("rule")
        assert not book.seen("rule", ["id"])
        assert not book.due_tasks([("webhook", False)], 10, 60)
        assert not book.consumed("rule", 0, 1 << 62)
        clock.pass_by(60)
        assert self.take(book, clock) == new._replace(fence=new.fence + 1)
        (alert,) = book.record(BatchRecord(alerts=[finding(event_at(1))]))
        assert alert.count == 1

    def test_a_lease_whose_time_is_up_but_that_nobody_took_still_counts(
        self, book: AlertBook, clock: Clock
    ) -> None:
        lease = self.take(book, clock)
        clock.pass_by(600)
        assert not book.finish(lease, Outcome(interval(0, 60)))
        assert seconds(self.rows(book)) == [(0, 60, RAN)]

    def test_a_run_leaves_all_that_it_found(self, book: AlertBook, clock: Clock) -> None:
        lease = self.take(book, clock)
        ran = interval(0, 60, took_s=1.5, events=3, alerts=1, ungrouped=2, sample="odd", reason="late")
        found = finding(event_at(5), event_at(6), user="ines")
        (alert,) = book.finish(lease, Outcome(ran, [found], START_US + 60 * SECOND, 9, {"a": [1]}, {"x": 1}))
        assert (alert.id, alert.count) == (found.minted_id, 2)
        assert list(self.rows(book)) == [ran]
        assert [task.alert.id for task in book.due_tasks([("webhook", False)], 10, 60)] == [alert.id]
        book.release(lease)
        assert self.take(book, clock) == Lease(
            "rule", lease.fence + 1, START_US, START_US + 60 * SECOND, 9, 1
        )

    def test_neither_cursor_nor_journal_goes_back(self, book: AlertBook, clock: Clock) -> None:
        lease = self.take(book, clock)
        book.finish(lease, Outcome(interval(0, 60), cursor_us=START_US + 60 * SECOND, journal=9))
        book.finish(lease, Outcome(interval(0, 30)))
        book.finish(lease, Outcome(interval(0, 30), cursor_us=START_US + 30 * SECOND, journal=8))
        book.set_aside(lease, interval(0, 30, FAILED), START_US + 30 * SECOND)
        book.release(lease)
        after = self.take(book, clock)
        assert (after.cursor_us, after.journal, after.runs) == (START_US + 60 * SECOND, 9, 3)

    def test_the_same_finding_of_a_second_run_changes_nothing(self, book: AlertBook, clock: Clock) -> None:
        found, lease = finding(event_at(5), user="ines"), self.take(book, clock)
        assert book.finish(lease, Outcome(interval(0, 60), [found]))
        assert not book.finish(lease, Outcome(interval(0, 60, RunState.RERUN), [found]))
        assert len(book.due_tasks([("webhook", False)], 10, 60)) == 1

    def test_clean_neighbours_are_one_row(self, book: AlertBook, clock: Clock) -> None:
        first = interval(0, 60, took_s=1, events=3, alerts=1, ungrouped=1, sample="a")
        last = interval(60, 90, took_s=2, events=4, alerts=2, at_us=START_US + SECOND)
        self.run(book, clock, first, last)
        merged = interval(
            *(0, 90), took_s=3, events=7, alerts=3, ungrouped=1, sample="a", at_us=START_US + SECOND
        )
        assert list(self.rows(book)) == [merged]

    def test_what_did_not_run_clean_or_lies_apart_is_a_row_of_its_own(
        self, book: AlertBook, clock: Clock
    ) -> None:
        late = interval(60, 120, RunState.LATE), interval(120, 180, RunState.LATE)
        self.run(book, clock, interval(0, 60), *late, interval(180, 240), interval(300, 360))
        assert seconds(self.rows(book)) == [
            (0, 60, RAN),
            (60, 120, RunState.LATE),
            (120, 180, RunState.LATE),
            (180, 240, RAN),
            (300, 360, RAN),
        ]

    def test_a_row_goes_into_the_gap_between_its_neighbours(self, book: AlertBook, clock: Clock) -> None:
        self.run(book, clock, interval(0, 60), interval(120, 180), interval(60, 120))
        assert seconds(self.rows(book)) == [(0, 180, RAN)]

    def test_an_interval_run_again_cuts_the_row_it_lies_in(self, book: AlertBook, clock: Clock) -> None:
        self.run(book, clock, interval(0, 400, events=40, alerts=1, took_s=4))
        self.run(book, clock, interval(100, 200, RunState.RERUN, events=12))
        rows = self.rows(book)
        assert seconds(rows) == [(0, 100, RAN), (100, 200, RunState.RERUN), (200, 400, RAN)]
        assert [(row.events, row.alerts, row.took_s) for row in rows] == [(10, 1, 1), (12, 0, 0), (20, 0, 2)]
        self.run(book, clock, interval(50, 300, events=5))
        assert seconds(self.rows(book)) == [(0, 400, RAN)]

    def test_rows_of_other_rules_are_left_alone(self, book: AlertBook, clock: Clock) -> None:
        other = self.take(book, clock, "other")
        book.finish(other, Outcome(interval(0, 60, rule="other")))
        self.run(book, clock, interval(0, 30, RunState.LATE))
        assert seconds(self.rows(book, "other")) == [(0, 60, RAN)]

    def test_only_rows_that_touch_a_span_are_returned(self, book: AlertBook, clock: Clock) -> None:
        states = RunState.LATE, RunState.DEGRADED, RunState.BLIND
        self.run(book, clock, *(interval(60 * n, 60 * n + 60, state) for n, state in enumerate(states)))
        middle = book.intervals("rule", START_US + 60 * SECOND, START_US + 120 * SECOND)
        assert seconds(middle) == [(60, 120, RunState.DEGRADED)]
        assert not book.intervals("rule", START_US + 180 * SECOND, 1 << 62)

    def test_an_interval_of_no_length_leaves_no_row(self, book: AlertBook, clock: Clock) -> None:
        self.run(book, clock, interval(0, 60), interval(60, 60), interval(30, 30, RunState.RERUN))
        assert seconds(self.rows(book)) == [(0, 60, RAN)]

    def test_what_was_set_aside_comes_again_when_it_is_due(self, book: AlertBook, clock: Clock) -> None:
        lease = self.take(book, clock)
        due_us = START_US + 3600 * SECOND
        broken = interval(0, 60, FAILED, failures=3, due_us=due_us, reason="ValueError: x")
        book.set_aside(lease, broken, START_US + 60 * SECOND)
        book.set_aside(lease, interval(60, 120, FAILED, failures=3, due_us=due_us - 1))
        book.set_aside(lease, interval(120, 180, FAILED, failures=9))
        assert not book.failed("rule", due_us - 2)
        assert seconds(book.failed("rule", due_us - 1)) == [(60, 120, FAILED)]
        assert book.failed("rule", due_us)[0] == broken
        assert seconds(book.failed("rule", due_us)) == [(0, 60, FAILED), (60, 120, FAILED)]
        assert not book.failed("other", due_us)
        book.release(lease)
        assert self.take(book, clock).cursor_us == START_US + 60 * SECOND

    def test_a_failed_interval_that_has_run_is_failed_no_longer(self, book: AlertBook, clock: Clock) -> None:
        lease = self.take(book, clock)
        book.set_aside(lease, interval(0, 60, FAILED, failures=3, due_us=1))
        book.finish(lease, Outcome(interval(0, 60, RunState.RERUN)))
        assert not book.failed("rule", clock.us)
        assert seconds(self.rows(book)) == [(0, 60, RunState.RERUN)]

    def test_what_is_left_of_a_failed_interval_stays_failed(self, book: AlertBook, clock: Clock) -> None:
        lease = self.take(book, clock)
        book.set_aside(lease, interval(0, 60, FAILED, failures=3, due_us=1))
        book.finish(lease, Outcome(interval(0, 20)))
        assert seconds(book.failed("rule", clock.us)) == [(20, 60, FAILED)]

    def test_a_change_makes_every_failed_interval_of_its_rule_due(
        self, book: AlertBook, clock: Clock
    ) -> None:
        for rule in ("rule", "other"):
            lease = self.take(book, clock, rule)
            for start in (0, 100):
                row = interval(start, start + 60, FAILED, rule=rule, failures=3, due_us=clock.us + MINUTE)
                book.set_aside(lease, row)
        book.retry("rule")
        assert len(book.failed("rule", clock.us)) == 2
        assert not book.failed("other", clock.us)
        book.retry("unknown")

    def test_time_in_which_a_rule_was_off_is_skipped(self, book: AlertBook, clock: Clock) -> None:
        self.run(book, clock, interval(0, 60))
        for end in (120, 180):
            book.skip_time("rule", START_US + 60 * SECOND, START_US + end * SECOND, "switched off", clock.us)
        assert seconds(self.rows(book)) == [(0, 60, RAN), (60, 180, SKIPPED)]
        assert self.rows(book)[1].reason == "switched off"
        assert self.take(book, clock).cursor_us == START_US + 180 * SECOND
        book.skip_time("rule", START_US, START_US + 30 * SECOND, "switched off", clock.us)
        assert seconds(self.rows(book)) == [(0, 60, RAN), (60, 180, SKIPPED)]

    def test_what_had_not_run_when_a_rule_was_switched_off_is_run_later(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.run(book, clock, interval(0, 60))
        book.skip_time("rule", START_US + 100 * SECOND, START_US + 180 * SECOND, "switched off", clock.us)
        assert seconds(self.rows(book)) == [(0, 60, RAN), (60, 100, FAILED), (100, 180, SKIPPED)]
        assert seconds(book.failed("rule", clock.us)) == [(60, 100, FAILED)]
        assert self.take(book, clock).cursor_us == START_US + 180 * SECOND

    def test_a_rule_that_was_off_before_it_ever_ran_begins_at_the_end_of_that(
        self, book: AlertBook, clock: Clock
    ) -> None:
        book.skip_time("rule", START_US, START_US + 60 * SECOND, "switched off", clock.us)
        lease = self.take(book, clock)
        assert (lease.since_us, lease.cursor_us) == (START_US + 60 * SECOND,) * 2
        assert seconds(self.rows(book)) == [(0, 60, SKIPPED)]

    def test_the_journal_tells_which_minutes_have_changed_since(self, book: AlertBook) -> None:
        assert book.arrivals_since(0) == (0, [])
        book.record(BatchRecord(arrivals={FIRST_MINUTE + 5: 1, FIRST_MINUTE: 2}))
        first, minutes = book.arrivals_since(0)
        assert minutes == [FIRST_MINUTE, FIRST_MINUTE + 5]
        book.record(BatchRecord(arrivals={FIRST_MINUTE + 5: 1, FIRST_MINUTE + 6: 1}))
        second, minutes = book.arrivals_since(first)
        assert second > first
        assert minutes == [FIRST_MINUTE + 5, FIRST_MINUTE + 6]
        assert book.arrivals_since(second) == (second, [])

    def test_what_alerts_have_consumed_is_told_by_group(self, book: AlertBook, clock: Clock) -> None:
        spans = [(50, 60, "ines"), (0, 10, "ines"), (20, 30, "otto")]
        found = [finding(event_at(start), event_at(end), user=user) for start, end, user in spans]
        others = [finding(event_at(0)), finding(event_at(5), user="ines", rule="other")]
        book.record(BatchRecord(alerts=[*found, *others]))
        clock.pass_by(70)
        self.set_status(book, found[1].minted_id, Status.CLOSED)
        assert book.consumed("rule", START_US, START_US + 61 * SECOND) == {
            "": [Consumed(others[0].minted_id, Moment.of(event_at(0)), Moment.of(event_at(0)))],
            "ines": [
                Consumed(found[1].minted_id, found[1].first, found[1].last, clock.us),
                Consumed(found[0].minted_id, found[0].first, found[0].last),
            ],
            "otto": [Consumed(found[2].minted_id, found[2].first, found[2].last)],
        }

    def test_what_touches_the_span_at_its_start_was_consumed_there_and_at_its_end_not(
        self, book: AlertBook
    ) -> None:
        book.record(BatchRecord(alerts=[finding(event_at(10), event_at(20))]))

        def touched(start: float, end: float) -> bool:
            return bool(book.consumed("rule", START_US + int(start * SECOND), START_US + int(end * SECOND)))

        assert touched(20, 30)
        assert touched(12, 13)
        assert touched(0, 10.000001)
        assert not touched(20.000001, 30)
        assert not touched(0, 10)

    def test_a_run_that_fails_changes_no_memory(self, book: AlertBook, clock: Clock) -> None:
        (alert,) = book.record(BatchRecord(alerts=[finding(event_at(0), user="ines", group_s=60)]))
        self.set_status(book, alert.id, Status.CLOSED)
        late = finding(event_at(30, received=99), user="ines", extends=alert.id)
        fine = finding(event_at(20), user="otto")
        lease = self.take(book, clock)
        outcome = Outcome(
            interval(0, 60),
            [fine, late],
            cursor_us=START_US + 60 * SECOND,
            state={"a": 1},
            seen={"x": START_US},
        )
        before = book.due_tasks([("webhook", False)], 10, 60)
        with pytest.raises(AlertClosedError, match=alert.id):
            book.finish(lease, outcome)
        assert not self.rows(book)
        assert not book.recall("rule")
        assert not book.seen("rule", ["x"])
        assert list(book.consumed("rule", 0, 1 << 62)) == ["ines"]
        assert before
        clock.pass_by(60)
        assert [task.alert.id for task in book.due_tasks([("webhook", False)], 10, 60)] == [alert.id]
        assert self.take(book, clock).cursor_us == START_US
