from __future__ import annotations

import pytest
from sqlalchemy import text

from mozdef_core.casework import audit
from mozdef_core.casework.database import Database


@pytest.fixture
def trail(database: Database) -> Database:
    with database.write() as session:
        for number in range(5):
            change = audit.Change(
                "changed", "alert", f"a{number % 2}", "status", {"b": 1, "a": [number]}, "ü"
            )
            audit.append(session, audit.Actor("ines", address="192.0.2.1"), change, number)
    return database


def broken(database: Database) -> int | None:
    with database.read() as session:
        return audit.verify(session)


def test_an_untouched_trail_is_whole(trail: Database) -> None:
    assert broken(trail) is None


@pytest.mark.parametrize(
    ("tampering", "first"),
    [
        ("UPDATE audit SET actor = 'otto' WHERE number = 3", 3),
        ("UPDATE audit SET before = NULL WHERE number = 2", 2),
        ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE number = 1) WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 5", 5),
        ("DELETE FROM audit", 1),
    ],
)
def test_an_edit_or_a_gap_is_found(trail: Database, tampering: str, first: int) -> None:
    with trail.write() as session:
        session.execute(text(tampering))
    assert broken(trail) == first


def test_the_history_of_an_object_is_its_own_oldest_first(trail: Database) -> None:
    with trail.read() as session:
        found = audit.entries(session, "alert", "a1")
    assert [(entry.at_us, entry.before, entry.after) for entry in found] == [
        (1, {"b": 1, "a": [1]}, "ü"),
        (3, {"b": 1, "a": [3]}, "ü"),
    ]


def test_an_entry_of_a_transaction_that_fails_leaves_no_gap(trail: Database) -> None:
    def change_and_fail() -> None:
        with trail.write() as session:
            audit.append(session, audit.Actor("ines"), audit.Change("changed", "alert", "a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert broken(trail) is None
