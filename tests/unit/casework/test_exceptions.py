"""Exceptions are kept with an owner, a reason and an end, and what they remove is written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mozdef_core.casework import audit, exceptions
from mozdef_core.casework.database import Database, next_number
from mozdef_core.casework.exceptions import ExceptionBook, Kept, Wanted
from mozdef_core.errors import BookUnavailableError, NotFoundError
from mozdef_core.event import now_us
from mozdef_core.exemptions import SAMPLES, Exemptions
from mozdef_core.query.lists import NO_LISTS
from mozdef_core.testing_contracts.store_events import stored_event

INES = audit.Actor("ines")
HOUR_US = 3_600_000_000
YEAR_US = 366 * 24 * HOUR_US


def wanted(**changes: Any) -> Wanted:
    now = now_us()
    made = Wanted("rule", "ssh", "details.user:joe", "ines", "backup job", now - HOUR_US, now + HOUR_US)
    return replace(made, **changes)


def made(database: Database, **changes: Any) -> Kept:
    with database.write() as session:
        return exceptions.create(session, wanted(**changes), NO_LISTS, INES)


def trail(database: Database, exception_id: str) -> list[audit.Entry]:
    with database.read() as session:
        return list(audit.entries(session, "exception", exception_id))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scope": "some"}, "scope: expected one of all, tag, rule, got 'some'"),
        ({"target": ""}, "target: expected the name of the rule"),
        ({"scope": "all"}, "target: expected nothing for scope 'all', got 'ssh'"),
        ({"owner": " "}, "owner: expected a text"),
        ({"reason": ""}, "reason: expected a text"),
        ({"query": "a AND"}, "query: "),
        ({"query": "a:@nobody"}, "query: there is no list @nobody"),
        ({"expires_us": 5}, "expires: expected a time to come"),
        ({"starts_us": 0, "expires_us": now_us() + 2 * YEAR_US}, "at most a year"),
        ({"starts_us": now_us() + 2 * YEAR_US, "expires_us": now_us() + 2 * YEAR_US + 1}, "starts: expected at most a year"),
    ],
)  # fmt: skip
def test_an_exception_that_cannot_be_is_refused(database: Database, changes: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        made(database, **changes)
    with database.read() as session:
        assert exceptions.collect(session, expired=True) == []


def test_an_exception_is_made_changed_and_ended_and_the_trail_says_by_whom(database: Database) -> None:
    kept = made(database)
    assert (kept.state(now_us()), kept.created_by, kept.hits) == ("in force", "ines", 0)
    with database.write() as session:
        exceptions.change(session, kept.id, wanted(reason="new", starts_us=kept.starts_us, expires_us=kept.expires_us), NO_LISTS, audit.Actor("ann"))  # fmt: skip
        ended = exceptions.end(session, kept.id, INES)
        assert ended.state(now_us()) == "expired"
        assert exceptions.collect(session) == []
        assert [one.id for one in exceptions.collect(session, expired=True)] == [kept.id]
        with pytest.raises(ValueError, match="has expired"):
            exceptions.change(session, kept.id, wanted(), NO_LISTS, INES)
    assert [(entry.actor, entry.action, entry.field) for entry in trail(database, kept.id)] == [
        ("ines", "created", None),
        ("ann", "changed", "reason"),
        ("ines", "ended", "expires_us"),
    ]
    with pytest.raises(NotFoundError, match="no exception 'x'"), database.write() as session:
        exceptions.end(session, "x", INES)


def test_a_maintenance_window_is_planned_until_it_starts(database: Database) -> None:
    now = now_us()
    kept = made(database, starts_us=now + HOUR_US, expires_us=now + 2 * HOUR_US)
    assert [kept.state(at_us) for at_us in (now, kept.starts_us, kept.expires_us)] == [
        "planned",
        "in force",
        "expired",
    ]
    with database.write() as session:
        assert exceptions.end(session, kept.id, INES).state(now_us()) == "expired"


def test_rules_obey_with_the_next_look_and_removals_are_counted(database: Database) -> None:
    book = ExceptionBook(database, Exemptions())
    book.refresh()
    assert book.exemptions("ssh") is None
    kept = made(database)
    book.refresh()
    screen = book.exemptions("ssh")
    assert screen is not None
    at_us = now_us()
    joes = [stored_event(at_us + step, receivedtimestamp=stored_event(at_us).body["utctimestamp"], details={"user": "joe"}) for step in range(25)]  # fmt: skip
    assert not any(map(screen, joes))
    book.exemptions.note(screen)
    book.refresh()
    with database.write() as session:
        shown = exceptions.show(session, kept.id)
        next_number(session, f"excepted:{kept.id}", 5)  # as the ledger counts what runs on a schedule remove
        assert exceptions.show(session, kept.id).hits == 30
    assert (shown.hits, len(shown.samples)) == (25, SAMPLES)
    assert shown.samples[-1]["event"] == joes[-1].id
    assert shown.samples[-1]["rule"] == "ssh"
    with database.write() as session:
        exceptions.end(session, kept.id, INES)
    book.refresh()
    later = stored_event(now_us(), details={"user": "joe"})
    ended = book.exemptions("ssh")
    assert ended is None or ended(later)


def test_what_could_not_be_written_down_is_not_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = made(database)
    book = ExceptionBook(database, Exemptions())
    book.refresh()
    screen = book.exemptions("ssh")
    assert screen is not None
    received = stored_event(now_us()).body["utctimestamp"]
    assert not screen(stored_event(now_us(), receivedtimestamp=received, details={"user": "joe"}))
    book.exemptions.note(screen)
    with monkeypatch.context() as patch:

        def away() -> None:
            raise BookUnavailableError("gone")

        patch.setattr(database, "write", away)
        with pytest.raises(BookUnavailableError):
            book.refresh()
    book.refresh()
    with database.read() as session:
        assert exceptions.show(session, kept.id).hits == 1


def test_an_end_is_reported_once(database: Database) -> None:
    kept = made(database)
    with database.write() as session:
        assert not exceptions.something_expired(session, kept.expires_us - 1)
        assert exceptions.something_expired(session, kept.expires_us)
        assert [one.id for one in exceptions.report_expired(session, kept.expires_us)] == [kept.id]
        assert exceptions.report_expired(session, kept.expires_us) == []
    assert trail(database, kept.id)[-1].action == "expired"
