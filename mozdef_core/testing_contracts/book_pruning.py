"""The part of the alert book's contract that is about pruning: what goes, what stays, and what is counted as lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

from mozdef_core.alert import Status
from mozdef_core.event import LATE_HORIZON_S
from mozdef_core.ports import PRUNE_STEP, AlertBook, BatchRecord, DeadLetter, Keep, Origin, Pruned
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at, finding

DAY_S: Final = 86_400
FOR_EVER: Final = Keep(None, None, None, 1 << 40)
TEN_DAYS: Final = Keep(timedelta(days=10), None, None, 1 << 40)


def letter(number: int, *, size_bytes: int = 10, at_us: int = START_US) -> DeadLetter:
    """Return an open dead letter that takes so many bytes, of which ten are its reason."""
    origin, raw = Origin("events", "http"), b"x" * (size_bytes - 10)
    return DeadLetter(f"letter{number:05d}", at_us, origin, "parse", "invalid-json", "not a JSON", raw)


class PruningContract:
    """Pruning; see :class:`~mozdef_core.testing_contracts.book.AlertBookContract`."""

    def set_status(self, book: AlertBook, alert_id: str, status: Status) -> None:
        """Do what an analyst does to give an alert this status."""
        raise NotImplementedError

    def letter_ids(self, book: AlertBook) -> Collection[str]:
        """Return the ids of the dead letters that the book holds."""
        raise NotImplementedError

    def letters_lost(self, book: AlertBook) -> int:
        """Return how many open dead letters the book has counted as lost."""
        raise NotImplementedError

    def kept_for_good(self, book: AlertBook) -> Mapping[str, object]:
        """Return what pruning never touches: alerts and history, audit trail, outbox, what is owed, state documents."""
        raise NotImplementedError

    @staticmethod
    def settle_letters(book: AlertBook, *numbers: int) -> None:
        """Note that something came out of dead letters."""
        book.record(BatchRecord(replayed={letter(number).id: ["event"] for number in numbers}))

    def test_a_minute_of_the_journal_stays_while_a_rule_may_ask_for_it(
        self, book: AlertBook, clock: Clock
    ) -> None:
        minute = START_US // MINUTE
        book.record(BatchRecord(arrivals={minute - 1: 1, minute: 1, minute + 1: 1}))
        clock.us = minute * MINUTE
        clock.pass_by(10 * DAY_S + LATE_HORIZON_S + 7 * DAY_S)
        assert book.prune(TEN_DAYS) == Pruned(arrivals=1)
        clock.pass_by(59.999999)
        assert book.prune(TEN_DAYS) == Pruned()
        clock.pass_by(0.000001)
        assert book.prune(TEN_DAYS) == Pruned(arrivals=1)
        assert book.prune(FOR_EVER) == Pruned()

    def test_the_span_of_a_closed_alert_goes_when_no_event_that_it_consumed_is_left(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (alert,) = book.record(BatchRecord(alerts=[finding(event_at(0), event_at(20), group_s=60)]))
        clock.pass_by(30)
        self.set_status(book, alert.id, Status.CLOSED)
        inside = finding(event_at(10), group_s=60)
        clock.pass_by(12 * DAY_S)
        assert book.prune(TEN_DAYS) == Pruned()
        assert not book.record(BatchRecord(alerts=[inside]))
        clock.pass_by(0.000001)
        assert book.prune(FOR_EVER) == Pruned()
        assert book.prune(TEN_DAYS) == Pruned(spans=1)
        assert book.prune(TEN_DAYS) == Pruned()
        assert [found.id for found in book.record(BatchRecord(alerts=[inside]))] == [inside.minted_id]

    def test_the_span_of_an_open_alert_stays_and_so_does_that_of_one_opened_again(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (opened,) = book.record(BatchRecord(alerts=[finding(event_at(0), user="ines", group_s=60)]))
        (again,) = book.record(BatchRecord(alerts=[finding(event_at(0), user="otto", group_s=60)]))
        self.set_status(book, again.id, Status.CLOSED)
        self.set_status(book, again.id, Status.MANUAL)
        clock.pass_by(400 * DAY_S)
        assert book.prune(TEN_DAYS) == Pruned()
        for user, alert in (("ines", opened), ("otto", again)):
            (extended,) = book.record(BatchRecord(alerts=[finding(event_at(30), user=user, group_s=60)]))
            assert (extended.id, extended.count) == (alert.id, 2)

    def test_a_letter_goes_when_it_is_older_than_its_kind_is_kept(
        self, book: AlertBook, clock: Clock
    ) -> None:
        book.record(BatchRecord(dead_letters=[letter(number) for number in range(4)]))
        self.settle_letters(book, 0, 1)
        keep = Keep(None, open_letters=timedelta(days=2), settled_letters=timedelta(days=1))
        clock.pass_by(DAY_S)
        assert book.prune(keep) == Pruned()
        clock.pass_by(0.000001)
        assert book.prune(keep) == Pruned(letters=2)
        clock.pass_by(DAY_S - 0.000001)
        assert book.prune(keep) == Pruned()
        assert self.letters_lost(book) == 0
        clock.pass_by(0.000001)
        assert book.prune(FOR_EVER) == Pruned()
        assert book.prune(keep) == Pruned(lost=2)
        assert not self.letter_ids(book)
        assert self.letters_lost(book) == 2

    def test_beyond_the_limit_of_size_settled_letters_go_before_open_ones_the_oldest_first(
        self, book: AlertBook
    ) -> None:
        letters = [letter(number, size_bytes=1_000, at_us=START_US + number * SECOND) for number in range(8)]
        book.record(BatchRecord(dead_letters=letters))
        self.settle_letters(book, 6, 7)
        assert book.prune(Keep(None, letters_bytes=8_000)) == Pruned()
        assert book.prune(Keep(None, letters_bytes=7_999)) == Pruned(letters=1)
        assert letters[6].id not in self.letter_ids(book)
        keep = Keep(None, letters_bytes=3_500)
        assert book.prune(keep) == Pruned(letters=1)
        assert self.letters_lost(book) == 0
        assert book.prune(keep) == Pruned(lost=3)
        assert sorted(self.letter_ids(book)) == [letters[number].id for number in (3, 4, 5)]
        assert book.prune(keep) == Pruned()
        assert self.letters_lost(book) == 3

    def test_a_letter_of_a_clock_that_was_ahead_goes_by_size_too(self, book: AlertBook) -> None:
        book.record(BatchRecord(dead_letters=[letter(1, at_us=START_US + 10 * DAY_S * SECOND)]))
        assert book.prune(Keep(None, letters_bytes=9)) == Pruned(lost=1)

    def test_a_step_is_bounded_and_steps_come_to_an_end(self, book: AlertBook, clock: Clock) -> None:
        number = PRUNE_STEP + 1
        letters = [letter(each) for each in range(2 * number)]
        minutes = {START_US // MINUTE + minute: 1 for minute in range(number)}
        book.record(BatchRecord(arrivals=minutes, dead_letters=letters))
        self.settle_letters(book, *range(number))
        clock.pass_by(900 * DAY_S)
        keep = Keep(timedelta(days=10))
        assert book.prune(keep) == Pruned(arrivals=PRUNE_STEP, letters=PRUNE_STEP, lost=PRUNE_STEP)
        assert book.prune(keep) == Pruned(arrivals=1, letters=1, lost=1)
        assert book.prune(keep) == Pruned()
        assert self.letters_lost(book) == number

    def test_alerts_and_all_that_was_done_about_them_stay(self, book: AlertBook, clock: Clock) -> None:
        alerts = [finding(event_at(each), user=str(each), group_s=60) for each in range(3)]
        raised = book.record(BatchRecord(alerts=alerts, dead_letters=[letter(1), letter(2)]))
        self.settle_letters(book, 1)
        for alert in raised[:2]:
            self.set_status(book, alert.id, Status.CLOSED)
        clock.pass_by(3_000 * DAY_S)
        before = self.kept_for_good(book)
        assert book.prune(Keep(timedelta(seconds=1), timedelta(0), timedelta(0), 0)) == Pruned(
            spans=2, letters=1, lost=1
        )
        assert self.kept_for_good(book) == before
