"""Response: run the alert actions that are due, each with retries, none able to hold up or break another."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Final

from mozdef_core.errors import DeliveryError
from mozdef_core.event import now_us
from mozdef_core.host import Host, Outcome, Plugin
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


class Responder:
    """Works off the outbox with the enabled action plugins.

    :param host: holds the plugins; every one with ``alert_action`` takes part, in call order.
    """

    def __init__(self, host: Host, book: AlertBook) -> None:
        self._plugins = {plugin.name: plugin for plugin in host.table("alert_action").plugins}
        self._retries = {
            name: getattr(plugin.instance, "retries", RETRIES) for name, plugin in self._plugins.items()
        }
        self._host = host
        self._book = book

    @property
    def order(self) -> Sequence[tuple[str, bool]]:
        """The names of the action plugins in call order, each with whether it enriches."""
        return [(plugin.name, plugin.stage == "enrich") for plugin in self._plugins.values()]

    def run_due(self, most: int = 50) -> int:
        """Run what is due now, oldest first, and return how many tasks that were.

        :raises BookUnavailableError: the casework database is away; what is due stays due.
        """
        tasks = self._book.due_tasks(self.order, most, LEASE_S)
        for task in tasks:
            self._book.settle_task(task, self._run(task))
        return len(tasks)

    def _run(self, task: Task) -> TaskResult:
        plugin = self._plugins[task.plugin]
        outcome = self._host.call(plugin, "alert_action", alert=task.alert, occasion=task.occasion)
        if outcome.problem is None:
            return TaskResult("done", change=outcome.value)
        if outcome.problem[0] == "plugin-suspended":
            due_us = now_us() + SUSPENDED_WAIT_S * 1_000_000
            return TaskResult("postponed", f"the plugin is suspended: {outcome.problem[1]}", due_us)
        return self._failed(plugin, task, outcome)

    def _failed(self, plugin: Plugin, task: Task, outcome: Outcome) -> TaskResult:
        """Decide between another try and giving up; what went wrong is kept either way."""
        code, message = outcome.problem or ("", "")
        text = f"{plugin.name}: {code}: {message}"
        refused = isinstance(outcome.error, DeliveryError) and outcome.error.final
        if refused or task.attempt > self._retries[plugin.name]:
            log.warning(
                "gave up on %s for alert %s after %d tries: %s",
                plugin.name,
                task.alert.id,
                task.attempt,
                text,
            )
            return TaskResult("failed", text)
        wait_s = BACK_OFF_S[min(task.attempt - 1, len(BACK_OFF_S) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
        asked_s = outcome.error.retry_after_s if isinstance(outcome.error, DeliveryError) else None
        if isinstance(asked_s, int | float):
            wait_s = max(wait_s, min(asked_s, RETRY_AFTER_MAX_S))
        return TaskResult("retry", text, now_us() + int(wait_s * 1_000_000))
