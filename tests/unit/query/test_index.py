from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mozdef_core.event import Event
from mozdef_core.query import evaluate
from mozdef_core.query.index import MOST_KEYS, QueryIndex
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    QueryString,
    Range,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.testing_contracts.queries import events, queries
from mozdef_core.testing_contracts.store_events import stored_event

SSHD = Term("details.program", "sshd")


def candidates(query: Query, event: Event) -> bool:
    return 0 in QueryIndex([query]).candidates(event)


@given(st.lists(queries, min_size=1, max_size=6), events())
def test_no_query_that_an_event_matches_is_left_out(asked: list[Query], event: Event) -> None:
    matching = {position for position, query in enumerate(asked) if evaluate.compile(query)(event)}
    assert matching <= QueryIndex(asked).candidates(event)


@pytest.mark.parametrize(
    ("query", "held"),
    [
        (Term("details.key", "1E+16", case_insensitive=True), 1e16),
        (Term("details.key", "443.0"), 443),
        (Term("details.key", 443), "443.0"),
        (Term("details.key", True), "true"),
        (Term("details.key", "true"), True),
        (Term("details.key", "STRASSE", case_insensitive=True), "strasse"),
        (Terms("details.key", ["a", 5]), ["x", ["y", 5.0]]),
        (Term("details.sourceipaddress", "2001:DB8::1"), None),
        (Prefix("details.key", "ab"), "abc"),
    ],
)
def test_values_that_are_equal_are_filed_together(query: Query, held: object) -> None:
    address = {"sourceipaddress": "2001:db8:0::1"} if held is None else {"key": held}
    event = stored_event(details=address)
    assert evaluate.compile(query)(event)
    assert candidates(query, event)


@pytest.mark.parametrize(
    ("query", "filed"),
    [
        (SSHD, True),
        (SSHD & ~Term("hostname", "db1"), True),
        (SSHD | Term("details.program", "su"), True),
        (SSHD | All(), False),
        (~SSHD, False),
        (All(), False),
        (Exists("details.status"), True),
        (Exists("hostname"), False),
        (Range("utctimestamp", gte="2026-01-01"), False),
        (Subnet("details.sourceipaddress", ["10.0.0.0/8"]) & All(), True),
        (Wildcard("*", "abc*"), False),
        (MatchPhrase("summary", "failed password"), True),
        (Match("summary", "..."), True),
        (QueryString("details.username:joe AND NOT tags:vpn"), True),
        (QueryString("joe"), False),
        (Bool(must=(All(),), should=(SSHD, Exists("details.user"))), True),
    ],
)
def test_a_query_is_filed_if_there_is_something_that_every_match_holds(query: Query, *, filed: bool) -> None:
    unrelated = stored_event(summary="nothing of that", hostname="db1", details={"program": "cron"})
    assert QueryIndex([query]).unfiled == (not filed)
    assert candidates(query, unrelated) == (not filed)


def test_it_is_filed_under_what_few_events_have() -> None:
    query = Term("category", "syslog") & Match("summary", "failed") & SSHD
    index = QueryIndex([query])
    assert (
        index.candidates(stored_event(category="syslog", summary="failed", details={"program": "cron"}))
        == set()
    )
    assert index.candidates(stored_event(category="web", summary="up", details={"program": "sshd"})) == {0}


def test_very_many_values_are_filed_under_their_field() -> None:
    query = Terms("details.hash", [f"h{number}" for number in range(MOST_KEYS + 1)])
    assert candidates(query, stored_event(details={"hash": "another"}))
    assert not candidates(query, stored_event(details={"user": "h1"}))


@given(st.lists(queries, min_size=1, max_size=4))
@example([SSHD, SSHD])
def test_positions_are_those_of_the_queries(asked: list[Query]) -> None:
    event = stored_event(details={"program": "sshd"})
    together = QueryIndex(asked).candidates(event)
    assert together == {position for position, query in enumerate(asked) if candidates(query, event)}
