"""Options that are lists: written as operators like, and with lists that people keep among their items."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mozdef_core import Event, Field, Items, ListOption, Options
from mozdef_core.detection import Conditions, EventsWindow
from mozdef_core.query.evaluate import compile as compiled
from mozdef_core.query.lists import NO_LISTS, GivenLists, resolve
from mozdef_core.query.members import KINDS, Members
from mozdef_core.rules import RuleOptions
from mozdef_core.testing_contracts.book_alerts import event_at

SOURCE = "details.sourceipaddress"


class Given(Options):
    """Options of both types."""

    items: Items = Field([], description="texts")
    skip: ListOption = Field(ListOption(), description="texts and lists")


def event(**details: Any) -> Event:
    return Event("1", {"details": details, "summary": ""})


def holds(option: ListOption, field: str, found: Event, lists: GivenLists = NO_LISTS, **more: Any) -> bool:
    return compiled(resolve(option.condition(field, **more), lists))(found)


@pytest.mark.parametrize(
    ("written", "items"),
    [
        (["a b", " c "], ["a b", "c"]),
        ("a b", ["a", "b"]),
        (" a\t b\n", ["a", "b"]),
        ("a b, c", ["a b", "c"]),
        ("a,,b, ,", ["a", "b"]),
        ("a,", ["a"]),
        ("", []),
        (" , ", []),
        ([], []),
        (["", "a,b"], ["a,b"]),
        ([22, "80"], ["22", "80"]),
    ],
)
def test_an_option_takes_a_list_or_text_with_commas_or_else_blanks(written: Any, items: list[str]) -> None:
    skip = Given(skip=written).skip
    assert list(skip.items) == items
    assert bool(skip) is bool(items)
    if isinstance(written, str):
        assert Given.model_validate({"items": written}).items == items


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (7, "valid list"),
        (["a", None], "skip.1"),
        (["a", True], "skip.1"),
        ({"a": "b"}, "valid list"),
        ("@", "expected @ and the name of a list, small letters, digits and _.-, got '@'"),
        ("a @Scanners", "got '@Scanners'"),
    ],
)
def test_what_is_no_list_is_refused_with_what_would_be_right(written: Any, reason: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Given(skip=written)
    assert reason in str(raised.value)


def test_the_lists_of_every_rule_are_written_alike() -> None:
    options = RuleOptions.model_validate(
        {"tags_add": "pager, night shift", "suppress_by": "hostname category"}
    )
    assert (options.tags_add, options.suppress_by) == (["pager", "night shift"], ["hostname", "category"])


def test_an_option_is_given_out_as_it_was_given() -> None:
    given_ = Given.model_validate({"skip": "10.0.0.0/8 @scanners"})
    assert given_.model_dump()["skip"] == ["10.0.0.0/8", "@scanners"]
    assert repr(given_.skip) == "['10.0.0.0/8', '@scanners']"
    assert Given.model_validate(given_.model_dump()) == given_
    assert Given.model_json_schema()["properties"]["skip"]["items"] == {"type": "string"}
    assert (list(given_.skip.texts), list(given_.skip.lists)) == (["10.0.0.0/8"], ["scanners"])


def test_texts_and_lists_are_one_condition() -> None:
    lists = GivenLists({"scanners": KINDS["addresses"]([("192.0.2.0/28", None)])})
    skip = ListOption(["10.0.0.0/8", "2001:DB8::1", "@scanners"])
    for address, skipped in [
        ("10.9.9.9", True),
        ("2001:db8::1", True),
        ("192.0.2.15", True),
        ("192.0.2.16", False),
        ("2001:db8::2", False),
    ]:
        assert holds(skip, SOURCE, event(sourceipaddress=address), lists) is skipped
    assert holds(ListOption(["Joe"]), "details.user", event(user="joe"), case_insensitive=True)
    assert not holds(ListOption(["Joe"]), "details.user", event(user="joe"))
    assert holds(ListOption(["443"]), "details.port", event(port=443))


def test_a_change_of_a_list_is_seen_by_a_condition_made_before() -> None:
    class Changing(GivenLists):
        number = 0

        @property
        def version(self) -> int:
            return self.number

        def set(self, *users: str) -> None:
            made: Members = KINDS["users"]((user, None) for user in users)
            self._lists = {"known": made}
            self.number += 1

    lists = Changing()
    lists.set("joe")
    conditions = Conditions(lists)
    query = ListOption(["ann", "@known"]).condition("details.user")
    window = EventsWindow(
        [event_at(at, user=user) for at, user in enumerate(["joe", "ann", "bob"])], conditions
    )
    assert [one.get("details.user") for one in window.search(query)] == ["joe", "ann"]
    lists.set("bob")
    conditions.renew()
    assert [one.get("details.user") for one in window.search(query)] == ["ann", "bob"]


@given(
    st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=5)), st.sets(st.sampled_from("abc"))
)
def test_whatever_the_items_an_event_matches_if_one_says_so(texts: list[str], named: set[str]) -> None:
    texts = [text.strip() for text in texts if not text.strip().startswith("@")]
    option = ListOption([*texts, *(f"@{name}" for name in named)])
    lists = GivenLists({name: KINDS["texts"]([(name * 2, None)]) for name in "abc"})
    for value in ("x", "aa", "bb", *texts):
        expected = (value and value in texts) or any(name * 2 == value for name in named)
        assert holds(option, "details.x", event(x=value), lists) is bool(expected)
