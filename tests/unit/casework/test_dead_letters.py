from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mozdef_core.casework import audit, dead_letters
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.dead_letters import Filter
from mozdef_core.errors import NotFoundError
from mozdef_core.ports import RAW_LIMIT_BYTES, BatchRecord, DeadLetter, Origin

DAY_US = 86_400_000_000
INES = audit.Actor("ines")


@pytest.fixture
def book(url: str) -> Iterator[SqlBook]:
    opened = SqlBook(url)
    yield opened
    opened.close()


def letter(number: int, **fields: object) -> DeadLetter:
    origin = Origin("syslog" if number % 2 else "events", "http", peer="192.0.2.1", token="shipper")
    plain = DeadLetter(f"id{number}", number * DAY_US, origin, "parse", f"code{number}", "a reason", b"\xff{")
    return replace(plain, **fields)  # type: ignore[arg-type]


def record(book: SqlBook, *letters: DeadLetter, **replayed: list[str]) -> None:
    book.record(BatchRecord(dead_letters=letters, replayed=replayed))


def found(book: SqlBook, wanted: Filter) -> list[str]:
    with book.database.read() as session:
        return [each.id for each in dead_letters.search(session, wanted).letters]


def shown(book: SqlBook, letter_id: str) -> DeadLetter:
    with book.database.read() as session:
        return dead_letters.show(session, letter_id)


def test_a_letter_is_kept_as_it_came(book: SqlBook) -> None:
    whole = letter(1, plugin="linux", fields={"hostname": "a"}, sender_id="s1")
    record(book, whole)
    assert shown(book, "id1") == whole


def test_of_a_large_item_one_mebibyte_is_kept_and_how_large_it_was(book: SqlBook) -> None:
    record(book, letter(1, raw=b"x" * (RAW_LIMIT_BYTES + 1)), letter(2, raw=b"x" * RAW_LIMIT_BYTES))
    cut, whole = shown(book, "id1"), shown(book, "id2")
    assert (len(cut.raw), cut.received_bytes) == (RAW_LIMIT_BYTES, RAW_LIMIT_BYTES + 1)
    assert (len(whole.raw), whole.received_bytes) == (RAW_LIMIT_BYTES, None)


def test_what_was_cut_is_not_replayed_and_what_is_just_as_long_as_the_limit_is() -> None:
    whole = letter(1, raw=b"x" * RAW_LIMIT_BYTES)
    assert dead_letters.as_item(whole).raw == whole.raw
    with pytest.raises(
        ValueError, match=r"letter id1 .* only the first 1,048,576 of 1,048,580 bytes that were"
    ):
        dead_letters.as_item(letter(1, raw=b"x" * (RAW_LIMIT_BYTES + 4)))
    with pytest.raises(
        ValueError, match=r"only the first 1,048,576 of perhaps more bytes that were received"
    ):
        dead_letters.as_item(replace(whole, received_bytes=RAW_LIMIT_BYTES))


def test_letters_are_found_by_code_input_status_and_time(book: SqlBook) -> None:
    record(book, *map(letter, range(1, 6)))
    with book.database.write() as session:
        dead_letters.discard(session, "id4", INES)
    assert found(book, Filter()) == ["id5", "id4", "id3", "id2", "id1"]
    assert found(book, Filter(code="code2")) == ["id2"]
    assert found(book, Filter(input="events")) == ["id4", "id2"]
    assert found(book, Filter(status="discarded")) == ["id4"]
    assert found(book, Filter(since_us=2 * DAY_US, until_us=4 * DAY_US)) == ["id3", "id2"]
    with book.database.read() as session:
        first = dead_letters.search(session, Filter(size=3))
        second = dead_letters.search(session, Filter(size=3, after=first.after))
    assert [each.id for each in [*first.letters, *second.letters]] == ["id5", "id4", "id3", "id2", "id1"]
    assert second.after is None


def test_a_replay_counts_and_ends_when_its_events_are_stored(book: SqlBook) -> None:
    record(book, letter(1))
    with book.database.write() as session:
        assert dead_letters.start_replay(session, "id1", INES).attempts == 2
    record(book, letter(1, code="again", reason="failed again"))
    assert (shown(book, "id1").attempts, shown(book, "id1").code, shown(book, "id1").status) == (
        2,
        "again",
        "open",
    )
    for _ in range(2):
        record(book, id1=["e1", "e2"])
    assert (shown(book, "id1").status, shown(book, "id1").replayed_as) == ("replayed", ("e1", "e2"))
    with book.database.read() as session:
        actions = [entry.action for entry in audit.entries(session, "dead letter", "id1")]
        assert audit.verify(session) is None
    assert actions == ["replay", "replayed"]


def test_events_of_a_letter_that_has_gone_are_no_problem(book: SqlBook) -> None:
    record(book, gone=["e1"])


def test_what_is_not_there_is_said_so(book: SqlBook) -> None:
    with pytest.raises(NotFoundError, match="no dead letter 'x'"):
        shown(book, "x")
