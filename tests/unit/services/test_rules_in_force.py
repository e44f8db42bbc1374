"""The rules in force: exchanged when files or settings change, kept when one cannot be made, and owed what they missed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from mozdef_core.casework import rule_settings
from mozdef_core.casework.audit import Actor
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import upgrade
from mozdef_core.casework.models import AlertRow
from mozdef_core.config import read
from mozdef_core.detection import Detector
from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import BookUnavailableError, ConfigError
from mozdef_core.event import new_ids, now_us
from mozdef_core.health import Health
from mozdef_core.host import Host
from mozdef_core.normalise import Normaliser, parse_json
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import Item, Origin
from mozdef_core.services.rules_in_force import Force, RulesInForce
from mozdef_core.services.stream_rules import StreamRules
from mozdef_core.services.worker import Worker

ORIGIN = Origin("events", "http")
EVENT = "kind: event\nquery: details.door:north\nsummary: x\n"


class Site:
    """A folder of rules, the database, and as many processes as a test asks for."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "rules"
        self.folder.mkdir()
        (place / "mozdef.toml").write_text('[alerts]\nfolders = ["rules"]\n')
        self.config, _ = read(place / "mozdef.toml", {})
        self.book = SqlBook(f"sqlite:///{place / 'casework.db'}")
        self.store = MemoryStore()

    def process(self) -> RulesInForce:
        """Return the rules of another process."""
        return RulesInForce(self.config, Host([], Health()), self.book.database)

    def write(self, text: str, name: str = "doors") -> None:
        (self.folder / f"{name}.yaml").write_text(text)

    def switch(self, enabled: bool | None, name: str = "doors") -> None:
        with self.book.database.write() as session:
            rule_settings.switch(session, name, enabled, Actor("ines"))

    def alerts(self) -> int:
        with self.book.database.read() as session:
            return len(list(session.scalars(select(AlertRow.id))))


class Stream:
    """A worker of a process, which does one step after the other."""

    def __init__(self, site: Site) -> None:
        self.site, self.rules, self.queue = site, site.process(), MemoryQueue(MemoryQueue.Options())
        self.detector = Detector(self.rules.force.host)
        self.swap = StreamRules(self.rules, self.detector, site.book)
        pipeline = Pipeline(self.rules.force.host, Normaliser("test", 1, []), {"json": parse_json}, {})
        self.worker = Worker(self.queue, pipeline, self.detector, site.store, site.book, rules=self.swap)

    def send(self, door: str) -> None:
        received_us = now_us()
        raw = orjson.dumps({"details": {"door": door}})
        self.queue.put([Item(new_ids(received_us, 1)[0], received_us, ORIGIN, raw)])

    def until_stored(self, count: int) -> None:
        """Run the worker until so many events are stored."""
        stop = threading.Event()
        running = threading.Thread(target=self.worker.run, args=(stop,))
        running.start()
        done = threading.Event()
        while self.worker.progress.stored < count and running.is_alive():
            done.wait(0.005)
        stop.set()
        running.join()


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with the schema, to be copied, for making one takes two seconds."""
    path = tmp_path_factory.mktemp("migrated") / "casework.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def site(tmp_path: Path, migrated: Path) -> Iterator[Site]:
    shutil.copy(migrated, tmp_path / "casework.db")
    made = Site(tmp_path)
    yield made
    made.book.close()


def names(rules: RulesInForce) -> set[str]:
    return set(rules.force.plugins)


def test_a_file_that_comes_changes_and_goes_is_seen_by_the_next_look(site: Site) -> None:
    rules = site.process()
    told: list[Force] = []
    rules.listen(told.append)
    assert not rules.look()
    site.write(EVENT)
    assert rules.look()
    assert names(rules) == {"doors"}
    before = rules.force.plugins["doors"]
    site.write(EVENT, "other")
    rules.look()
    assert rules.force.plugins["doors"] is before
    site.write(EVENT + "tags: [x]\n")
    rules.look()
    assert rules.force.plugins["doors"] is not before
    (site.folder / "doors.yaml").unlink()
    assert rules.look()
    assert names(rules) == {"other"}
    assert not rules.look()
    assert [len(force.plugins) for force in told] == [1, 2, 2, 1]


@pytest.mark.parametrize(
    "broken", ["kind: event\n", "{", EVENT + "severity: loud\n", "name: doors\nkind: evnt\n"]
)
def test_a_rule_that_is_broken_stays_as_it_was_and_says_why(site: Site, broken: str) -> None:
    site.write(EVENT + "name: doors\n", "file")
    rules = site.process()
    before = rules.force.plugins["doors"]
    site.write(broken, "file")
    rules.look()
    assert rules.force.plugins == {"doors": before}
    shown = rules.snapshot()["doors"]
    assert shown["in_force"]
    assert "file.yaml:" in shown["problems"][0]
    assert "doors" in rules.problems()
    site.write(EVENT + "name: doors\n", "file")
    rules.look()
    assert rules.snapshot()["doors"]["problems"] == []


def test_a_rule_that_never_could_be_made_is_only_shown(site: Site) -> None:
    site.write("kind: event\n")
    rules = site.process()
    assert names(rules) == set()
    assert not rules.snapshot()["doors"]["in_force"]


def test_what_people_set_is_seen_by_the_next_look(site: Site) -> None:
    site.write(EVENT)
    rules = site.process()
    site.switch(enabled=False)
    assert rules.look()
    assert names(rules) == set()
    site.switch(enabled=None)
    rules.look()
    with site.book.database.write() as session:
        rule_settings.reschedule(session, "doors", "5m", Actor("ines"))
    rules.look()
    assert rules.snapshot()["doors"]["schedule"] == "5m"


def test_a_schedule_that_a_rule_cannot_have_leaves_it_as_it_was(site: Site) -> None:
    site.write("kind: aggregation\nquery: a:b\nby: details.x\nwindow: 5m\nsummary: x\n")
    rules = site.process()
    with site.book.database.write() as session:
        rule_settings.reschedule(session, "doors", "stream", Actor("ines"))
    rules.look()
    shown = rules.snapshot()["doors"]
    assert (shown["in_force"], shown["schedule"]) == (True, "60s")
    assert "only event rules can run on the stream" in shown["problems"][0]


def test_while_the_database_is_away_the_rules_stay_and_listeners_are_told_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = site.process()
    told: list[Force] = []
    away = [True]

    def listener(force: Force) -> None:
        if away.pop() if away else False:
            raise BookUnavailableError("away")
        told.append(force)

    rules.listen(listener)
    site.write(EVENT)
    with monkeypatch.context() as patch:
        patch.setattr(site.book.database, "write", _fail)
        with pytest.raises(BookUnavailableError):
            rules.look()
    assert names(rules) == set()
    with pytest.raises(BookUnavailableError):
        rules.look()
    assert names(rules) == {"doors"}
    assert not told
    rules.look()
    assert told == [rules.force]


def _fail() -> Any:
    raise BookUnavailableError("away")


def test_processes_agree_on_when_a_rule_begins_and_one_that_starts_ends_what_is_gone(site: Site) -> None:
    first, second = site.process(), site.process()
    site.write(EVENT)
    first.look()
    second.look()
    assert first.force.since_us == second.force.since_us
    (site.folder / "doors.yaml").unlink()
    site.process()
    site.write(EVENT)
    third = site.process()
    assert third.force.since_us["doors"] > first.force.since_us["doors"]


def test_a_suspended_rule_is_free_again_in_another_version(site: Site) -> None:
    site.write(EVENT)
    rules = site.process()
    health = rules.force.host.health
    health.suspend("doors", "slow")
    site.write(EVENT + "tags: [x]\n")
    rules.look()
    assert not rules.force.host.suspended(rules.force.plugins["doors"])


def test_a_worker_owes_a_new_rule_what_it_processed_before_its_first_batch_with_it(site: Site) -> None:
    stream, other = Stream(site), site.process()
    stream.send("north")
    stream.until_stored(1)
    site.write(EVENT)
    other.look()  # in another process the rule is active already
    stream.send("north")
    stream.send("south")
    stream.until_stored(3)
    assert site.alerts() == 0
    stream.rules.look()
    stream.send("north")
    stream.until_stored(4)
    assert site.alerts() == 1
    assert stream.detector.run_owed(site.store, site.book, now_us()) == 1
    assert site.alerts() == 2, "the event before the common start is none of the rule's"


def test_nothing_is_owed_to_a_rule_that_has_not_changed(site: Site) -> None:
    site.write(EVENT)
    stream = Stream(site)
    stream.send("north")
    stream.until_stored(1)
    site.write(EVENT, "other")
    stream.rules.look()
    stream.swap.renew("~")
    assert [span.rule for _, span, _ in site.book.owed_spans(["doors", "other"], now_us())] == ["other"]


def test_the_stream_keeps_its_rules_while_the_database_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(site)
    site.write(EVENT)
    stream.rules.look()
    with monkeypatch.context() as patch:
        patch.setattr(site.book, "record", lambda _: _fail())
        stream.swap.renew("")
    assert stream.swap.stale
    stream.swap.renew("")
    assert not stream.swap.stale


def test_rules_are_closed_when_nobody_uses_them(site: Site) -> None:
    site.write(EVENT)
    rules = site.process()
    closed: list[str] = []
    rule: Any = rules.force.plugins["doors"].instance
    rule.close = lambda: closed.append("doors")
    (site.folder / "doors.yaml").unlink()
    rules.look()
    assert closed == []
    rules.close()
    assert closed == ["doors"]


def test_a_wrong_configuration_of_installed_rules_does_not_start(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mozdef.toml").write_text('[alerts]\nenabled = ["there_is_none"]\n')
    site.config, _ = read(tmp_path / "mozdef.toml", {})
    with pytest.raises(ConfigError, match="there_is_none"):
        site.process()
