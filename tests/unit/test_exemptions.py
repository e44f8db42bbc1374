"""Exceptions remove what they match before a rule counts it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.detection import Conditions, EventsWindow
from mozdef_core.errors import QueryError
from mozdef_core.exemptions import SAMPLES, Exemption, Exemptions, ScreenedWindow
from mozdef_core.query.lists import GivenLists
from mozdef_core.query.members import TextMembers
from mozdef_core.query.model import Term
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

DAY_US = 86_400_000_000


def exemption(
    query="details.user:joe", scope="rule", target="ssh", starts=0, ends=BASE_US + DAY_US, name="e1"
):
    return Exemption(name, scope, target, query, starts, ends)


def event(user, step=0):
    return stored_event(BASE_US + step, details={"user": user})


def received(found):
    return found.received_us


def holding(*all_of_them, lists=None, tags=None):
    made = Exemptions(lists or GivenLists(), tags or {"ssh": ("auth", "ssh"), "web": ("http",)})
    made.replace(all_of_them)
    return made


@pytest.mark.parametrize(
    ("scope", "target", "concerned"),
    [
        ("all", "", ["ssh", "web"]),
        ("tag", "auth", ["ssh"]),
        ("tag", "ssh", ["ssh"]),
        ("rule", "web", ["web"]),
        ("rule", "auth", []),
    ],
)
def test_an_exception_is_for_all_rules_those_with_a_tag_or_one(scope, target, concerned):
    made = holding(exemption(scope=scope, target=target))
    assert [rule for rule in ("ssh", "web") if made(rule) is not None] == concerned


def test_what_matches_is_removed_and_counted_and_the_rest_stays():
    made = holding(exemption())
    screen = made("ssh")
    assert [screen(event(user)) for user in ("joe", "ann", "joe")] == [False, True, False]
    assert screen.removed == {"e1": 2}
    assert made("web") is None


def test_an_exception_holds_for_what_was_received_in_its_time():
    found = event("joe")
    at_us = received(found)
    cases = [((at_us, at_us + 1), False), ((at_us + 1, at_us + 2), True), ((at_us - 1, at_us), True)]
    for (starts, ends), stays in cases:
        assert holding(exemption(starts=starts, ends=ends))("ssh")(found) is stays


def test_an_event_counts_once_and_what_is_looked_back_at_does_not():
    screen = holding(exemption())("ssh")
    found = event("joe")
    assert not screen(found, False)
    assert screen.removed == {}
    assert not screen(found, True)
    assert not screen(found, True)
    assert screen.removed == {"e1": 1}


def test_of_two_exceptions_the_first_counts():
    screen = holding(exemption(name="a"), exemption(name="b", query="*"))("ssh")
    assert [screen(event(user)) for user in ("joe", "ann")] == [False, False]
    assert screen.removed == {"a": 1, "b": 1}


def test_the_last_samples_are_kept_and_counts_only_of_runs_that_are_noted():
    made = holding(exemption())
    failed, succeeded = made("ssh"), made("ssh")
    events = [event("joe", step) for step in range(SAMPLES + 3)]
    assert not any(map(failed, events[:1]))
    assert not any(map(succeeded, events))
    made.note(succeeded)
    tally = made.take()
    assert tally["e1"].count == SAMPLES + 3
    assert [sample.event_id for sample in tally["e1"].samples] == [one.id for one in events[-SAMPLES:]]
    assert made.take() == {}
    made.give_back(tally)
    assert made.take()["e1"].count == SAMPLES + 3


def test_an_exception_may_name_a_list_and_follows_it():
    class Changing(GivenLists):
        number = 0

        @property
        def version(self):
            return self.number

    lists = Changing({"admins": TextMembers([("joe", None)])})
    made = holding(exemption("details.user:@admins"), lists=lists)
    assert [made("ssh")(event(user)) for user in ("joe", "ann")] == [False, True]
    lists._lists["admins"] = TextMembers([("ann", None)])
    lists.number += 1
    assert [made("ssh")(event(user)) for user in ("joe", "ann")] == [True, False]
    lists._lists.clear()
    lists.number += 1
    with pytest.raises(QueryError, match="no list @admins"):
        made("ssh")


@pytest.mark.parametrize(
    ("scope", "target", "query", "mutes"),
    [
        ("rule", "quiet", "details.user:joe", True),
        ("all", "", "details.user:joe", False),
        ("all", "", "*", True),
        ("tag", "deadman", "*", True),
        ("tag", "other", "*", False),
        ("rule", "other", "*", False),
    ],
)
def test_a_rule_about_silence_is_muted_by_its_own_exceptions_and_by_those_for_everything(
    scope, target, query, mutes
):
    made = holding(exemption(query, scope, target, 10, 20), tags={"quiet": ("deadman",)})
    assert (made.mutes("quiet", 10) is not None) is mutes
    assert made.mutes("quiet", 9) is made.mutes("quiet", 20) is None


def test_no_event_is_hidden_from_a_rule_about_silence():
    made = Exemptions(GivenLists(), silences=["quiet"])
    made.replace([exemption("*", "all", "")])
    assert made("quiet") is None
    assert not made("ssh")(event("joe"))


@given(
    st.lists(st.tuples(st.sampled_from(["joe", "ann", "eve"]), st.integers(0, 9)), max_size=12),
    st.lists(
        st.tuples(st.sampled_from(["joe", "ann", "eve"]), st.integers(0, 9), st.integers(1, 9)), max_size=3
    ),
)
def test_a_window_shows_what_no_exception_removes(events, rows):
    made = [event(user, step) for user, step in events]
    offset = received(stored_event(BASE_US)) - BASE_US if made else 0
    exemptions = [
        exemption(f"details.user:{user}", starts=BASE_US + offset + start, ends=BASE_US + offset + start + length, name=str(number))
        for number, (user, start, length) in enumerate(rows)
    ]  # fmt: skip
    screen = holding(*exemptions)("ssh")
    whole = EventsWindow(made, Conditions())
    window = whole if screen is None else ScreenedWindow(whole, screen)
    left = {
        one.id
        for one in made
        if not any(
            one.get("details.user") == user and start <= received(one) - BASE_US - offset < start + length
            for user, start, length in rows
        )
    }
    assert [one.id for one in window] == [one.id for one in whole if one.id in left]
    query = Term("details.user", "joe")
    joes = [one.id for one in whole.search(query) if one.id in left]
    assert [one.id for one in window.search(query)] == joes
    assert [one.id for one in window.search(query, before=timedelta(1))] == joes
    assert [one.id for one in window.fresh(query)] == joes
    assert window.count(query) == len(joes)
    assert window.groups("details.user", query) == ({"joe": len(joes)} if joes else {})
    if screen is not None:
        assert sum(screen.removed.values()) == len(made) - len(left)
