"""``mozdef dead-letters`` and what ``mozdef status`` says of them, over a database and a queue in a directory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mozdef_core.casework import processes
from mozdef_core.casework.book import SqlBook
from mozdef_core.config import Config, load
from mozdef_core.event import now_us
from mozdef_core.ports import RAW_LIMIT_BYTES, BatchRecord, DeadLetter, Origin, Pruned
from mozdef_core.services.cli import main
from mozdef_core.services.compose import open_book, open_queue


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "mozdef.toml"
    path.write_text('[core]\nstore = "memory"\n', encoding="utf-8")
    return load(path, {})


@pytest.fixture
def book(config: Config) -> Iterator[SqlBook]:
    opened = open_book(config)
    yield opened
    opened.close()


def record(book: SqlBook, **raw: bytes) -> None:
    origin, received_us = Origin("events", "http"), now_us()
    letters = [
        DeadLetter(name, received_us, origin, "parse", "c", "a reason", each) for name, each in raw.items()
    ]
    book.record(BatchRecord(dead_letters=letters))


def run(config: Config, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--config", str(config.path), "--json"])


def test_what_was_cut_says_how_much_was_received_and_what_was_not_says_nothing(
    config: Config, book: SqlBook
) -> None:
    record(book, cut=b"x" * (RAW_LIMIT_BYTES + 7), whole=b"x")
    shown = {name: json.loads(run(config, "dead-letters", "show", name).stdout) for name in ("cut", "whole")}
    assert shown["cut"]["received_bytes"] == RAW_LIMIT_BYTES + 7
    assert "received_bytes" not in shown["whole"]


def test_one_that_was_cut_does_not_keep_the_others_from_being_replayed(config: Config, book: SqlBook) -> None:
    record(book, a=b"1", cut=b"x" * (RAW_LIMIT_BYTES + 1), z=b"2")
    done = run(config, "dead-letters", "replay", "--all")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert sorted(answer["queued"]) == ["a", "z"]
    assert answer["refused"].keys() == {"cut"}
    assert "error: dead letter cut cannot be replayed: only the first 1,048,576 of 1,048,577" in done.stderr
    queue = open_queue(config)
    items = [item for delivery in queue.take(10, 0) for item in delivery.items]
    queue.close()
    assert sorted(item.raw for item in items) == [b"1", b"2"]
    assert json.loads(run(config, "dead-letters", "show", "cut").stdout)["attempts"] == 1


def test_status_tells_of_open_letters_that_were_lost(config: Config, book: SqlBook) -> None:
    def troubles(removed: Pruned) -> list[str]:
        with book.database.write() as session:
            counters = {"removed": removed._asdict()}
            processes.report(session, "scheduler", str(os.getpid()), counters, now_us())
        document = json.loads(run(config, "status").stdout)
        assert document["removed"] == removed._asdict()
        return [trouble for trouble in document["troubles"] if "lost" in trouble]

    assert troubles(Pruned(letters=5)) == []
    assert troubles(Pruned(letters=5, lost=3)) == [
        "3 open dead letters were lost by age or size since the scheduler started; look at them more often, or raise"
        " the limits in [retention.dead_letters]"
    ]
