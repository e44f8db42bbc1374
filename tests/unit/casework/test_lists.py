"""Lists are kept, filled and emptied, and queries see what changes."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from mozdef_core.casework import audit, lists
from mozdef_core.casework.database import Database
from mozdef_core.casework.list_book import ListBook
from mozdef_core.casework.list_values import canonical
from mozdef_core.casework.lists import EXPIRED_KEPT_US, Entry
from mozdef_core.errors import BookUnavailableError, NotFoundError
from mozdef_core.event import now_us
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.query.lists import resolve
from mozdef_core.query.model import In
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

INES = audit.Actor("ines")
SOON_US = 10_000_000


def made(database: Database, values: Iterable[str] = (), name: str = "bad", kind: str = "addresses") -> None:
    with database.write() as session:
        lists.create(session, name, kind, "seen scanning", INES)
        lists.add(session, name, [Entry(value) for value in values], INES)


def values(database: Database, name: str = "bad") -> list[str]:
    with database.read() as session:
        return [entry.value for entry in lists.entries(session, name, size=1_000).entries]


def trail(database: Database, name: str = "bad") -> list[audit.Entry]:
    with database.read() as session:
        return list(audit.entries(session, "list", name))


def test_a_list_holds_what_was_put_in_and_says_who_did(database: Database) -> None:
    made(database, ["192.0.2.7", "2001:DB8::1", "10.1.2.3/8"])
    assert values(database) == ["10.0.0.0/8", "192.0.2.7", "2001:db8::1"]
    with database.write() as session:
        assert lists.add(session, "bad", [Entry("192.0.2.7"), Entry("192.0.2.8", comment="b")], INES) == 1
        assert lists.remove(session, "bad", ["10.0.0.0/8", "192.0.2.99"], INES) == 1
        found = lists.show(session, "bad")
    assert (found.kind, found.entries, found.expired, found.created_by) == ("addresses", 3, 0, "ines")
    actions = [(entry.actor, entry.action) for entry in trail(database)]
    assert actions == [("ines", action) for action in ("created", "added", "added", "removed")]
    assert trail(database)[-1].before == {"count": 1, "values": ["10.0.0.0/8"]}


def test_what_is_given_again_replaces_all_but_when_it_came(database: Database) -> None:
    made(database)
    until_us = now_us() + SOON_US
    for entry in (Entry("192.0.2.7", "feed", "old", 5, until_us), Entry("192.0.2.7", "hand", "new", 9, None)):
        with database.write() as session:
            lists.add(session, "bad", [entry], INES)
    with database.read() as session:
        (kept,) = lists.entries(session, "bad").entries
    assert kept == Entry("192.0.2.7", "hand", "new", 5, None)


def test_of_many_values_the_trail_has_number_and_hash(database: Database) -> None:
    made(database, [f"10.0.0.{number}" for number in range(100)])
    told = trail(database)[-1].after
    assert (told["count"], len(told["values"]), len(told["sha256"])) == (100, 20, 64)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("addresses", " ::FFFF:192.0.2.1 ", "192.0.2.1"),
        ("addresses", "::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("hosts", "DB1.Lab.Example.", "db1.lab.example"),
        ("hosts", "bücher.example", "xn--bcher-kva.example"),
        ("hashes", "A" * 32, "a" * 32),
        ("users", "LAB\\Joe", "LAB\\Joe"),
        ("texts", "two words", "two words"),
    ],
)
def test_a_value_is_kept_in_one_way(kind: str, text: str, value: str) -> None:
    assert canonical(kind, text) == value
    assert canonical(kind, value) == value


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("addresses", "db1.example", "expected an address or a network"),
        ("addresses", "0.0.0.0/0", "holds every address"),
        ("addresses", "::ffff:0:0/96", "holds every address"),
        ("hosts", "10.1.2.3", "needs a list of addresses"),
        ("hosts", "a..b", "expected a host name"),
        ("hosts", "a b", "expected a host name"),
        ("hashes", "abc", "expected a hash"),
        ("hashes", "g" * 32, "expected a hash"),
        ("users", "  ", "got nothing"),
        ("texts", "a\nb", "no control characters"),
        ("texts", "x" * 1025, "at most 1024 characters"),
    ],
)
def test_a_value_that_does_not_belong_is_refused(
    database: Database, kind: str, text: str, reason: str
) -> None:
    made(database, [], "it", kind)
    with pytest.raises(ValueError, match=reason), database.write() as session:
        lists.add(session, "it", [Entry(text)], INES)
    assert values(database, "it") == []


def test_wrong_names_kinds_and_expiries_are_refused(database: Database) -> None:
    made(database)
    for name, kind, reason in (("A", "texts", "name"), ("", "texts", "name"), ("a", "cars", "kind"), ("bad", "texts", "already")):  # fmt: skip
        with pytest.raises(ValueError, match=reason), database.write() as session:
            lists.create(session, name, kind, "", INES)
    with pytest.raises(ValueError, match="a time to come"), database.write() as session:
        lists.add(session, "bad", [Entry("10.1.1.1", expires_us=now_us())], INES)
    with (
        pytest.raises(NotFoundError, match=r"there is no list bda; did you mean bad\?"),
        database.read() as session,
    ):
        lists.show(session, "bda")


def test_a_list_is_read_page_by_page_and_searched(database: Database) -> None:
    made(database, [f"host{number}" for number in range(7)], "h", "hosts")
    found, after = [], None
    with database.read() as session:
        while True:
            page = lists.entries(session, "h", after=after, size=3)
            found += [entry.value for entry in page.entries]
            after = page.after
            if after is None:
                break
        assert found == [f"host{number}" for number in range(7)]
        assert [entry.value for entry in lists.entries(session, "h", text="t3").entries] == ["host3"]
        assert not lists.entries(session, "h", text="%").entries


def test_an_import_can_leave_only_what_it_brought(database: Database) -> None:
    made(database, ["10.0.0.1", "10.0.0.2"])
    begun_us = now_us()
    with database.write() as session:
        lists.add(session, "bad", [Entry("10.0.0.2"), Entry("10.0.0.3")], INES)
        assert lists.remove_untouched(session, "bad", begun_us, INES) == 1
    assert values(database) == ["10.0.0.2", "10.0.0.3"]


def test_an_entry_that_has_ended_is_deleted_an_hour_later_and_the_trail_says_so(database: Database) -> None:
    made(database, ["10.0.0.1"])
    until_us = now_us() + SOON_US
    with database.write() as session:
        lists.add(session, "bad", [Entry("10.0.0.2", expires_us=until_us)], INES)
    with database.write() as session:
        assert not lists.something_expired(session, until_us + EXPIRED_KEPT_US - 1)
        assert lists.expire(session, until_us + EXPIRED_KEPT_US - 1) == 0
        assert lists.something_expired(session, until_us + EXPIRED_KEPT_US)
        assert lists.expire(session, until_us + EXPIRED_KEPT_US) == 1
    assert values(database) == ["10.0.0.1"]
    assert (trail(database)[-1].actor, trail(database)[-1].before) == (
        "lists",
        {"count": 1, "values": ["10.0.0.2"]},
    )


def test_a_deleted_list_is_gone_with_its_entries(database: Database) -> None:
    made(database, ["10.0.0.1"])
    with database.write() as session:
        assert lists.remove_list(session, "bad", INES) == 1
        assert lists.collect(session) == []
        lists.create(session, "bad", "addresses", "", INES)
        assert lists.show(session, "bad").entries == 0


def matches(book: ListBook, address: str) -> bool:
    query = resolve(In("details.ip", "bad"), book)
    return compile_query(query)(stored_event(BASE_US, details={"ip": address}))


def test_queries_see_a_change_with_the_next_look(database: Database) -> None:
    made(database, ["10.0.0.0/8"])
    book = ListBook(database)
    assert (matches(book, "10.9.9.9"), matches(book, "192.0.2.7")) == (True, False)
    version = book.version
    book.refresh()
    assert book.version == version
    with database.write() as session:
        lists.add(session, "bad", [Entry("192.0.2.7")], INES)
        lists.remove(session, "bad", ["10.0.0.0/8"], INES)
    assert matches(book, "10.9.9.9")
    book.refresh()
    assert book.version != version
    assert (matches(book, "10.9.9.9"), matches(book, "192.0.2.7")) == (False, True)


def test_a_list_that_is_made_or_deleted_later_is_noticed(database: Database) -> None:
    book = ListBook(database)
    assert (book.members("bad"), list(book.names())) == (None, [])
    made(database, ["10.0.0.1"])
    assert matches(book, "10.0.0.1")
    with database.write() as session:
        lists.remove_list(session, "bad", INES)
    book.refresh()
    assert (book.members("bad"), list(book.names())) == (None, [])


def test_who_asks_seldom_is_told_what_is_true_then(database: Database) -> None:
    made(database, ["10.0.0.1"])
    now = [0.0]
    book = ListBook(database, clock=lambda: now[0])
    assert matches(book, "10.0.0.1")
    with database.write() as session:
        lists.remove(session, "bad", ["10.0.0.1"], INES)
    now[0] = 1.0
    assert matches(book, "10.0.0.1")
    now[0] = 1.1
    assert not matches(book, "10.0.0.1")


def test_a_list_that_took_long_to_load_rests_before_it_is_loaded_again(database: Database) -> None:
    made(database, ["10.0.0.1"])
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0  # so that loading takes a second
        return now[0]

    book = ListBook(database, clock=clock)
    assert matches(book, "10.0.0.1")
    loaded_s = now[0]
    with database.write() as session:
        lists.remove(session, "bad", ["10.0.0.1"], INES)
    now[0] = loaded_s + 5
    assert matches(book, "10.0.0.1")
    now[0] = loaded_s + 10
    assert not matches(book, "10.0.0.1")


def test_while_the_database_is_away_the_lists_are_as_they_were(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(database, ["10.0.0.1"])
    book = ListBook(database)
    assert matches(book, "10.0.0.1")

    def away() -> None:
        raise BookUnavailableError("gone")

    monkeypatch.setattr(database, "read", away)
    monkeypatch.setattr("mozdef_core.casework.list_book.LOOK_S", 0)
    with pytest.raises(BookUnavailableError):
        book.refresh()
    assert matches(book, "10.0.0.1")
    with pytest.raises(BookUnavailableError):
        ListBook(database).members("bad")


def test_a_process_that_looks_every_second_needs_no_call(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mozdef_core.casework.list_book.LOOK_S", 0.01)
    made(database)
    looked = threading.Event()
    book = ListBook(database, also=looked.set)
    assert not matches(book, "10.0.0.1")
    book.start()
    with database.write() as session:
        lists.add(session, "bad", [Entry("10.0.0.1")], INES)
    for _ in range(2):  # the look that had begun, and one after it
        looked.clear()
        assert looked.wait(10)
    assert matches(book, "10.0.0.1")
    book.close()
