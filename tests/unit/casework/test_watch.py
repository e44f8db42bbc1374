"""The watch list is kept with a trail, ends, and counts what it meets."""

from __future__ import annotations

from typing import Any

import pytest

from mozdef_core.casework import audit, watch
from mozdef_core.casework.database import Database
from mozdef_core.casework.watch import Term, WatchBook, Watched
from mozdef_core.errors import BookUnavailableError, NotFoundError
from mozdef_core.event import now_us
from mozdef_core.testing_contracts.trial import make_event
from mozdef_core.watching import WatchList

INES = audit.Actor("ines")
HOUR_US = 3_600_000_000


def added(database: Database, content: str, **more: Any) -> Watched:
    with database.write() as session:
        return watch.add(session, Term(content, **more), INES)


def trail(database: Database, entry_id: str) -> list[str]:
    with database.read() as session:
        return [entry.action for entry in audit.entries(session, "watch", entry_id)]


def test_a_term_is_kept_in_canonical_form_with_the_kind_it_looks_like(database: Database) -> None:
    entry = added(database, " 2001:DB8::0:1 ", comment="beacon", reference="T-7")
    assert (entry.content, entry.kind, entry.creator, entry.hits) == ("2001:db8::1", "ip", "ines", 0)
    with database.read() as session:
        assert watch.collect(session) == [entry]
        assert watch.collect(session, "beac") == [entry]
        assert watch.collect(session, "other") == []
    assert trail(database, entry.id) == ["created"]


def test_adding_again_extends_and_never_shortens(database: Database) -> None:
    now = now_us()
    first = added(database, "Drop.example", expires_us=now + 2 * HOUR_US)
    again = added(database, "drop.example", expires_us=now + HOUR_US, subdomains=True)
    assert (again.id, again.expires_us, again.subdomains) == (first.id, first.expires_us, True)
    longer = added(database, "drop.example", expires_us=now + 3 * HOUR_US)
    assert longer.expires_us == now + 3 * HOUR_US
    assert added(database, "drop.example").expires_us is None
    assert added(database, "drop.example", expires_us=now + HOUR_US).expires_us is None
    assert trail(database, first.id).count("extended") == 4


@pytest.mark.parametrize(
    ("term", "reason"),
    [
        (Term("x"), "at least 2 characters"),
        (Term("category:(", "query"), "watchcontent: "),
        (Term("192.0.2.1", subdomains=True), "only a domain has some"),
        (Term("mimikatz", expires_us=5), "a time to come"),
        (Term("mimikatz", "word"), "expected one of ip"),
    ],
)
def test_what_cannot_be_watched_for_is_refused(database: Database, term: Term, reason: str) -> None:
    with pytest.raises(ValueError, match=reason), database.write() as session:
        watch.add(session, term, INES)


def test_an_entry_is_removed_by_its_id_or_its_content(database: Database) -> None:
    first, second = added(database, "mimikatz"), added(database, "drop.example")
    for name in (first.id, "Drop.Example."):
        with database.write() as session:
            assert len(watch.remove(session, name, INES)) == 1
    with pytest.raises(NotFoundError, match="'mimikatz' is not watched for"), database.write() as session:
        watch.remove(session, "mimikatz", INES)
    assert trail(database, second.id) == ["created", "deleted"] or trail(database, second.id) == [
        "deleted",
        "created",
    ]


def test_an_expired_entry_is_deleted_an_hour_later_with_an_audit_entry(database: Database) -> None:
    now = now_us()
    entry = added(database, "mimikatz", expires_us=now + HOUR_US)
    for at_us, gone in ((now + 2 * HOUR_US - 1, 0), (now + 2 * HOUR_US, 1)):
        with database.write() as session:
            assert watch.something_expired(session, at_us) == bool(gone)
            assert watch.expire(session, at_us) == gone
    assert "expired" in trail(database, entry.id)


def test_rules_of_a_process_see_a_change_with_the_next_look_and_hits_are_written_down(
    database: Database,
) -> None:
    book = WatchBook(database, WatchList())
    event = make_event("mimikatz")
    book.refresh()
    assert not book.watch.find(event)
    entry = added(database, "mimikatz")
    book.refresh()
    (found,) = book.watch.find(event)
    assert found.id == entry.id
    book.watch.hit(found, event.received_us)
    book.watch.hit(found, event.received_us - 5)
    book.refresh()
    with database.read() as session:
        (kept,) = watch.collect(session)
    assert (kept.hits, kept.last_hit_us) == (2, event.received_us)
    with database.write() as session:
        watch.remove(session, entry.id, INES)
    book.watch.hit(found, event.received_us)  # of an entry that is gone: passed over
    book.refresh()
    assert not book.watch.find(event)


def test_while_the_database_is_away_nothing_is_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = WatchBook(database, WatchList())
    entry = added(database, "mimikatz")
    book.refresh()
    (found,) = book.watch.find(make_event("mimikatz"))
    book.watch.hit(found, 7)

    def away() -> Any:
        raise BookUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", away)
        with pytest.raises(BookUnavailableError):
            book.refresh()
    assert book.watch.take() == {entry.id: (1, 7)}
