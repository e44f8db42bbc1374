"""The responder: which action runs, when a failed one is tried again, and when it is given up."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core import response
from mozdef_core.alert import AlertChange, Block, Occasion, Severity
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.errors import BookUnavailableError, ConfigError, DeliveryError
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.markers import hookimpl
from mozdef_core.ports import BatchRecord, Task, TaskResult
from mozdef_core.response import (
    BACK_OFF_S,
    LEASE_S,
    RETRIES,
    RETRY_AFTER_MAX_S,
    SUSPENDED_WAIT_S,
    Responder,
)
from mozdef_core.testing_contracts.book_alerts import SECOND, Clock, event_at, finding


class Action:
    """Answers, or raises, one thing after the other, the last one for ever; remembers what it was called with."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers) or [None]
        self.calls: list[tuple[str, Occasion]] = []

    @hookimpl
    def alert_action(self, alert: Any, occasion: Any) -> Any:
        self.calls.append((alert.summary, occasion))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Bystander:
    """A plugin without an action; it takes no part."""

    @hookimpl
    def on_event(self, event: Any) -> None:
        return None


class Site:
    """A book with one alert, and a responder over some plugins; all of them have the same clock."""

    def __init__(self, clock: Clock, plugins: Sequence[Plugin], failures: int = 10**9) -> None:
        self.clock = clock
        self.book = MemoryBook(clock=clock)
        self.health = Health(Limits(failures=failures), clock=lambda: clock.us * 1_000)
        self.host = Host(plugins, self.health)
        self.responder = Responder(self.host, self.book)
        (alert,) = self.book.record(BatchRecord(alerts=[finding(event_at(0))]))
        self.alert_id = alert.id

    @property
    def errors(self) -> list[str]:
        return list(self.book.alerts[self.alert_id].errors)

    @property
    def results(self) -> list[tuple[str, str]]:
        return [(plugin, result.outcome) for _, plugin, _, result in self.book.history]

    def wait_for(self, action: Action, limit_s: int = 20_000) -> float:
        """Return after how many seconds, to the next tenth, the action is called once more."""
        began_us, calls = self.clock.us, len(action.calls)
        while len(action.calls) == calls:
            assert self.clock.us - began_us < limit_s * SECOND, "it is not called any more"
            self.clock.pass_by(0.1)
            self.responder.run_due()
        return (self.clock.us - began_us) / SECOND


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(response, "now_us", clock)
    return clock


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(response.random, "uniform", lambda _low, _high: 1.0)
    return


def test_an_action_is_called_once_and_its_change_is_applied(clock: Clock) -> None:
    action = Action(AlertChange({"ticket": "SEC-7"}, "ticket SEC-7", Severity.ERROR))
    site = Site(clock, [Plugin("ticket", action)])
    assert site.responder.run_due() == 1
    assert site.responder.run_due() == 0
    alert = site.book.alerts[site.alert_id]
    assert alert.details == {"ticket": "SEC-7"}
    assert (alert.summary, alert.severity) == ("something was seen; ticket SEC-7", Severity.ERROR)
    assert action.calls == [("something was seen", Occasion.RAISED)]
    assert site.results == [("ticket", "done")]
    assert site.errors == []


def test_what_an_action_says_of_its_work_stands_in_the_history(clock: Clock) -> None:
    skipping = Action(
        AlertChange({"x": 1}, note="there is no address", skipped=True, block=Block("203.0.113.9"))
    )
    noting = Action(AlertChange(note="x" * 5_000, block=Block("203.0.113.8")))
    site = Site(clock, [Plugin("skipping", skipping), Plugin("noting", noting)])
    site.responder.run_due()
    assert [(result.outcome, result.text) for _, _, _, result in site.book.history] == [
        ("skipped", "there is no address"),
        ("done", "x" * 2_000),
    ]
    assert site.book.alerts[site.alert_id].details == {}
    assert site.book.blocks == {"203.0.113.8": site.alert_id}


def test_enrichers_come_first_in_the_operators_order_and_plugins_without_action_take_no_part(
    clock: Clock,
) -> None:
    late = Plugin("late", Action(), stage="enrich")
    early = Plugin("early", Action(), stage="enrich", order=1)
    plugins = [Plugin("chat", Action()), late, Plugin("mapper", Bystander()), early]
    site = Site(clock, plugins)
    assert site.responder.order == [("late", True), ("early", True), ("chat", False)]


def test_an_action_sees_what_the_enricher_before_it_added(clock: Clock) -> None:
    chat = Action()
    enricher = Plugin("asset", Action(AlertChange(summary_suffix="a printer")), stage="enrich")
    site = Site(clock, [Plugin("chat", chat), enricher])
    assert [site.responder.run_due() for _ in range(3)] == [1, 1, 0]
    assert chat.calls == [("something was seen; a printer", Occasion.RAISED)]


def test_no_more_are_run_at_once_than_asked_for(clock: Clock) -> None:
    site = Site(clock, [Plugin(name, Action()) for name in ("a", "b", "c")])
    assert [site.responder.run_due(2), site.responder.run_due(2), site.responder.run_due(2)] == [2, 1, 0]


@pytest.mark.parametrize("error", [DeliveryError("refused"), ValueError("refused")])
def test_a_failed_action_is_tried_again_with_growing_pauses_and_then_given_up(
    clock: Clock, no_jitter: None, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    action = Action(error)
    site = Site(clock, [Plugin("chat", action)])
    site.responder.run_due()
    assert [site.wait_for(action) for _ in range(RETRIES)] == [2, 6, 18]
    assert len(action.calls) == 1 + RETRIES
    assert site.results == [("chat", "failed")]
    (text,) = site.errors
    assert text.startswith("chat (raised): ")
    assert "refused" in text
    assert f"gave up on chat for alert {site.alert_id} after 4 tries: chat: " in caplog.text
    with pytest.raises(AssertionError, match="not called any more"):
        site.wait_for(action)


def test_the_pause_before_the_last_tries_is_an_hour(clock: Clock, no_jitter: None) -> None:
    action = Action(DeliveryError("busy"))
    action.retries = 10  # type: ignore[attr-defined]
    site = Site(clock, [Plugin("chat", action)])
    site.responder.run_due()
    assert [site.wait_for(action) for _ in range(10)] == [*BACK_OFF_S, 3_600, 3_600]
    assert site.results == [("chat", "failed")]


def test_a_plugin_may_ask_for_no_retries(clock: Clock) -> None:
    action = Action(ValueError("no"))
    action.retries = 0  # type: ignore[attr-defined]
    site = Site(clock, [Plugin("chat", action)])
    site.responder.run_due()
    assert site.results == [("chat", "failed")]


def test_retries_that_are_no_number_are_refused_at_start() -> None:
    action = Action()
    action.retries = "three"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError) as caught:
        Host([Plugin("chat", action)], Health())
    assert caught.value.problems == ("chat: the attribute 'retries' is 'three', expected a whole number",)


def test_a_success_after_a_failure_takes_the_error_off_the_alert(clock: Clock, no_jitter: None) -> None:
    action = Action(DeliveryError("busy"), None)
    site = Site(clock, [Plugin("chat", action)])
    site.responder.run_due()
    assert site.errors == ["chat (raised): delivery-failed: DeliveryError: busy"]
    site.wait_for(action)
    assert site.errors == []
    assert site.results == [("chat", "done")]


def test_a_receiver_that_never_wants_it_is_not_asked_again(clock: Clock) -> None:
    action = Action(DeliveryError("no such channel", 5, final=True))
    site = Site(clock, [Plugin("chat", action)])
    site.responder.run_due()
    assert site.results == [("chat", "failed")]
    assert site.errors == ["chat (raised): delivery-failed: DeliveryError: no such channel"]


@pytest.mark.parametrize(
    ("asked_s", "waited_s"),
    [
        (100, 100),
        (0.5, 2),
        (-3, 2),
        (float("nan"), 2),
        ("tomorrow", 2),
        (float("inf"), RETRY_AFTER_MAX_S),
        (1e300, RETRY_AFTER_MAX_S),
    ],
)
def test_a_receivers_retry_after_is_respected_within_reason(
    clock: Clock, no_jitter: None, asked_s: Any, waited_s: float
) -> None:
    action = Action(DeliveryError("slow down", asked_s))
    site = Site(clock, [Plugin("chat", action)])
    site.responder.run_due()
    clock.pass_by(waited_s - 1)
    assert site.responder.run_due() == 0
    clock.pass_by(1)
    assert site.responder.run_due() == 1


class OneTask(MemoryBook):
    """Gives out one task that is at some attempt, and keeps what became of it."""

    def __init__(self, attempt: int) -> None:
        super().__init__()
        self.task = Task("key", finding(event_at(0)), Occasion.RAISED, "chat", attempt)
        self.lease_s = 0.0
        self.settled: list[TaskResult] = []

    def due_tasks(
        self,
        plugins: Sequence[tuple[str, bool]],
        most: int,
        lease_s: float,
        only: Collection[str] | None = None,
    ) -> Sequence[Task]:
        self.lease_s = lease_s
        return [self.task]

    def settle_tasks(self, results: Sequence[tuple[Task, TaskResult]]) -> None:
        self.settled.extend(result for _task, result in results)


@given(attempt=st.integers(1, 30), chance=st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1)))
def test_the_pause_is_the_tables_give_or_take_a_fifth(attempt: int, chance: float) -> None:
    action = Action(DeliveryError("busy"))
    action.retries = 30  # type: ignore[attr-defined]
    book = OneTask(attempt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response, "now_us", lambda: 0)
        patch.setattr(response.random, "uniform", lambda low, high: low + chance * (high - low))
        Responder(Host([Plugin("chat", action)], Health()), book).run_due()
    (result,) = book.settled
    pause_s = BACK_OFF_S[attempt - 1] if attempt <= len(BACK_OFF_S) else BACK_OFF_S[-1]
    assert result.due_us is not None
    assert result.due_us / SECOND == pytest.approx((0.8 + 0.4 * chance) * pause_s)
    assert result.outcome == "retry"
    assert book.lease_s == LEASE_S


def test_the_pauses_differ_so_that_many_alerts_do_not_come_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(response, "now_us", lambda: 0)
    book = OneTask(1)
    responder = Responder(Host([Plugin("chat", Action(DeliveryError("busy")))], Health()), book)
    for _ in range(20):
        responder.run_due()
    assert len({result.due_us for result in book.settled}) > 10


def test_a_suspension_uses_up_no_attempt(clock: Clock, no_jitter: None) -> None:
    action = Action(DeliveryError("busy"))
    site = Site(clock, [Plugin("chat", action)])
    site.health.suspend("chat", "it was slow", seconds=10 * SUSPENDED_WAIT_S)
    for _ in range(9):
        assert site.responder.run_due() == 1
        assert site.responder.run_due() == 0
        clock.pass_by(SUSPENDED_WAIT_S)
    assert action.calls == []
    assert site.errors == ["chat (raised): the plugin is suspended: it was slow"]
    clock.pass_by(SUSPENDED_WAIT_S)
    site.responder.run_due()
    assert [site.wait_for(action) for _ in range(RETRIES)] == [2, 6, 18]
    assert site.results == [("chat", "failed")]


def test_while_one_call_tries_a_suspended_plugin_the_others_are_postponed(clock: Clock) -> None:
    site = Site(clock, [Plugin("chat", Action())])
    site.health.suspend("chat", "it was slow", seconds=1)
    clock.pass_by(1)
    assert site.health.claim(site.health.record("chat"))
    site.responder.run_due()
    assert site.results == []
    assert site.errors == ["chat (raised): the plugin is suspended: it was slow"]


def test_a_plugin_that_fails_too_often_is_suspended_and_the_others_go_on(
    clock: Clock, no_jitter: None
) -> None:
    bad, good = Action(ValueError("broken")), Action()
    bad.retries = 4  # type: ignore[attr-defined]
    site = Site(clock, [Plugin("bad", bad), Plugin("good", good)], failures=2)
    site.responder.run_due()
    site.wait_for(bad)
    site.wait_for(bad)
    assert clock.us - site.book.alerts[site.alert_id].created_us >= SUSPENDED_WAIT_S * SECOND
    assert ("good", "done") in site.results
    assert len(good.calls) == 1


@pytest.mark.parametrize("answer", ["text", 5, {"details": {}}, [], False])
def test_an_answer_of_the_wrong_type_is_a_failure(clock: Clock, answer: object) -> None:
    site = Site(clock, [Plugin("chat", Action(answer))])
    site.responder.run_due()
    (text,) = site.errors
    assert "plugin-error: TypeError: returned a value of type" in text


@pytest.mark.parametrize(
    "change",
    [
        AlertChange(None),  # type: ignore[arg-type]
        AlertChange({(1, 2): 3}),  # type: ignore[dict-item]
        AlertChange(summary_suffix=None),  # type: ignore[arg-type]
        AlertChange(severity="CRITICAL"),  # type: ignore[arg-type]
        AlertChange(note=1),  # type: ignore[arg-type]
        AlertChange(skipped="yes"),  # type: ignore[arg-type]
        AlertChange(block="203.0.113.9"),  # type: ignore[arg-type]
        AlertChange(block=Block(203)),  # type: ignore[arg-type]
        AlertChange(block=Block("203.0.113.9", max_per_hour="50")),  # type: ignore[arg-type]
    ],
)
def test_a_change_that_the_book_could_not_hold_is_a_failure(clock: Clock, change: AlertChange) -> None:
    site = Site(clock, [Plugin("chat", Action(change)), Plugin("good", Action())])
    assert site.responder.run_due() == 2
    (text,) = site.errors
    assert text.startswith("chat (raised): plugin-error: TypeError: ")
    assert site.results == [("good", "done")]


@given(
    st.lists(
        st.sampled_from(["good", "raises", "delivery", "final", "wrong", "exits"]), min_size=1, max_size=6
    )
)
def test_whatever_some_actions_do_the_others_do_their_work_and_every_task_ends(kinds: list[str]) -> None:
    answers: dict[str, object] = {
        "good": None,
        "raises": ValueError("x"),
        "delivery": DeliveryError("x"),
        "final": DeliveryError("x", final=True),
        "wrong": 5,
        "exits": SystemExit(),
    }
    clock = Clock()
    actions = {f"{kind}{number}": Action(answers[kind]) for number, kind in enumerate(kinds)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response, "now_us", clock)
        logging.disable(logging.CRITICAL)
        site = Site(clock, [Plugin(name, action) for name, action in actions.items()])
        for _ in range(200):
            site.responder.run_due()
            clock.pass_by(1)
        logging.disable(logging.NOTSET)
    assert dict(site.results) == {name: "done" if name.startswith("good") else "failed" for name in actions}
    for name, action in actions.items():
        once = name.startswith(("good", "final"))
        assert len(action.calls) == (1 if once else 1 + RETRIES)


class AwayBook(MemoryBook):
    """A book whose database is away."""

    def due_tasks(
        self,
        plugins: Sequence[tuple[str, bool]],
        most: int,
        lease_s: float,
        only: Collection[str] | None = None,
    ) -> Sequence[Task]:
        raise BookUnavailableError("away")


def test_a_database_that_is_away_is_the_callers_concern() -> None:
    with pytest.raises(BookUnavailableError):
        Responder(Host([Plugin("chat", Action())], Health()), AwayBook()).run_due()
