"""The steps of a sequence look into lists as they are when the rule runs, whichever evaluator runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

import pytest

from mozdef_core.detection import Conditions, EventsWindow, Runner, Scheduled
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.exemptions import Exemption, Exemptions, ScreenedWindow
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import BatchRecord
from mozdef_core.query.lists import GivenLists
from mozdef_core.query.members import Members, TextMembers
from mozdef_core.query.model import In, QueryString, Regexp, Term
from mozdef_core.rules import Group, SequenceOptions, SequenceRule, Step
from mozdef_core.services.backtest import backtest
from mozdef_core.services.listed_store import ListedStore
from mozdef_core.testing_contracts.book_alerts import MINUTE, SECOND, START_US, Clock, event_at


class Changing(GivenLists):
    """Lists that a test changes."""

    def __init__(self, **users: Sequence[str]) -> None:
        super().__init__()
        self.number = 0
        self.set(**users)

    @property
    def version(self) -> int:
        """How often they were changed."""
        return self.number

    def set(self, **users: Sequence[str]) -> None:
        """Have these lists from now on."""
        made: Mapping[str, Members] = {
            name: TextMembers((user, None) for user in some) for name, some in users.items()
        }
        self._lists = dict(made)
        self.number += 1


class BecameAdmin(SequenceRule[SequenceOptions]):
    """A guest did something, and then a user who is watched."""

    steps: ClassVar[Sequence[Step]] = (
        Step(QueryString("details.user:@guests"), at_least=2),
        Step(In("details.user", "watched")),
    )
    by = "details.host"
    window = timedelta(minutes=5)

    def summary(self, group: Group) -> str:
        """Return the users in order."""
        return group.listed("details.user")


def made() -> BecameAdmin:
    return BecameAdmin(SequenceOptions())


def events(*users: str) -> list[Event]:
    return [event_at(number, user=user, host="web1") for number, user in enumerate(users)]


GUESTS = {"guests": ["ann", "bob"], "watched": ["root"]}


def test_steps_name_lists_in_events_held_in_memory() -> None:
    conditions = Conditions(lists := Changing(**GUESTS))
    rule, given = made(), events("ann", "bob", "root", "joe")
    (alert,) = rule.alert_match(EventsWindow(given, conditions)) or ()
    assert (alert.summary, alert.count) == ("ann, bob, root", 3)
    lists.set(guests=["ann"], watched=["root"])
    conditions.renew()
    assert list(rule.alert_match(EventsWindow(given, conditions)) or ()) == []


def test_what_an_exception_removes_takes_part_in_no_step() -> None:
    lists = Changing(**GUESTS)
    exemptions = Exemptions(lists)
    exemptions.replace([Exemption("e", "all", "", "details.user:bob", 0, 2**62)])
    screen = exemptions("r")
    assert screen is not None
    whole = EventsWindow(events("ann", "bob", "root"), Conditions(lists))
    assert list(made().alert_match(ScreenedWindow(whole, screen)) or ()) == []
    assert screen.removed == {"e": 1}


def test_steps_name_lists_on_a_schedule_and_follow_their_changes() -> None:
    lists, clock = Changing(guests=["ann", "bob"], watched=["joe"]), Clock()
    plugin, book, inner = Plugin("r", made()), MemoryBook(clock=clock), MemoryStore()
    runner = Runner(Host([plugin], Health()), ListedStore(inner, lists), book, clock=clock)
    scheduled = Scheduled.of(plugin, lambda us: us + MINUTE)
    runner.run(scheduled)

    def arrive(*users: str) -> list[str]:
        now_s = (clock.us - START_US) / SECOND
        arrived = [event_at(now_s + number, user=user, host="web1") for number, user in enumerate(users)]
        inner.write(arrived)
        book.record(BatchRecord(arrivals={event.detection_us // MINUTE: 1 for event in arrived}))
        clock.pass_by(60)
        runner.run(scheduled)
        return [alert.summary for alert in book.alerts.values()]

    assert arrive("ann", "bob", "root") == []
    lists.set(guests=["ann", "bob"], watched=["root"])
    assert arrive("root") == ["ann, bob, root"]


def test_steps_name_lists_in_a_backtest() -> None:
    inner = MemoryStore()
    inner.write(events("ann", "bob", "root"))
    store = ListedStore(inner, Changing(**GUESTS))
    done = backtest(Plugin("r", made()), store, START_US, START_US + MINUTE, listened=lambda _a, _b: ())
    assert ([alert.summary for alert in done.alerts], done.problems) == (["ann, bob, root"], [])


def test_a_list_that_is_gone_fails_the_run_with_its_name() -> None:
    rule = made()
    window = EventsWindow(events("ann"), Conditions(Changing(guests=["ann"])))
    with pytest.raises(QueryError, match="there is no list @watched"):
        rule.alert_match(window)


def test_a_step_without_a_meaning_is_refused_when_the_rule_is_made() -> None:
    class Broken(BecameAdmin):
        steps: ClassVar[Sequence[Step]] = (Step(Term("hostname", "a")), Step(Regexp("hostname", "(")))

    with pytest.raises(QueryError):
        Broken(SequenceOptions())
