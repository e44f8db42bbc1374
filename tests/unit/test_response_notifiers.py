"""The responder and plugins that tell somebody: routes, pauses, digests, and a process that dies in the middle."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core import response
from mozdef_core.alert import Alert, AlertChange, Occasion, Severity, Status
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import upgrade
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.errors import ConfigError, DeliveryError
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.markers import hookimpl
from mozdef_core.notification import Digest
from mozdef_core.notification_settings import NotifySettings
from mozdef_core.ports import AlertBook, BatchRecord, Task, TaskResult
from mozdef_core.response import LEASE_S, Responder
from mozdef_core.testing_contracts.book_alerts import Clock, event_at, finding

Sent = tuple[str, str, list[str]]


class Chat:
    """Keeps what it was to send: delivery, channel, and the summaries of the alerts."""

    notifies = True

    def __init__(self, *failures: BaseException | None) -> None:
        self.sent: list[Sent] = []
        self.failures = list(failures)
        self.occasions: Sequence[Occasion] | None = None

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion, delivery: str) -> AlertChange | None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        notes = alert.notes if isinstance(alert, Digest) else [(alert, occasion)]
        self.sent.append((delivery, alert.channel, sorted(note[0].summary for note in notes)))
        return AlertChange({"told": alert.channel})


class Block:
    """An action that must not come late."""

    acts_late = False

    def __init__(self) -> None:
        self.blocked: list[str] = []

    @hookimpl
    def alert_action(self, alert: Alert) -> None:
        self.blocked.append(alert.summary)


class Site:
    """A book, and a responder that can be started again."""

    def __init__(self, clock: Clock, *plugins: Plugin, notify: dict[str, Any] | None = None) -> None:
        self.clock = clock
        self.plugins = plugins
        self.notify = NotifySettings.model_validate(notify or {})
        self.book: AlertBook = MemoryBook(clock=clock)
        self.start()

    def start(self) -> None:
        health = Health(Limits(failures=10**9), clock=lambda: self.clock.us * 1_000)
        self.responder = Responder(Host(self.plugins, health), self.book, self.notify)

    def raise_alerts(self, *summaries: str, age_s: float = 0, **fields: Any) -> list[str]:
        now_s = (self.clock.us - Clock().us) / 1e6
        found = [
            finding(event_at(now_s - age_s), rule=summary, summary=summary, **fields) for summary in summaries
        ]
        return [alert.id for alert in self.book.record(BatchRecord(alerts=found))]

    def pass_by(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.clock.pass_by(0.5)
            self.responder.run_due()

    def outcomes(self) -> list[tuple[str, str, str]]:
        assert isinstance(self.book, MemoryBook)
        return [(plugin, result.outcome, result.text) for _, plugin, _, result in self.book.history]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(response, "now_us", clock)
    monkeypatch.setattr(response.random, "uniform", lambda _low, _high: 1.0)
    return clock  # type: ignore[return-value]


def told(chat: Chat) -> list[list[str]]:
    return [summaries for _, _, summaries in chat.sent]


def test_what_comes_at_once_is_one_message_and_what_comes_soon_waits_for_the_next(clock: Clock) -> None:
    chat = Chat()
    site = Site(clock, Plugin("chat", chat))
    site.raise_alerts("a")
    site.responder.run_due()
    site.raise_alerts("b", "c")
    site.pass_by(1)
    assert told(chat) == [["a"]]
    site.raise_alerts("d")
    site.pass_by(1)
    assert told(chat) == [["a"], ["b", "c", "d"]]
    assert site.outcomes() == [("chat", "done", "")] + [("chat", "done", "in one message with 2 others")] * 3
    assert isinstance(site.book, MemoryBook)
    details = {alert.summary: alert.details for alert in site.book.alerts.values()}
    assert details == {"a": {"told": ""}, "b": {}, "c": {}, "d": {}}


def test_a_busy_notifier_holds_up_nobody_else(clock: Clock) -> None:
    chat, block = Chat(), Block()
    site = Site(clock, Plugin("chat", chat), Plugin("block", block))
    site.raise_alerts("a")
    site.responder.run_due()
    site.raise_alerts("b")
    site.responder.run_due()
    assert block.blocked == ["a", "b"]
    assert told(chat) == [["a"]]


def test_each_channel_has_its_message_one_after_the_other(clock: Clock) -> None:
    chat = Chat()
    routes = [
        {"query": "summary:urgent", "notifiers": ["chat"], "channel": "#now"},
        {"notifiers": ["chat"]},
    ]
    site = Site(clock, Plugin("chat", chat), notify={"routes": routes})
    site.raise_alerts("urgent a", "b", "urgent c", "d")
    site.responder.run_due()
    assert [sent[1:] for sent in chat.sent] == [("#now", ["urgent a", "urgent c"])]
    site.raise_alerts("e")
    site.pass_by(2.5)
    assert [sent[1:] for sent in chat.sent[1:]] == [("", ["b", "d", "e"])]
    assert isinstance(site.book, MemoryBook)
    assert not any(alert.errors for alert in site.book.alerts.values())


def test_who_is_not_told_is_written_down_with_the_reason(clock: Clock) -> None:
    chat, mail = Chat(), Chat()
    routes = [{"query": "summary:b", "notifiers": ["chat"]}]
    site = Site(clock, Plugin("chat", chat), Plugin("mail", mail), notify={"routes": routes})
    mail.collects = False  # type: ignore[attr-defined]
    site.start()
    site.raise_alerts("b")
    site.raise_alerts("quiet b", severity=Severity.INFO)
    site.responder.run_due()
    assert (told(chat), told(mail)) == ([["b"]], [])
    assert sorted(site.outcomes()) == [
        ("chat", "done", ""),
        ("chat", "skipped", "the alert is not meant to notify anybody"),
        ("mail", "skipped", "no route takes it to mail"),
        ("mail", "skipped", "the alert is not meant to notify anybody"),
    ]


def test_a_program_is_given_each_alert_by_itself_and_at_once(clock: Clock) -> None:
    hook = Chat()
    hook.collects = False  # type: ignore[attr-defined]
    site = Site(clock, Plugin("hook", hook))
    site.raise_alerts("a", "b", "c", age_s=9_000)
    site.responder.run_due()
    assert told(hook) == [["a"], ["b"], ["c"]]


def test_a_notifier_hears_only_of_the_occasions_that_it_wants(clock: Clock) -> None:
    chat = Chat()
    chat.occasions = (Occasion.RAISED,)
    site = Site(clock, Plugin("chat", chat))
    (alert_id,) = site.raise_alerts("a")
    site.pass_by(2)
    assert isinstance(site.book, MemoryBook)
    site.book.set_status(alert_id, Status.ACKNOWLEDGED)
    site.pass_by(2)
    assert told(chat) == [["a"]]
    assert site.outcomes()[1] == ("chat", "skipped", "chat is not told when an alert is acknowledged")


def test_after_an_outage_what_is_old_is_one_digest_and_nobody_is_blocked_for_it(clock: Clock) -> None:
    chat, block = Chat(), Block()
    site = Site(clock, Plugin("chat", chat), Plugin("block", block))
    site.raise_alerts("old a", "old b", age_s=3_700)
    site.raise_alerts("new c")
    site.pass_by(3)
    assert told(chat) == [["new c"], ["old a", "old b"]] or told(chat) == [["old a", "old b"], ["new c"]]
    assert block.blocked == ["new c"]
    assert site.outcomes().count(("block", "skipped", "late: the last event is older than 1:00:00")) == 2


def test_after_hours_of_failures_all_that_is_undelivered_is_one_digest(clock: Clock) -> None:
    away: list[BaseException | None] = [DeliveryError("away") for _ in range(8)]
    chat = Chat(*away)
    chat.retries = 50  # type: ignore[attr-defined]
    site = Site(clock, Plugin("chat", chat))
    for number in range(4):
        site.raise_alerts(f"a{number}")
        site.pass_by(3)
    clock.pass_by(4_000)
    while chat.failures:
        site.pass_by(1)
        clock.pass_by(600)
    clock.pass_by(4_000)
    site.pass_by(5)
    assert told(chat) == [["a0", "a1", "a2", "a3"]]


def test_a_message_that_failed_is_tried_again_as_the_same(clock: Clock) -> None:
    chat = Chat(DeliveryError("away"))
    site = Site(clock, Plugin("chat", chat))
    site.raise_alerts("a", "b")
    site.responder.run_due()
    site.raise_alerts("c")
    site.pass_by(6)
    assert told(chat) == [["a", "b"], ["c"]]


def test_what_is_refused_for_good_has_failed_for_each_alert(clock: Clock) -> None:
    chat = Chat(DeliveryError("no such channel", final=True))
    site = Site(clock, Plugin("chat", chat))
    site.raise_alerts("a", "b")
    site.responder.run_due()
    assert [outcome for _, outcome, _ in site.outcomes()] == ["failed", "failed"]
    assert isinstance(site.book, MemoryBook)
    for alert in site.book.alerts.values():
        assert alert.errors == ("chat (raised): delivery-failed: DeliveryError: no such channel",)


def test_a_route_to_a_plugin_that_tells_nobody_is_refused_at_start(clock: Clock) -> None:
    with pytest.raises(ConfigError, match="no notifier 'block' is enabled; there is chat"):
        Site(
            clock,
            Plugin("chat", Chat()),
            Plugin("block", Block()),
            notify={"routes": [{"notifiers": ["block"]}]},
        )


@pytest.mark.parametrize("attribute", ["notifies", "collects", "acts_late"])
def test_a_declaration_that_is_neither_true_nor_false_is_refused_at_start(attribute: str) -> None:
    chat = Chat()
    setattr(chat, attribute, "yes")
    with pytest.raises(ConfigError) as caught:
        Host([Plugin("chat", chat)], Health())
    assert caught.value.problems == (f"chat: the attribute {attribute!r} is 'yes', expected true or false",)


def test_occasions_that_are_none_are_refused_at_start() -> None:
    chat = Chat()
    chat.occasions = ["opened"]  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="expected a collection of Occasions"):
        Host([Plugin("chat", chat)], Health())


class Crash(KeyboardInterrupt):
    """The process dies here."""


class Fragile(Chat):
    """A chat in whose sending the process may die: before the message has gone, or after it."""

    def __init__(self) -> None:
        super().__init__()
        self.fates: list[str] = []

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion, delivery: str) -> AlertChange | None:
        fate = self.fates.pop(0) if self.fates else ""
        if fate == "dies before":
            raise Crash
        if fate == "fails":
            raise DeliveryError("away")
        super().alert_action(alert, occasion, delivery)
        if fate == "dies after":
            raise Crash
        return None


def fragile(book: AlertBook, fates: list[str]) -> Callable[[], None]:
    """Have the process die at some writes of a book; return what mends it."""
    whole = book.settle_tasks

    def settle(results: Sequence[tuple[Task, TaskResult]]) -> None:
        fate = fates.pop(0) if fates else ""
        if fate == "dies before":
            raise Crash
        whole(results)
        if fate == "dies after":
            raise Crash

    book.settle_tasks = settle  # type: ignore[method-assign]

    def mend() -> None:
        book.settle_tasks = whole  # type: ignore[method-assign]

    return mend


FATES = st.lists(st.sampled_from(["", "", "fails", "dies before", "dies after"]), max_size=6)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([0.0, 0.0, 9_000.0]),
        st.sampled_from([0.5, 1, 3, LEASE_S + 1, 4_000]),
    ),
    min_size=1,
    max_size=8,
)


def tell_in_spite_of_all(
    book: AlertBook, clock: Clock, steps: Any, fates: list[str], writes: list[str]
) -> None:
    """Raise alerts while the process dies again and again, and see that each was told, and none in two messages."""
    chat = Fragile()
    chat.fates = list(fates)
    chat.retries = 100  # type: ignore[attr-defined]
    routes = [
        {"query": "rule:*0", "notifiers": ["chat"], "channel": "#b"},
        {"notifiers": ["chat"], "channel": "#a"},
    ]
    site = Site(clock, Plugin("chat", chat), notify={"routes": routes})
    site.book = book
    mend = fragile(book, list(writes))
    raised: list[str] = []
    idle = 0
    for count, age_s, pause_s in [*steps, *[(0, 0, LEASE_S + 1)] * 8, *[(0, 0, 5_000)] * 40]:
        names = [f"rule{len(raised) + number}" for number in range(count)]
        raised.extend(names)
        site.raise_alerts(*names, age_s=age_s)
        try:
            site.start()
            idle = 0 if site.responder.run_due() else idle + 1
        except Crash:
            idle = 0
        clock.pass_by(pause_s)
        if pause_s == 5_000 and idle > 1 and not count:
            break
    mend()
    messages = {delivery: (channel, sorted(names)) for delivery, channel, names in chat.sent}
    for delivery, channel, names in chat.sent:
        assert messages[delivery] == (channel, sorted(names)), "one delivery, one content"
    assert sorted(name for _, names in messages.values() for name in names) == sorted(raised)


@given(steps=STEPS, fates=FATES, writes=FATES)
def test_whenever_the_process_dies_each_alert_is_told_in_exactly_one_message(
    steps: Any, fates: list[str], writes: list[str]
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response, "now_us", clock)
        logging.disable(logging.CRITICAL)
        tell_in_spite_of_all(MemoryBook(clock=clock), clock, steps, fates, writes)
        logging.disable(logging.NOTSET)


@settings(max_examples=4, deadline=None)
@given(steps=STEPS, fates=FATES, writes=FATES)
def test_the_database_keeps_that_promise_too(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, fates: list[str], writes: list[str]
) -> None:
    clock = Clock()
    url = f"sqlite:///{tmp_path_factory.mktemp('book') / 'casework.db'}"
    upgrade(url)
    book = SqlBook(url, clock=clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response, "now_us", clock)
        logging.disable(logging.CRITICAL)
        tell_in_spite_of_all(book, clock, steps, fates, writes)
        logging.disable(logging.NOTSET)
    book.close()
