"""Health: suspension and return, counters that stay small, and a snapshot that JSON can hold."""

from __future__ import annotations

import json

import pytest

from mozdef_core.health import OTHER, Health, Limits


class Clock:
    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def health_with(clock: Clock, **limits: float) -> Health:
    return Health(Limits(**limits), clock=clock)


def trial(health: Health, clock: Clock, *, works: bool) -> None:
    """Let the suspension pass and make the one call that is then allowed."""
    record = health.record("p")
    clock.now = record.suspended_until_ns
    assert health.claim(record)
    if works:
        health.recovered(record)
    else:
        health.failed("p", "again")


def test_failures_in_a_row_suspend_and_a_success_between_them_does_not(clock):
    health = health_with(clock, failures=3)
    for _ in range(2):
        health.failed("p", "x")
    health.recovered(health.record("p"))
    for _ in range(2):
        health.failed("p", "x")
    assert not health.suspended("p")
    health.failed("p", "x")
    assert health.suspended("p")
    assert "3 failures in a row, the last: x" in health.snapshot()["p"]["reason"]


def test_each_suspension_is_twice_as_long_up_to_a_limit(clock):
    health = health_with(clock, failures=1, suspend_s=30, suspend_max_s=100)
    spans = []
    health.failed("p", "x")
    for _ in range(4):
        spans.append(round(health.snapshot()["p"]["suspended_for_s"]))
        trial(health, clock, works=False)
    assert spans == [30, 60, 100, 100]


def test_a_plugin_that_falls_back_soon_is_suspended_for_longer(clock):
    health = health_with(clock, failures=1)
    health.failed("p", "x")
    trial(health, clock, works=True)
    clock.pass_s(29)
    health.failed("p", "x")
    assert round(health.snapshot()["p"]["suspended_for_s"]) == 60


def test_a_plugin_that_stayed_well_starts_anew(clock):
    health = health_with(clock, failures=1)
    health.failed("p", "x")
    trial(health, clock, works=True)
    clock.pass_s(31)
    health.failed("p", "x")
    assert round(health.snapshot()["p"]["suspended_for_s"]) == 30


def test_a_claim_that_nobody_settles_lapses(clock):
    health = health_with(clock, failures=1, suspend_s=30)
    health.failed("p", "x")
    clock.pass_s(30)
    assert health.claim(health.record("p"))
    assert not health.claim(health.record("p"))
    clock.pass_s(30)
    assert health.claim(health.record("p"))


def test_slow_calls_that_take_more_than_their_share_suspend(clock):
    health = health_with(clock, budget_share=0.5, budget_call_s=0.002)
    record = health.record("p")
    record.budget_calls, record.budget_ns = 1_000, int(31e9)
    clock.pass_s(60)
    health.check_budget(record, clock.now)
    assert health.suspended("p")
    assert health.snapshot()["p"]["reason"] == "its calls took 31.0 ms on average and 52 % of the time"


def test_many_quick_calls_never_exceed_the_budget(clock):
    health = health_with(clock, budget_share=0.5, budget_call_s=0.002)
    record = health.record("p")
    record.budget_calls, record.budget_ns = 1_000_000, int(50e9)
    clock.pass_s(60)
    health.check_budget(record, clock.now)
    assert not health.suspended("p")
    assert (record.budget_calls, record.budget_ns) == (0, 0)


def test_a_plugin_can_be_suspended_from_outside(clock):
    health = health_with(clock)
    health.suspend("p", "a call ran for 31 s and was ended", seconds=600)
    assert health.suspended("p")
    clock.pass_s(599)
    assert health.suspended("p")
    clock.pass_s(1)
    assert not health.suspended("p")


def test_distinct_errors_and_reasons_are_bounded(clock):
    health = health_with(clock, failures=10**9)
    firsts = [health.failed("p", f"error {number}") for number in range(300)]
    for number in range(300):
        health.dropped("p", f"reason {number}")
    shown = health.snapshot()["p"]
    assert sum(firsts) == 101
    assert len(shown["troubles"]) == 101
    assert sum(trouble["count"] for trouble in shown["troubles"]) == shown["errors"] == 300
    assert len(shown["drops"]) == 101
    assert shown["drops"][OTHER] == 200


def test_drops_are_counted_by_reason():
    health = Health()
    for reason in ("noise", "noise", "probe"):
        health.dropped("p", reason)
    assert health.snapshot()["p"]["drops"] == {"noise": 2, "probe": 1}


def test_the_snapshot_is_json(clock):
    health = health_with(clock, failures=1)
    health.record("quiet", "1.2")
    health.failed("p", "x")
    shown = json.loads(json.dumps(health.snapshot()))
    assert shown["quiet"]["version"] == "1.2"
    assert shown["p"]["suspended"] is True
    assert shown["p"]["suspensions"] == 1
