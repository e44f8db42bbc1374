"""Rules on a schedule as jobs: which are, when they are due, and what is told of them."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from mozdef_core import hookimpl
from mozdef_core.detection import Runner
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.scheduler_local import LocalScheduler
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.services.cli.status import _rule_trouble
from mozdef_core.services.scheduled_rules import RuleJobs, rule_states, scheduled
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US
from mozdef_core.testing_contracts.scheduler import PATIENCE_S, Running
from mozdef_core.window import Window


class Rule:
    def __init__(self, schedule: str, mode: str = "live") -> None:
        self.schedule = schedule
        self.options = SimpleNamespace(mode=mode)

    @hookimpl
    def alert_match(self, window: Window) -> list[Any]:
        return []


RULES = {
    "often": Rule("30s"),
    "daily": Rule("30 9 * * *"),
    "tried": Rule("60s", "staged"),
    "stream": Rule("stream"),
    "off": Rule("60s", "off"),
}


class Site:
    def __init__(self) -> None:
        self.plugins = {name: Plugin(name, rule) for name, rule in RULES.items()}
        self.host = Host(list(self.plugins.values()), Health())
        self.store, self.book = MemoryStore(), MemoryBook()
        self.runner = Runner(self.host, self.store, self.book)
        self.scheduler = LocalScheduler(LocalScheduler.Options(threads=2))


def test_each_rule_that_is_neither_on_the_stream_nor_off_is_a_job() -> None:
    site = Site()
    RuleJobs(site.scheduler, site.runner).renew(site.host)
    assert set(site.scheduler.jobs()) == {"often", "daily", "tried"}
    assert set(site.runner.snapshot()) == {"often", "daily", "staged:tried"}


def test_a_rule_is_due_an_interval_later_or_when_its_crontab_says() -> None:
    site = Site()
    often, daily = (scheduled(site.scheduler, site.plugins[name]) for name in ("often", "daily"))
    assert often is not None
    assert daily is not None
    assert (often.due_after(START_US), often.calendar) == (START_US + 30 * SECOND, False)
    assert (daily.due_after(START_US), daily.calendar) == (1_760_002_200_000_000, True)  # 2025-10-09T09:30:00


def test_what_keeps_a_rule_from_running_at_all_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    site, tried = Site(), threading.Event()

    def gone() -> None:
        tried.set()
        raise StoreUnavailableError("the disk is gone")

    monkeypatch.setattr(site.store, "refresh", gone)
    RuleJobs(site.scheduler, site.runner).renew(site.host)
    running = Running(site.scheduler)
    assert tried.wait(PATIENCE_S)
    running.stop()
    errors = [state["last_error"] for state in rule_states(site.scheduler, site.runner).values()]
    assert "StoreUnavailableError: the disk is gone" in errors


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        ({}, ""),
        ({"late": True}, "rule r is late"),
        ({"late": True, "last_error": "KeyError: 'x'"}, "rule r fails: KeyError: 'x'"),
        (
            {"last_error": "y", "quarantine": "too slow"},
            "rule r is in quarantine and tried each hour: too slow",
        ),
    ],
)
def test_the_worst_that_is_wrong_with_a_rule_is_told(state: dict[str, Any], trouble: str) -> None:
    assert _rule_trouble("r", {"late": False, "last_error": "", "quarantine": "", **state}) == trouble
