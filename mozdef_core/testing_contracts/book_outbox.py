"""The part of the alert book's contract that is about the outbox: who is told what, in which order, and once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from mozdef_core.alert import AlertChange, Occasion, Severity, Status
from mozdef_core.ports import AlertBook, BatchRecord, Task, TaskResult
from mozdef_core.testing_contracts.book_alerts import Clock, event_at, finding

Outcome = Literal["done", "skipped", "failed", "retry", "postponed"]
PLUGINS: Final = [("webhook", False), ("asset", True), ("chat", False), ("owner", True)]
"""Enabled action plugins; ``asset`` and then ``owner`` enrich."""


class OutboxContract:
    """Tasks of the outbox; see :class:`~mozdef_core.testing_contracts.book.AlertBookContract`."""

    def set_status(self, book: AlertBook, alert_id: str, status: Status) -> None:
        """Do what an analyst does to give an alert this status."""
        raise NotImplementedError

    @staticmethod
    def settle(book: AlertBook, tasks: Iterable[Task], outcome: Outcome = "done", text: str = "") -> None:
        """Settle tasks alike."""
        for task in tasks:
            book.settle_task(task, TaskResult(outcome, text))

    @staticmethod
    def raise_one(book: AlertBook, seconds: float = 0) -> str:
        """Raise an alert and return its id."""
        batch = BatchRecord(alerts=[finding(event_at(seconds), details={"username": "ines"}, group_s=60)])
        return book.record(batch)[0].id

    @staticmethod
    def names(tasks: Iterable[Task]) -> list[str]:
        """Return the plugins of tasks."""
        return [task.plugin for task in tasks]

    def test_enrichers_go_first_and_one_after_the_other(self, book: AlertBook) -> None:
        self.raise_one(book)
        for expected in (["asset"], ["owner"], ["webhook", "chat"], []):
            tasks = book.due_tasks(PLUGINS, 10, 60)
            assert self.names(tasks) == expected
            assert not book.due_tasks(PLUGINS, 10, 60)
            self.settle(book, tasks)

    def test_each_plugin_sees_what_the_enrichers_before_it_added(self, book: AlertBook) -> None:
        self.raise_one(book)
        (asset,) = book.due_tasks(PLUGINS, 10, 60)
        change = AlertChange({"site": "Berlin", "username": "overwritten"}, "in Berlin", Severity.CRITICAL)
        book.settle_task(asset, TaskResult("done", change=change))
        (owner,) = book.due_tasks(PLUGINS, 10, 60)
        assert owner.alert.details == {"username": "ines", "site": "Berlin"}
        assert owner.alert.summary == "something was seen; in Berlin"
        assert owner.alert.severity is Severity.CRITICAL
        book.settle_task(owner, TaskResult("done", change=AlertChange({"site": "Paris"})))
        assert all(task.alert.details["site"] == "Paris" for task in book.due_tasks(PLUGINS, 10, 60))

    def test_settling_again_changes_nothing(self, book: AlertBook) -> None:
        self.raise_one(book)
        (asset,) = book.due_tasks(PLUGINS, 10, 60)
        for _ in range(2):
            book.settle_task(asset, TaskResult("done", change=AlertChange(summary_suffix="once")))
        (owner,) = book.due_tasks(PLUGINS, 10, 60)
        assert owner.alert.summary == "something was seen; once"

    def test_a_task_that_nobody_settled_comes_again_with_the_same_key(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.raise_one(book)
        (first,) = book.due_tasks([("webhook", False)], 10, 60)
        clock.pass_by(59)
        assert not book.due_tasks([("webhook", False)], 10, 60)
        clock.pass_by(1)
        (second,) = book.due_tasks([("webhook", False)], 10, 60)
        assert (second.key, first.attempt, second.attempt) == (first.key, 1, 2)
        book.settle_task(first, TaskResult("retry", "too late to say", clock.us))
        assert not book.due_tasks([("webhook", False)], 10, 60)

    def test_a_retry_comes_when_it_is_due_and_its_failure_stands_until_then(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.raise_one(book)
        (task,) = book.due_tasks([("webhook", False)], 10, 60)
        book.settle_task(task, TaskResult("retry", "webhook: connection refused", clock.us + 5_000_000))
        clock.pass_by(4)
        assert not book.due_tasks([("webhook", False)], 10, 60)
        clock.pass_by(1)
        (task,) = book.due_tasks([("webhook", False)], 10, 60)
        assert task.attempt == 2
        assert list(task.alert.errors) == ["webhook (raised): connection refused"]
        self.settle(book, [task])
        self.set_status(book, task.alert.id, Status.CLOSED)
        (closed,) = book.due_tasks([("webhook", False)], 10, 60)
        assert not closed.alert.errors

    def test_a_postponed_task_comes_when_it_is_due_and_has_used_no_attempt(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.raise_one(book)
        for _ in range(3):
            (task,) = book.due_tasks([("webhook", False)], 10, 60)
            assert task.attempt == 1
            book.settle_task(task, TaskResult("postponed", "suspended", clock.us + 5_000_000))
            clock.pass_by(4)
            assert not book.due_tasks([("webhook", False)], 10, 60)
            clock.pass_by(1)
        (task,) = book.due_tasks([("webhook", False)], 10, 60)
        assert list(task.alert.errors) == ["webhook (raised): suspended"]
        book.settle_task(task, TaskResult("retry", "connection refused", clock.us))
        (task,) = book.due_tasks([("webhook", False)], 10, 60)
        assert task.attempt == 2

    def test_only_the_tasks_of_the_plugins_that_are_wanted_are_taken(self, book: AlertBook) -> None:
        self.raise_one(book)
        plugins = [("webhook", False), ("chat", False)]
        assert not book.due_tasks(plugins, 10, 60, [])
        assert self.names(book.due_tasks(plugins, 10, 60, ["chat"])) == ["chat"]
        assert not book.due_tasks(plugins, 10, 60, {"chat"})
        assert self.names(book.due_tasks(plugins, 10, 60)) == ["webhook"]

    def test_what_was_tried_together_is_known_by_one_number_and_a_crash_from_a_failure(
        self, book: AlertBook, clock: Clock
    ) -> None:
        chat = [("chat", False)]
        self.raise_one(book, 0)
        self.raise_one(book, 1_000)
        first = book.due_tasks(chat, 10, 60)
        assert [(task.together_us, task.unsure, task.since_us) for task in first] == [
            (None, False, clock.us)
        ] * 2
        since_us = clock.us
        clock.pass_by(60)
        self.raise_one(book, 2_000)
        *again, new = book.due_tasks(chat, 10, 60)
        assert [task.key for task in again] == [task.key for task in first]
        assert [(task.together_us, task.unsure) for task in again] == [(clock.us, True)] * 2
        assert {task.since_us for task in again} == {since_us}
        assert (new.together_us, new.unsure) == (None, False)
        due_us = clock.us + 5_000_000
        book.settle_tasks([(task, TaskResult("retry", "away", due_us)) for task in again])
        book.settle_task(new, TaskResult("postponed", due_us=due_us))
        clock.pass_by(5)
        *again, new = book.due_tasks(chat, 10, 60)
        assert [(task.together_us, task.unsure) for task in again] == [(due_us, True)] * 2
        assert (new.together_us, new.unsure) == (None, False)
        assert not new.alert.errors, "nothing went wrong with what was only put off"
        book.settle_task(new, TaskResult("retry", "away", clock.us))
        (new,) = book.due_tasks(chat, 10, 60)
        assert (new.together_us, new.unsure) == (clock.us, False), "this try was the first, and it failed"

    def test_what_was_tried_apart_stays_apart_however_often_its_process_dies(
        self, book: AlertBook, clock: Clock
    ) -> None:
        chat = [("chat", False)]
        self.raise_one(book, 0)
        self.raise_one(book, 1_000)
        book.due_tasks(chat, 10, 60)
        clock.pass_by(1)
        self.raise_one(book, 2_000)
        book.due_tasks(chat, 10, 60)
        for _ in range(3):
            clock.pass_by(61)
            one, two, three = book.due_tasks(chat, 10, 60)
            assert one.together_us == two.together_us != three.together_us
            assert one.unsure and three.unsure
        book.settle_tasks([(task, TaskResult("postponed", due_us=clock.us)) for task in (one, two)])
        again = book.due_tasks(chat, 10, 60)
        assert [(task.key, task.unsure) for task in again] == [(one.key, True), (two.key, True)]

    def test_several_tasks_are_settled_at_once(self, book: AlertBook, clock: Clock) -> None:
        for seconds in (0, 1_000, 2_000):
            self.raise_one(book, seconds)
        one, two, three = book.due_tasks([("chat", False)], 10, 60)
        failed, again = TaskResult("failed", "no such channel"), TaskResult("retry", "away", clock.us)
        book.settle_tasks([(one, TaskResult("done")), (two, failed), (three, again)])
        (left,) = book.due_tasks([("chat", False)], 10, 60)
        assert (left.key, left.attempt) == (three.key, 2)

    def test_a_postponed_enricher_holds_the_others_up_for_30_seconds_only(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.raise_one(book)
        (asset,) = book.due_tasks(PLUGINS, 10, 60)
        book.settle_task(asset, TaskResult("postponed", "suspended", clock.us + 100_000_000))
        clock.pass_by(29)
        assert not book.due_tasks(PLUGINS, 10, 60)
        clock.pass_by(1)
        assert self.names(book.due_tasks(PLUGINS, 10, 60)) == ["owner"]

    def test_postponing_after_the_lease_has_run_out_changes_nothing(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.raise_one(book)
        (first,) = book.due_tasks([("webhook", False)], 10, 60)
        clock.pass_by(60)
        (second,) = book.due_tasks([("webhook", False)], 10, 60)
        book.settle_task(first, TaskResult("postponed", "too late to say", clock.us))
        assert not book.due_tasks([("webhook", False)], 10, 60)
        book.settle_task(second, TaskResult("retry", "busy", clock.us))
        (third,) = book.due_tasks([("webhook", False)], 10, 60)
        assert third.attempt == 3

    def test_a_failed_action_stands_on_the_alert_and_blocks_nobody(self, book: AlertBook) -> None:
        self.raise_one(book)
        self.settle(book, book.due_tasks(PLUGINS, 10, 60), "failed", "no such site")
        (owner,) = book.due_tasks(PLUGINS, 10, 60)
        assert list(owner.alert.errors) == ["asset (raised): no such site"]

    def test_an_enricher_that_waits_for_another_try_holds_the_others_up_for_30_seconds_only(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.raise_one(book)
        (asset,) = book.due_tasks(PLUGINS, 10, 60)
        book.settle_task(asset, TaskResult("retry", "busy", clock.us + 100_000_000))
        clock.pass_by(29)
        assert not book.due_tasks(PLUGINS, 10, 60)
        clock.pass_by(1)
        self.settle(book, tasks := book.due_tasks(PLUGINS, 10, 60))
        assert self.names(tasks) == ["owner"]
        self.settle(book, tasks := book.due_tasks(PLUGINS, 10, 60))
        assert self.names(tasks) == ["webhook", "chat"]
        clock.pass_by(70)
        assert self.names(book.due_tasks(PLUGINS, 10, 60)) == ["asset"]

    def test_a_plugin_hears_of_the_occasions_of_an_alert_in_order(self, book: AlertBook) -> None:
        alert_id = self.raise_one(book)
        self.set_status(book, alert_id, Status.ACKNOWLEDGED)
        self.set_status(book, alert_id, Status.CLOSED)
        plugins = [("webhook", False), ("chat", False)]
        first = book.due_tasks(plugins, 10, 60)
        assert [(task.plugin, task.occasion) for task in first] == [
            ("webhook", Occasion.RAISED),
            ("chat", Occasion.RAISED),
        ]
        self.settle(book, first[:1])
        (second,) = book.due_tasks(plugins, 10, 60)
        assert (second.plugin, second.occasion) == ("webhook", Occasion.ACKNOWLEDGED)
        self.settle(book, [second])
        (third,) = book.due_tasks(plugins, 10, 60)
        assert (third.plugin, third.occasion) == ("webhook", Occasion.CLOSED)
        assert len({first[0].key, first[1].key, second.key, third.key}) == 4

    def test_alerts_do_not_wait_for_one_another(self, book: AlertBook) -> None:
        ids = [self.raise_one(book, seconds) for seconds in (0, 1000, 2000)]
        tasks = book.due_tasks([("asset", True)], 2, 60)
        assert [task.alert.id for task in tasks] == ids[:2]
        assert [task.alert.id for task in book.due_tasks([("asset", True)], 2, 60)] == ids[2:]

    def test_a_task_of_a_plugin_that_is_no_longer_enabled_holds_nobody_up(
        self, book: AlertBook, clock: Clock
    ) -> None:
        self.raise_one(book)
        book.due_tasks(PLUGINS, 10, 60)
        clock.pass_by(60)
        assert self.names(book.due_tasks([("webhook", False), ("owner", True)], 10, 60)) == ["owner"]

    def test_without_action_plugins_nothing_waits(self, book: AlertBook) -> None:
        self.raise_one(book)
        assert not book.due_tasks([], 10, 60)
        assert not book.due_tasks(PLUGINS, 10, 60)

    def test_nobody_hears_of_an_extension_after_closing(self, book: AlertBook, clock: Clock) -> None:
        plugins = [("webhook", False)]
        alert_id = self.raise_one(book)
        for seconds in (1, 2):
            self.settle(book, book.due_tasks(plugins, 10, 60))
            book.record(BatchRecord(alerts=[finding(event_at(seconds), group_s=60)]))
        self.settle(book, book.due_tasks(plugins, 10, 60))
        self.set_status(book, alert_id, Status.CLOSED)
        clock.pass_by(7200)
        assert [task.occasion for task in book.due_tasks(plugins, 10, 60)] == [Occasion.CLOSED]
