"""On the stream a rule looks into lists as they are when the batch comes, and exceptions remove what they match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mozdef_core.alert import Moment
from mozdef_core.detection import Conditions, Detector
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.exemptions import Exemption, Exemptions
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import BatchRecord, OwedSpan
from mozdef_core.query.lists import GivenLists
from mozdef_core.query.members import Members, TextMembers
from mozdef_core.query.model import In, Query, QueryString
from mozdef_core.rules import EventRule, RuleOptions
from mozdef_core.testing_contracts.book_alerts import event_at

EVENTS = [event_at(number, user=user) for number, user in enumerate(["ines", "joe", "ann", "joe"])]


class Changing(GivenLists):
    """Lists that a test changes."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    @property
    def version(self) -> int:
        """How often they were changed."""
        return self.number

    def set(self, **users: list[str] | None) -> None:
        """Have lists with these users from now on; None deletes one."""
        made: Mapping[str, Members] = {
            name: TextMembers((user, None) for user in some)
            for name, some in users.items()
            if some is not None
        }
        self._lists = {**{name: one for name, one in self._lists.items() if name not in users}, **made}
        self.number += 1


class Watched(EventRule[RuleOptions]):
    """Says which watched user was seen."""

    query: Query = QueryString("details.user:@watched")
    tags = ("watch",)

    def summary(self, event: Event) -> str:
        """Return the user."""
        return event.text("details.user")


class Site:
    """A detector with one rule that looks into a list."""

    def __init__(self) -> None:
        self.lists = Changing()
        self.exemptions = Exemptions(self.lists, {"watched": ("watch",)})
        rule = Plugin("watched", Watched(RuleOptions()))
        self.detector = Detector(Host([rule], Health()), self.lists, self.exemptions)

    def found(self) -> Any:
        """Return who was found in a batch, or why the rule could not look."""
        window = self.detector.window(EVENTS)
        found = self.detector.stream(window, EVENTS[0].id, EVENTS[-1].id)
        return [one.reason for one in found.owed] or [alert.summary for alert in found.alerts]


def test_the_next_batch_sees_a_list_as_it_is_then() -> None:
    site = Site()
    assert "there is no list @watched" in site.found()[0]
    for users in (["joe"], ["ann", "ines"], []):
        site.lists.set(watched=users)
        assert site.found() == [user for user in ("ines", "joe", "ann", "joe") if user in users]
    site.lists.set(watched=None, watchers=["joe"])
    assert "did you mean @watchers?" in site.found()[0]
    site.lists.set(watched=["joe"])
    assert site.found() == ["joe", "joe"]


def test_a_rule_that_was_made_when_its_list_was_there_fails_when_it_is_gone() -> None:
    site = Site()
    site.lists.set(watched=["joe"])
    rule = Plugin("watched", Watched(RuleOptions()))
    site.detector = Detector(Host([rule], Health()), site.lists)
    assert site.found() == ["joe", "joe"]
    site.lists.set(watched=None)
    assert "there is no list @watched" in site.found()[0]


def test_a_query_without_lists_is_compiled_once_and_one_with_lists_stays_the_same_object() -> None:
    lists = Changing()
    lists.set(watched=["joe"])
    conditions, query = Conditions(lists), In("details.user", "watched")
    test = conditions(query)
    assert [test(event) for event in EVENTS] == [False, True, False, True]
    lists.set(watched=["ann"])
    conditions.renew()
    assert conditions(query) is test
    assert [test(event) for event in EVENTS] == [False, False, True, False]
    with pytest.raises(QueryError, match="no list @other"):
        conditions(In("details.user", "other"))


def test_what_an_exception_matches_raises_nothing_and_is_counted() -> None:
    site = Site()
    site.lists.set(watched=["joe", "ann"], admins=["joe"])
    site.exemptions.replace([Exemption("e", "tag", "watch", "details.user:@admins", 0, 2**62)])
    assert site.found() == ["ann"]
    tally = site.exemptions.take()
    assert (tally["e"].count, [sample.event_id for sample in tally["e"].samples]) == (
        2,
        [EVENTS[1].id, EVENTS[3].id],
    )


def test_a_rule_whose_exception_cannot_be_read_is_not_run_but_owed() -> None:
    site = Site()
    site.lists.set(watched=["joe"])
    site.exemptions.replace([Exemption("e", "all", "", "details.user:@admins", 0, 2**62)])
    assert site.found() == ["exception: there is no list @admins"]


def test_what_is_owed_looks_into_the_lists_too() -> None:
    site, store, book = Site(), MemoryStore(), MemoryBook()
    store.write(EVENTS)
    site.lists.set(watched=["joe"])
    book.record(BatchRecord(owed=[OwedSpan("watched", EVENTS[0].id, EVENTS[-1].id, "it failed")]))
    assert site.detector.run_owed(store, book, 2**62) == 1
    assert {alert.first for alert in book.alerts.values()} == {Moment.of(EVENTS[1]), Moment.of(EVENTS[3])}
