"""What is told of MozDef's own health."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import upgrade
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueueUnavailableError
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.markers import hookimpl
from mozdef_core.ports import PutResult
from mozdef_core.services.own_health import Facts, OwnHealth, ailments
from mozdef_core.services.silent_sources import BUCKET_US, BUCKETS, LEAST, USUAL, SilentSources, silent
from mozdef_core.settings import HealthSettings
from mozdef_core.testing_contracts.book_alerts import MINUTE, START_US, Clock, event_at
from mozdef_core.window import Window

NOW = START_US
SETTINGS = HealthSettings()


def told(facts: Facts, settings: HealthSettings = SETTINGS) -> list[tuple[str, str]]:
    return [(ailment.check, ailment.subject) for ailment in ailments(facts, settings)]


def queue(age_s: float | None) -> tuple[str, Mapping[str, Any]]:
    return "worker", {"queue": {"oldest_us": None if age_s is None else NOW - int(age_s * 1_000_000)}}


RULE = {"quarantine": "", "late": False, "last_error": ""}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(NOW), []),
        (Facts(NOW, [queue(None), ("web", {}), queue(299)], disk_used=0.9), []),
        (Facts(NOW, [queue(10), queue(301)]), [("queue-age", "queue")]),
        (Facts(NOW, new_letters=1), [("dead-letters", "dead letters")]),
        (Facts(NOW, disk_used=0.91), [("disk", "data")]),
        (Facts(NOW, blind=3), [("blind", "listening")]),
        (
            Facts(
                NOW, [("worker", {"plugins": {"geoip": {"suspended": True, "reason": "slow"}, "x": {}}})] * 2
            ),
            [("suspended", "geoip")],
        ),
        (
            Facts(
                NOW,
                [
                    (
                        "scheduler",
                        {
                            "rules": {
                                "a": {**RULE, "quarantine": "too slow", "late": True},
                                "b": {**RULE, "late": True},
                                "c": RULE,
                            }
                        },
                    )
                ],
            ),
            [("quarantined-rule", "a"), ("late-rule", "b")],
        ),
        (Facts(NOW, problems={"deadman_generic": ["'x': no query"]}), [("invalid-rule", "deadman_generic")]),
        (Facts(NOW, silent_sources={"dhcp": (90, 10)}), [("silent-source", "dhcp")]),
    ],
)
def test_each_check_tells_of_what_is_wrong_and_of_nothing_else(
    facts: Facts, expected: list[tuple[str, str]]
) -> None:
    assert told(facts) == expected


def test_the_limits_are_settings() -> None:
    settings = HealthSettings(queue_age_s=10, disk_share=0.5)
    assert told(Facts(NOW, [queue(11)], disk_used=0.6), settings) == [
        ("queue-age", "queue"),
        ("disk", "data"),
    ]


class Intake:
    """Keeps what is put into the queue."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self.away = False

    def put(self, raw: Sequence[bytes], **_: Any) -> PutResult:
        if self.away:
            raise QueueUnavailableError("away")
        self.documents.extend(map(orjson.loads, raw))
        return PutResult([], 0)

    def lost(self, count: int, reason: str) -> None:
        """Nothing is."""


class Bad:
    """A rule of which a part cannot be used."""

    problems = ("entry 2: no query",)

    @hookimpl
    def alert_match(self, window: Window) -> None:
        """Find nothing."""


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SqlBook]:
    url = f"sqlite:///{tmp_path / 'casework.sqlite'}"
    upgrade(url)
    with closing(SqlBook(url)) as opened:
        yield opened


def test_the_job_puts_an_event_for_each_into_the_queue(book: SqlBook, tmp_path: Path) -> None:
    intake, clock = Intake(), Clock()
    host = Host([Plugin("bad", Bad())], Health())
    settings = HealthSettings(disk_share=1.0)
    job = OwnHealth(book, host, intake, settings, node="node1", data_dir=tmp_path, clock=clock)  # type: ignore[arg-type]
    job()
    (event,) = intake.documents
    assert event["summary"] == "bad: entry 2: no query"
    assert (event["category"], event["source"], event["hostname"]) == ("mozdef", "health", "node1")
    assert event["details"] == {"check": "invalid-rule", "subject": "bad", "value": 0}
    intake.away = True
    job()
    assert len(intake.documents) == 1


def test_minutes_without_listening_are_told_of_once(book: SqlBook, tmp_path: Path) -> None:
    from mozdef_core.casework import processes

    intake, clock = Intake(), Clock()
    job = OwnHealth(
        book,
        Host([], Health()),
        intake,
        HealthSettings(disk_share=1.0),
        node="n",
        data_dir=tmp_path,
        clock=clock,  # type: ignore[arg-type]
    )

    def up(minute: int) -> None:
        with book.database.write() as session:
            at_us = START_US + minute * MINUTE
            processes.report(session, "web", "1", {}, at_us)
            processes.report(
                session,
                "worker",
                "2",
                {"queue": {"oldest_us": None}, "worker": {"watermark_us": at_us}},
                at_us,
            )

    for minute in (0, 1, 2, 3, 8, 9, 10, 11, 12, 13):
        up(minute)
        clock.us = START_US + minute * MINUTE
        job()
    blind = [event["details"]["value"] for event in intake.documents]
    assert sum(blind) == 4  # minutes 4 to 7, each told of as soon as it is known


def test_a_source_is_missed_when_it_is_silent_for_longer_than_ever_in_a_day() -> None:
    store = MemoryStore()
    step_s = BUCKET_US // 1_000_000
    heard = [number for number in range(USUAL + 60) if number % 3 != 2]
    store.write([event_at(number * step_s, name=f"{number:04d}", source="x") for number in heard])
    look = SilentSources(store, "details.source")
    last = heard[-1]
    quiet = [look(START_US + (last + 1 + gap) * BUCKET_US + 2 * MINUTE) for gap in range(LEAST + 2)]
    assert quiet[:-1] == [{}] * (LEAST + 1)
    assert quiet[-1] == {"x": ((LEAST + 1) * 5, 5)}


@given(st.lists(st.booleans(), max_size=BUCKETS))
def test_no_source_is_missed_for_a_gap_that_it_had_before(pattern: list[bool]) -> None:
    heard = [frozenset({"x"}) if there else frozenset() for there in pattern]
    text = "".join("x" if there else " " for there in pattern)
    gaps = [len(gap) for gap in text.strip().split("x")]
    expected = text.count("x") >= USUAL and len(text) - len(text.rstrip()) > max(*gaps, LEAST)
    assert bool(silent(heard)) == expected
