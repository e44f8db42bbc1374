"""Response: run the alert actions that are due, each with retries, none able to hold up or break another."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any, Final

from mozdef_core.alert import AlertChange
from mozdef_core.errors import DeliveryError
from mozdef_core.event import now_us
from mozdef_core.host import Host, Outcome, Plugin
from mozdef_core.notification_messages import Message, compose, is_late
from mozdef_core.notification_routes import Router
from mozdef_core.notification_settings import NotifySettings
from mozdef_core.ports import AlertBook, Task, TaskResult

log = logging.getLogger(__name__)

RETRIES: Final = 3
"""How often a failed action is tried again unless the plugin has an attribute ``retries`` of its own."""
BACK_OFF_S: Final = (2, 6, 18, 54, 162, 486, 1_458, 3_600)
RETRY_AFTER_MAX_S: Final = 86_400
"""A receiver that asks for a longer pause than this is asked again after this one."""
SUSPENDED_WAIT_S: Final = 30
"""After so long a task of a suspended plugin is looked at again; it has not used an attempt."""
LEASE_S: Final = 120
"""After this a task that nobody settled is given out again: its process has died."""
NOTE_LIMIT: Final = 2_000
"""So many characters of what a plugin says of its work stand in the history."""
MOST_TOLD: Final = 200
"""One message tells of at most so many alerts, which take about a second of the database to settle."""


class Responder:
    """Works off the outbox with the enabled action plugins.

    A plugin whose class says ``notifies = True`` is told of what its routes give it, several alerts at once if they
    come faster than ``notify.every``. What does not go into the message of the moment is put back before that
    message is sent, and all that it tells of is settled in one transaction after it: so a process that dies in
    between leaves exactly the alerts of that message, and they make the same message again.

    :param host: holds the plugins; every one with ``alert_action`` takes part, in call order.
    :raises ConfigError: a route names what is no notifier.
    """

    def __init__(self, host: Host, book: AlertBook, notify: NotifySettings | None = None) -> None:
        settings = notify or NotifySettings()
        self._plugins = {plugin.name: plugin for plugin in host.table("alert_action").plugins}
        self._retries = {name: self._attribute(name, "retries", RETRIES) for name in self._plugins}
        self._notifiers = notifiers_of(host)
        self._collecting = [name for name in self._notifiers if self._attribute(name, "collects", True)]
        self._single = [name for name in self._plugins if name not in self._collecting]
        self._router = Router(settings, self._notifiers)
        self._every_us = int(settings.every.total_seconds() * 1e6)
        self._act_within = settings.act_within
        self._act_within_us = int(settings.act_within.total_seconds() * 1e6)
        self._free_us: dict[str, int] = {}
        self._host = host
        self._book = book

    def _attribute(self, name: str, attribute: str, default: Any) -> Any:
        return getattr(self._plugins[name].instance, attribute, default)

    @property
    def order(self) -> Sequence[tuple[str, bool]]:
        """The names of the action plugins in call order, each with whether it enriches."""
        return [(plugin.name, plugin.stage == "enrich") for plugin in self._plugins.values()]

    def run_due(self, most: int = 50) -> int:
        """Run what is due now, oldest first, and return how many tasks that were.

        :param most: of the actions; each notifier sends one message besides, unless it is still to pause.
        :raises BookUnavailableError: the casework database is away; what is due stays due.
        """
        tasks = self._book.due_tasks(self.order, most, LEASE_S, self._single if self._collecting else None)
        for task in tasks:
            self._book.settle_tasks([(task, self._run(task))])
        return len(tasks) + sum(self._tell(name) for name in self._collecting)

    def _run(self, task: Task) -> TaskResult:
        channel, reason = self._where(task)
        if channel is None:
            return TaskResult("skipped", reason)
        return self._send(Message((task,), channel))[0][1]

    def _where(self, task: Task) -> tuple[str | None, str]:
        """Return the channel of a task, or None and why its plugin is not called."""
        occasions = self._attribute(task.plugin, "occasions", None)
        if occasions is not None and task.occasion not in occasions:
            return None, f"{task.plugin} is not told when an alert is {task.occasion.value}"
        if task.plugin in self._notifiers:
            return self._router.decide(task.plugin, task.alert, task.since_us)
        late = is_late(task, now_us(), self._act_within_us)
        if late and not self._attribute(task.plugin, "acts_late", True):
            return None, f"late: the last event is older than {self._act_within}"
        return task.alert.channel, ""

    def _tell(self, name: str) -> int:
        """Send one message with what is due for a notifier; return how many tasks that settled."""
        if now_us() < self._free_us.get(name, 0):
            return 0
        tasks = self._book.due_tasks(self.order, MOST_TOLD, LEASE_S, [name])
        where = [(task, *self._where(task)) for task in tasks]
        routed = [(task, channel) for task, channel, _ in where if channel is not None]
        now = now_us()
        messages = compose(routed, now, self._act_within_us)
        aside = [(task, TaskResult("skipped", reason)) for task, channel, reason in where if channel is None]
        for place, other in enumerate(messages[1:]):  # a time of its own for each keeps it from the others
            later = TaskResult("postponed", due_us=now + self._every_us + place)
            aside.extend((task, later) for task in other.tasks)
        if aside:
            self._book.settle_tasks(aside)
        if not messages:
            return len(tasks)
        results = self._send(messages[0])
        self._free_us[name] = now_us() + self._every_us
        self._book.settle_tasks(results)
        return len(tasks)

    def _send(self, message: Message) -> Sequence[tuple[Task, TaskResult]]:
        """Call the plugin and return what becomes of each task."""
        plugin = self._plugins[message.tasks[0].plugin]
        outcome = self._host.call(
            plugin,
            "alert_action",
            alert=message.alert(now_us()),
            occasion=message.occasion,
            delivery=message.delivery,
        )
        if outcome.problem is None:
            return [(task, self._done(message, outcome.value)) for task in message.tasks]
        if outcome.problem[0] == "plugin-suspended":
            due_us = now_us() + SUSPENDED_WAIT_S * 1_000_000
            text = f"the plugin is suspended: {outcome.problem[1]}"
            return [(task, TaskResult("postponed", text, due_us)) for task in message.tasks]
        due_us = now_us() + int(self._pause_s(message, outcome) * 1_000_000)
        return [(task, self._failed(plugin, task, outcome, due_us)) for task in message.tasks]

    @staticmethod
    def _done(message: Message, change: AlertChange | None) -> TaskResult:
        if change is not None and change.skipped:
            return TaskResult("skipped", change.note[:NOTE_LIMIT])
        if len(message.tasks) == 1:
            return TaskResult("done", change.note[:NOTE_LIMIT] if change is not None else "", change=change)
        return TaskResult("done", f"in one message with {len(message.tasks) - 1} others")

    def _pause_s(self, message: Message, outcome: Outcome) -> float:
        """Return how long to wait before another try."""
        attempt = max(task.attempt for task in message.tasks)
        wait_s = BACK_OFF_S[min(attempt - 1, len(BACK_OFF_S) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
        asked_s = outcome.error.retry_after_s if isinstance(outcome.error, DeliveryError) else None
        if isinstance(asked_s, int | float):
            return max(wait_s, min(asked_s, RETRY_AFTER_MAX_S))
        return wait_s

    def _failed(self, plugin: Plugin, task: Task, outcome: Outcome, due_us: int) -> TaskResult:
        """Decide between another try and giving up; what went wrong is kept either way."""
        code, message = outcome.problem or ("", "")
        text = f"{plugin.name}: {code}: {message}"
        refused = isinstance(outcome.error, DeliveryError) and outcome.error.final
        if not refused and task.attempt <= self._retries[plugin.name]:
            return TaskResult("retry", text, due_us)
        log.warning(
            "gave up on %s for alert %s after %d tries: %s",
            plugin.name,
            task.alert.id,
            task.attempt,
            text,
        )
        return TaskResult("failed", text)


def notifiers_of(host: Host) -> list[str]:
    """Return the names of the plugins that tell somebody, in call order."""
    return [
        plugin.name
        for plugin in host.table("alert_action").plugins
        if getattr(plugin.instance, "notifies", False)
    ]
