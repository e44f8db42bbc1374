"""The part of the alert book's contract about findings that extend one alert, are tried out, or are of a silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from mozdef_core.alert import Alert, Moment, Occasion, Status
from mozdef_core.errors import AlertClosedError
from mozdef_core.event import isoformat
from mozdef_core.ports import AlertBook, BatchRecord, TaskResult
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US, Clock, event_at, finding

HOOK: Final = [("webhook", False)]
DONE: Final = TaskResult("done")


def at(seconds: float) -> Moment:
    """Return a moment of a silence: where there is no event, its time stands for the id."""
    us = START_US + int(seconds * SECOND)
    return Moment(us, str(us))


def silence(start: float, end: float, recovered: float | None = None, **fields: Any) -> Alert:
    """Return what a rule about absence finds, in seconds from the start."""
    return Alert(
        rule="deadman",
        summary="nothing was seen",
        first=at(start),
        last=at(end),
        category="deadman",
        recovered_us=None if recovered is None else at(recovered).us,
        **fields,
    )


class FindingsContract:
    """Special findings; see :class:`~mozdef_core.testing_contracts.book.AlertBookContract`."""

    def set_status(self, book: AlertBook, alert_id: str, status: Status) -> None:
        """Do what an analyst does to give an alert this status."""
        raise NotImplementedError

    @staticmethod
    def add(book: AlertBook, *findings: Alert) -> Sequence[Alert]:
        """Record findings as one batch."""
        return book.record(BatchRecord(alerts=findings))

    @staticmethod
    def told(book: AlertBook) -> list[tuple[str, Occasion]]:
        """Return which alerts the actions hear of now, and why, until nothing is left to tell."""
        found: list[tuple[str, Occasion]] = []
        while tasks := book.due_tasks(HOOK, 10, 60):
            for task in tasks:
                book.settle_tasks([(task, DONE)])
                found.append((task.alert.id, task.occasion))
        return found

    def test_what_only_extends_an_alert_does_so_whatever_group_for_says(self, book: AlertBook) -> None:
        (raised,) = self.add(book, finding(event_at(0), user="ines"))
        more = finding(event_at(500), event_at(600), user="ines", extends=raised.id)
        (extended,) = self.add(book, more)
        assert (extended.id, extended.count, extended.last) == (raised.id, 3, more.last)
        assert [event.id for event in extended.events] == [event_at(second).id for second in (0, 500, 600)]
        assert not self.add(book, more)

    @pytest.mark.parametrize("samples", [0, 3, 25])
    def test_as_many_samples_are_kept_as_the_finding_says_also_when_it_extends(
        self, book: AlertBook, samples: int
    ) -> None:
        events = [event_at(second, name=f"{second:02d}") for second in range(30)]
        for begin, end in ((0, 12), (12, 14), (14, 30)):
            found = finding(*events[begin:end], user="ines", group_s=60, samples=samples)
            (alert,) = self.add(book, found)
        assert (alert.count, alert.last) == (30, Moment.of(events[-1]))
        assert [event.id for event in alert.events] == [event.id for event in events[:samples]]

    def test_fewer_samples_than_are_kept_already_leave_those_alone(self, book: AlertBook) -> None:
        events = [event_at(second, name=f"{second:02d}") for second in range(20)]
        self.add(book, finding(*events[:15], user="ines", group_s=60, samples=15))
        (alert,) = self.add(book, finding(*events[15:], user="ines", group_s=60, samples=5))
        assert [event.id for event in alert.events] == [event.id for event in events[:15]]

    def test_what_only_extends_a_closed_alert_is_refused_with_all_the_rest(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (raised,) = self.add(book, finding(event_at(0), user="ines", group_s=60))
        clock.pass_by(30)
        self.set_status(book, raised.id, Status.CLOSED)
        self.told(book)
        late = finding(event_at(40), user="ines", group_s=60, extends=raised.id)
        with pytest.raises(AlertClosedError, match=raised.id):
            self.add(book, finding(event_at(0), user="otto"), late, finding(event_at(50), user="zoe"))
        assert not self.told(book)
        assert not book.consumed("rule", START_US + SECOND, START_US + 100 * SECOND)
        (again,) = self.add(book, replace(late, extends=""))
        assert again.id == late.minted_id

    def test_what_only_extends_an_alert_that_is_not_there_is_refused(self, book: AlertBook) -> None:
        with pytest.raises(AlertClosedError, match="nowhere"):
            self.add(book, finding(event_at(0), extends="nowhere"))
        assert not book.consumed("rule", 0, 1 << 62)

    def test_events_that_a_closed_alert_has_consumed_extend_nothing_and_are_not_refused(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (raised,) = self.add(book, finding(event_at(0), event_at(20), user="ines"))
        clock.pass_by(30)
        self.set_status(book, raised.id, Status.CLOSED)
        assert not self.add(book, finding(event_at(10), user="ines", extends=raised.id))

    def test_a_staged_finding_is_an_alert_of_its_own_that_nobody_hears_of(self, book: AlertBook) -> None:
        live, staged = finding(event_at(0), group_s=60), finding(event_at(0), group_s=60, staged=True)
        (tried,) = self.add(book, staged)
        (extended,) = self.add(book, finding(event_at(5), group_s=60, staged=True))
        assert (tried.staged, extended.id, extended.count) == (True, tried.id, 2)
        assert not self.told(book)
        (real,) = self.add(book, live)
        assert (real.staged, real.count, real.rule) == (False, 1, tried.rule)
        assert real.id != tried.id
        for key, alert in (("staged:rule", tried), ("rule", real)):
            assert [span.alert_id for span in book.consumed(key, 0, 1 << 62)[""]] == [alert.id]
        assert self.told(book) == [(real.id, Occasion.RAISED)]
        assert not self.add(book, staged)

    def test_nobody_hears_of_what_is_done_about_a_staged_alert(self, book: AlertBook) -> None:
        (tried,) = self.add(book, finding(event_at(0), staged=True))
        for status in (Status.ACKNOWLEDGED, Status.CLOSED):
            self.set_status(book, tried.id, status)
        assert not self.told(book)

    def test_a_silence_that_lasts_is_told_of_again_at_most_every_repeat(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (raised,) = self.add(book, silence(0, 60))
        assert raised.id == silence(0, 99).minted_id
        assert self.told(book) == [(raised.id, Occasion.RAISED)]
        heard = []
        for minute in range(2, 130):
            clock.pass_by(60)
            (alert,) = self.add(book, silence(0, 60 * minute))
            assert (alert.id, alert.count, alert.last) == (raised.id, minute, at(60 * minute))
            heard += [(minute, occasion) for _, occasion in self.told(book)]
        assert heard == [(61, Occasion.REPEATED), (121, Occasion.REPEATED)]
        assert not self.add(book, silence(0, 60 * 100))

    def test_a_silence_of_which_nobody_has_been_told_yet_is_not_told_of_again(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (raised,) = self.add(book, silence(0, 60))
        clock.pass_by(7200)
        self.add(book, silence(0, 7200))
        assert self.told(book) == [(raised.id, Occasion.RAISED)]

    def test_a_silence_that_was_muted_is_told_of_when_it_lasts_longer_than_that(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (raised,) = self.add(book, silence(0, 60, notify=False))
        assert (raised.notify, self.told(book)) == (False, [(raised.id, Occasion.RAISED)])
        clock.pass_by(7200)
        (muted,) = self.add(book, silence(0, 7260, notify=False))
        assert (muted.notify, muted.count, self.told(book)) == (False, 2, [])
        clock.pass_by(60)
        (lasting,) = self.add(book, silence(0, 7320))
        assert (lasting.notify, self.told(book)) == (None, [(raised.id, Occasion.REPEATED)])
        clock.pass_by(60)
        self.add(book, silence(0, 7380))
        assert self.told(book) == []

    def test_a_silence_that_people_know_of_and_that_is_muted_later_is_told_of_when_it_is_over(
        self, book: AlertBook, clock: Clock
    ) -> None:
        (raised,) = self.add(book, silence(0, 60))
        self.told(book)
        clock.pass_by(7200)
        (muted,) = self.add(book, silence(0, 7260, notify=False))
        assert (muted.notify, self.told(book)) == (None, [])
        self.add(book, silence(0, 7300, recovered=7270, notify=False))
        assert self.told(book)[0] == (raised.id, Occasion.RECOVERED)

    def test_a_silence_that_is_over_is_told_once_and_closed(self, book: AlertBook, clock: Clock) -> None:
        (raised,) = self.add(book, silence(0, 60, details={"window": 60}))
        self.told(book)
        clock.pass_by(90)
        (over,) = self.add(book, silence(0, 80, recovered=70, extends=raised.id))
        assert (over.id, over.status, over.verdict) == (raised.id, Status.CLOSED, "benign")
        assert over.details == {"window": 60, "recovered_at": isoformat(at(70).us)}
        assert (over.recovered_us, over.first, over.last, over.count) == (at(70).us, at(0), at(70), 1)
        assert self.told(book) == [(raised.id, Occasion.RECOVERED), (raised.id, Occasion.CLOSED)]
        assert not self.add(book, silence(0, 80, recovered=75))
        assert not self.told(book)
        (span,) = book.consumed("deadman", 0, 1 << 62)[""]
        assert (span.first, span.last, span.closed_us) == (at(0), at(70), clock.us)

    def test_a_silence_that_somebody_has_acknowledged_stays_open_when_it_is_over(
        self, book: AlertBook
    ) -> None:
        (raised,) = self.add(book, silence(0, 60))
        self.set_status(book, raised.id, Status.ACKNOWLEDGED)
        (over,) = self.add(book, silence(0, 60, recovered=70))
        assert (over.status, over.recovered_us) == (Status.ACKNOWLEDGED, at(70).us)
        assert self.told(book)[-1] == (raised.id, Occasion.RECOVERED)

    def test_the_next_silence_is_another_alert(self, book: AlertBook) -> None:
        (raised,) = self.add(book, silence(0, 60))
        self.set_status(book, raised.id, Status.ACKNOWLEDGED)
        self.add(book, silence(0, 60, recovered=70))
        next_one = silence(70, 130, group_for=timedelta(hours=1))
        (other,) = self.add(book, next_one)
        assert (other.id, other.count) == (next_one.minted_id, 1)
        assert other.id != raised.id

    def test_an_event_found_later_inside_a_silence_ends_it_there(self, book: AlertBook) -> None:
        (raised,) = self.add(book, silence(0, 600))
        (over,) = self.add(book, silence(0, 600, recovered=200))
        assert (over.id, over.last) == (raised.id, at(200))
        (rest,) = self.add(book, silence(200, 600))
        assert (rest.id, rest.first) == (silence(200, 600).minted_id, at(200))

    def test_a_silence_that_an_analyst_has_closed_stays_closed(self, book: AlertBook, clock: Clock) -> None:
        (raised,) = self.add(book, silence(0, 60))
        self.set_status(book, raised.id, Status.CLOSED)
        self.told(book)
        clock.pass_by(7200)
        assert not self.add(book, silence(0, 7200))
        (over,) = self.add(book, silence(0, 60, recovered=7200, extends=raised.id))
        assert over.details["recovered_at"] == isoformat(at(7200).us)
        assert self.told(book) == [(raised.id, Occasion.RECOVERED)]

    def test_a_silence_that_was_over_before_anybody_looked_is_raised_and_recovers(
        self, book: AlertBook
    ) -> None:
        (alert,) = self.add(book, silence(0, 60, recovered=90))
        assert (alert.status, alert.recovered_us, alert.last) == (Status.CLOSED, at(90).us, at(90))
        heard = [occasion for _, occasion in self.told(book)]
        assert heard == [Occasion.RAISED, Occasion.RECOVERED, Occasion.CLOSED]

    def test_the_end_of_a_silence_that_nobody_knows_of_is_no_alert(self, book: AlertBook) -> None:
        assert not self.add(book, silence(0, 60, recovered=90, extends="nowhere"))

    def test_a_staged_silence_ends_without_a_word(self, book: AlertBook, clock: Clock) -> None:
        (raised,) = self.add(book, silence(0, 60, staged=True))
        clock.pass_by(7200)
        self.add(book, silence(0, 7200, staged=True))
        (over,) = self.add(book, silence(0, 7200, recovered=7300, staged=True))
        assert (over.id, over.status, over.verdict) == (raised.id, Status.CLOSED, "benign")
        assert not self.told(book)
        (span,) = book.consumed("staged:deadman", 0, 1 << 62)[""]
        assert span.closed_us == clock.us
