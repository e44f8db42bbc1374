"""The contract of every alert book: subclass :class:`AlertBookContract` and say how yours is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from mozdef_core.alert import Alert, Moment, Occasion, Severity, Status
from mozdef_core.event import Event
from mozdef_core.ports import AlertBook, BatchRecord, OwedSpan
from mozdef_core.testing_contracts.book_alerts import MINUTE, START_US, Clock, event_at, finding
from mozdef_core.testing_contracts.book_findings import FindingsContract
from mozdef_core.testing_contracts.book_outbox import OutboxContract
from mozdef_core.testing_contracts.book_pruning import PruningContract
from mozdef_core.testing_contracts.ledger import LedgerContract


class AlertBookContract(OutboxContract, PruningContract, FindingsContract, LedgerContract):
    """What every alert book does. A subclass overrides what raises NotImplementedError."""

    def open_book(self, path: Path, clock: Callable[[], int], repeat: timedelta) -> AlertBook:
        """Open a new book that takes the time from this clock and tells of extensions at most every ``repeat``."""
        raise NotImplementedError

    def set_status(self, book: AlertBook, alert_id: str, status: Status) -> None:
        """Do what an analyst does to give an alert this status."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        """The clock of the test's book."""
        return Clock()

    @pytest.fixture
    def book(self, tmp_path: Path, clock: Clock) -> AlertBook:
        """An empty book."""
        return self.open_book(tmp_path, clock, timedelta(hours=1))

    @staticmethod
    def find(book: AlertBook, *findings: Alert) -> Sequence[Alert]:
        """Record findings as one batch."""
        return book.record(BatchRecord(alerts=findings))

    def test_a_finding_becomes_an_alert_with_all_its_fields(self, book: AlertBook) -> None:
        events = event_at(0, username="ines"), event_at(1, username="ines")
        found = finding(
            *events,
            user="ines",
            group_s=60,
            severity=Severity.CRITICAL,
            category="access",
            tags=("ssh", "root"),
            attack=("T1110",),
            details={"username": "ines", "hops": [1, {"a": None}]},
            url="https://example.org/run-book",
            channel="#soc",
            notify=False,
            rule_version="3",
            count=7,
        )
        (alert,) = self.find(book, found)
        assert alert.id == found.minted_id
        assert (alert.created_us, alert.status, alert.count) == (START_US, Status.MANUAL, 7)
        assert alert.to_dict() | {"utctimestamp": ""} == found.to_dict() | {"utctimestamp": ""}
        assert alert.events == events
        assert (alert.first, alert.last) == (Moment.of(events[0]), Moment.of(events[1]))

    def test_the_same_batch_again_changes_nothing(self, book: AlertBook) -> None:
        batch = BatchRecord(
            alerts=[
                finding(event_at(0), group_s=60),
                finding(event_at(3), group_s=60),
                finding(event_at(5), rule="b"),
            ]
        )
        assert [alert.count for alert in book.record(batch)] == [2, 1]
        assert not book.record(batch)
        assert len(book.due_tasks([("webhook", False)], 10, 60)) == 2

    def test_without_group_for_every_event_is_an_alert_of_its_own(self, book: AlertBook) -> None:
        events = [event_at(0, name=str(number)) for number in range(5)]
        raised = self.find(book, *(finding(event) for event in reversed(events)))
        assert {alert.id for alert in raised} == {finding(event).minted_id for event in events}

    def test_a_match_within_group_for_extends_the_open_alert(self, book: AlertBook) -> None:
        (raised,) = self.find(book, finding(event_at(0), user="ines", group_s=60))
        (extended,) = self.find(book, finding(event_at(60), user="ines", group_s=60))
        assert (extended.id, extended.count) == (raised.id, 2)
        assert (extended.first.us, extended.last.us) == (START_US, START_US + MINUTE)
        assert [event.id for event in extended.events] == [event_at(0).id, event_at(60).id]

    @pytest.mark.parametrize(
        "other",
        [
            finding(event_at(60.000001), user="ines", group_s=60),
            finding(event_at(10), user="otto", group_s=60),
            finding(event_at(10), group_s=60),
            finding(event_at(10), user="ines", rule="other", group_s=60),
            finding(event_at(10), user="ines"),
        ],
        ids=["too late", "other group", "no group", "other rule", "grouping switched off"],
    )
    def test_what_does_not_belong_to_the_open_alert_is_another(self, book: AlertBook, other: Alert) -> None:
        self.find(book, finding(event_at(0), user="ines", group_s=60))
        (alert,) = self.find(book, other)
        assert (alert.id, alert.count) == (other.minted_id, 1)

    def test_an_alert_is_not_extended_beyond_group_max(self, book: AlertBook) -> None:
        longest = timedelta(seconds=100)
        ids = set()
        for seconds in (0, 50, 100, 101):
            (alert,) = self.find(book, finding(event_at(seconds), group_s=60, group_max=longest))
            ids.add(alert.id)
        assert ids == {finding(event_at(0)).minted_id, finding(event_at(101)).minted_id}

    def test_an_event_inside_the_span_is_consumed_already(self, book: AlertBook) -> None:
        self.find(book, finding(event_at(0), event_at(20), group_s=60))
        assert not self.find(book, finding(event_at(10), group_s=60))
        assert not self.find(book, finding(event_at(10)))

    def test_an_earlier_event_that_arrives_later_continues_the_alert(self, book: AlertBook) -> None:
        (raised,) = self.find(book, finding(event_at(30), group_s=60))
        (extended,) = self.find(book, finding(event_at(0), group_s=60))
        assert (extended.id, extended.count) == (raised.id, 2)
        assert extended.first == Moment.of(event_at(0))
        assert [event.id for event in extended.events] == [event_at(0).id, event_at(30).id]

    def test_a_finding_that_overlaps_an_alert_adds_only_what_is_new(self, book: AlertBook) -> None:
        (raised,) = self.find(book, finding(event_at(0), event_at(5), event_at(10)))
        (extended,) = self.find(book, finding(event_at(5), event_at(10), event_at(15)))
        assert (extended.id, extended.count) == (raised.id, 4)
        assert [event.id for event in extended.events] == [event_at(second).id for second in (0, 5, 10, 15)]

    def test_repeated_messages_count_as_often_as_they_were_repeated(self, book: AlertBook) -> None:
        repeated = event_at(5, repeated=4)
        self.find(book, finding(event_at(0), repeated, count=5))
        (extended,) = self.find(book, finding(repeated, event_at(9), count=5))
        assert extended.count == 6

    def test_at_most_ten_samples_are_kept(self, book: AlertBook) -> None:
        for start in range(0, 24, 6):
            (alert,) = self.find(book, finding(*(event_at(start + step) for step in range(6)), group_s=60))
        assert alert.count == 24
        assert [event.id for event in alert.events] == [event_at(second).id for second in range(10)]

    def test_an_event_received_after_closing_opens_another_alert(self, book: AlertBook, clock: Clock) -> None:
        (first,) = self.find(book, finding(event_at(0), event_at(20), group_s=60))
        clock.pass_by(30)
        self.set_status(book, first.id, Status.CLOSED)
        late_inside, after = event_at(10, received=31), event_at(40)
        (second,) = self.find(book, finding(late_inside, group_s=60))
        assert second.id == finding(late_inside).minted_id
        (third,) = self.find(book, finding(after, group_s=60))
        assert (third.id, third.count) == (second.id, 2)

    def test_a_batch_delivered_again_after_closing_changes_nothing(
        self, book: AlertBook, clock: Clock
    ) -> None:
        batch = [finding(event_at(0), group_s=60), finding(event_at(20), group_s=60)]
        (alert,) = self.find(book, *batch)
        clock.pass_by(30)
        self.set_status(book, alert.id, Status.CLOSED)
        assert not self.find(book, *batch)

    def test_a_longer_finding_after_closing_raises_only_what_was_not_consumed(
        self, book: AlertBook, clock: Clock
    ) -> None:
        events: list[Event] = [event_at(second) for second in (0, 10, 20)]
        (closed,) = self.find(book, finding(*events[:2], group_s=60))
        clock.pass_by(15)
        self.set_status(book, closed.id, Status.CLOSED)
        (alert,) = self.find(book, finding(*events, group_s=60))
        assert (alert.id, alert.count) == (finding(events[2]).minted_id, 1)

    def test_owed_spans_wait_for_their_rule_and_are_settled_once(self, book: AlertBook, clock: Clock) -> None:
        book.record(BatchRecord(owed=[OwedSpan("a", "01", "05", "slow"), OwedSpan("b", "01", "05", "slow")]))
        assert not book.owed_spans(["c"], clock.us)
        ((key, span, failures),) = book.owed_spans(["a"], clock.us)
        assert (span, failures) == (OwedSpan("a", "01", "05", "slow"), 0)
        (alert,) = book.settle_owed(key, [finding(event_at(0), rule="a")])
        assert alert.rule == "a"
        assert not book.owed_spans(["a"], clock.us)
        assert not book.settle_owed(key, [finding(event_at(0), rule="a")])
        assert [span.rule for _, span, _ in book.owed_spans(["a", "b"], clock.us)] == ["b"]

    def test_an_owed_span_that_failed_comes_again_when_it_is_due(self, book: AlertBook, clock: Clock) -> None:
        book.record(BatchRecord(owed=[OwedSpan("a", "01", "05", "slow")]))
        ((key, _, _),) = book.owed_spans(["a"], clock.us)
        book.fail_owed(key, "raised ValueError", clock.us + 10)
        assert not book.owed_spans(["a"], clock.us + 9)
        ((_, span, failures),) = book.owed_spans(["a"], clock.us + 10)
        assert (span.reason, failures) == ("raised ValueError", 1)

    def test_spans_of_one_suspension_join_and_none_is_lost_while_one_is_run(
        self, book: AlertBook, clock: Clock
    ) -> None:
        book.record(BatchRecord(owed=[OwedSpan("a", "01", "05", "suspended")]))
        ((key, _, _),) = book.owed_spans(["a"], clock.us)
        book.record(BatchRecord(owed=[OwedSpan("a", "06", "09", "suspended")]))
        book.settle_owed(key, [])
        ((_, span, _),) = book.owed_spans(["a"], clock.us)
        assert span.last == "09"
        clock.pass_by(120)
        book.record(BatchRecord(owed=[OwedSpan("a", "10", "12", "suspended")]))
        assert [(span.first, span.last) for _, span, _ in book.owed_spans(["a"], clock.us)] == [
            (span.first, "09"),
            ("10", "12"),
        ]

    def test_an_empty_batch_leaves_nothing(self, book: AlertBook) -> None:
        assert not book.record(BatchRecord())
        assert not book.due_tasks([("webhook", False)], 10, 60)

    def test_extending_tells_the_actions_at_most_every_repeat(self, book: AlertBook, clock: Clock) -> None:
        plugins = [("webhook", False)]

        def occasions() -> list[Occasion]:
            tasks = book.due_tasks(plugins, 10, 60)
            self.settle(book, tasks)
            return [task.occasion for task in tasks]

        self.find(book, finding(event_at(0), group_s=7200))
        self.find(book, finding(event_at(1), group_s=7200))
        assert occasions() == [Occasion.RAISED]
        assert not occasions()
        self.find(book, finding(event_at(2), group_s=7200))
        assert occasions() == [Occasion.EXTENDED]
        self.find(book, finding(event_at(3), group_s=7200), finding(event_at(4), group_s=7200))
        assert not occasions()
        clock.pass_by(3600)
        assert occasions() == [Occasion.EXTENDED]
        assert not occasions()
