"""Rules in files while MozDef runs: one that is dropped in alerts, one that is broken stays as it was, one that goes stops."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mozdef_core.casework import processes, records, rule_settings
from mozdef_core.casework.audit import Actor
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.models import AlertRow
from tests.running import Service, eventually

EVENT = """
kind: event
query: 'details.door:"{door}"'
summary: "door {{details.door}} of {{hostname}}, rule {version}"
"""
AGGREGATION = """
kind: aggregation
query: details.result:failed
by: details.user
window: 10m
threshold: 3
schedule: 1s
summary: "{count} failures of {group}"
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "mozdef", inputs=[], tables='[alerts]\nfolders = ["rules"]\n')
    (made.directory / "rules").mkdir()
    made.start()
    yield made
    assert made.stop() == 0, made.output()


class Site:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.folder = service.directory / "rules"
        self.book = SqlBook(f"sqlite:///{service.data_dir / 'casework.db'}")
        self._sent = 0

    def send(self, **details: object) -> None:
        self._sent += 1
        body = json.dumps({"hostname": "db4", "summary": f"event {self._sent}", "details": details}).encode()
        status, answer = self.service.post("/events", body, {"Content-Type": "application/json"})
        assert status in (200, 201, 202), answer

    def summaries(self) -> list[str]:
        with self.book.database.read() as session:
            found = records.read(session, list(session.scalars(select(AlertRow.id))))
        return sorted(alert.summary for alert in found)

    def rules(self, role: str) -> Mapping[str, Any]:
        with self.book.database.read() as session:
            reports = [report for report in processes.reports(session) if report.role == role]
        newest = max(reports, key=lambda report: report.heartbeat_us)
        return newest.counters.get("rulebook", {})

    def until(
        self, role: str, name: str, holds: Callable[[Mapping[str, Any] | None], bool]
    ) -> Mapping[str, Any]:
        assert eventually(lambda: holds(self.rules(role).get(name))), (
            self.rules(role),
            self.service.output(),
        )
        return self.rules(role).get(name, {})

    def switch(self, name: str, enabled: bool | None) -> None:
        with self.book.database.write() as session:
            rule_settings.switch(session, name, enabled, Actor("ines"))


@pytest.fixture
def site(service: Service) -> Iterator[Site]:
    made = Site(service)
    yield made
    made.book.close()


def test_a_rule_on_the_stream_comes_changes_breaks_and_goes(site: Site) -> None:
    path = site.folder / "doors.yaml"
    path.write_text(EVENT.format(door="north", version=1))
    site.until("worker", "doors", lambda rule: bool(rule and rule["in_force"]))
    site.send(door="north")
    assert eventually(lambda: site.summaries() == ["door north of db4, rule 1"]), site.service.output()

    path.write_text("kind: event\nquery: 'details.door:('\nsummary: x\n")
    broken = site.until("worker", "doors", lambda rule: bool(rule and rule["problems"]))
    assert broken["in_force"]
    assert f"{path}:2: query: " in broken["problems"][0]
    site.send(door="north")
    assert eventually(lambda: len(site.summaries()) == 2), "the old version did not stay in force"

    path.write_text(EVENT.format(door="south", version=2))
    site.until("worker", "doors", lambda rule: bool(rule and not rule["problems"]))
    site.send(door="south")
    assert eventually(lambda: "door south of db4, rule 2" in site.summaries()), site.service.output()

    path.unlink()
    site.until("worker", "doors", lambda rule: rule is None)
    site.send(door="south")
    site.send(door="seen")
    assert eventually(lambda: site.service.count("details.door:seen") == 1)
    assert len(site.summaries()) == 3


def test_a_rule_on_a_schedule_comes_is_switched_off_and_on_and_goes(site: Site) -> None:
    path = site.folder / "guessing.yaml"
    path.write_text(AGGREGATION)
    site.until("scheduler", "guessing", lambda rule: bool(rule and rule["in_force"]))
    for _ in range(3):
        site.send(result="failed", user="joe")
    assert eventually(lambda: site.summaries() == ["3 failures of joe"]), site.service.output()

    site.switch("guessing", enabled=False)
    site.until("scheduler", "guessing", lambda rule: rule is None)
    for _ in range(4):
        site.send(result="failed", user="kim")
    assert eventually(lambda: site.service.count("details.user:kim") == 4)

    site.switch("guessing", enabled=None)
    site.until("scheduler", "guessing", lambda rule: bool(rule and rule["in_force"]))
    for _ in range(3):
        site.send(result="failed", user="ann")
    assert eventually(lambda: "3 failures of ann" in site.summaries()), site.service.output()

    path.unlink()
    site.until("scheduler", "guessing", lambda rule: rule is None)
    assert "guessing" not in site.service.cli("status").get("rules", {})
