"""Messages: which tasks of one notifier go out together, and as what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mozdef_core.alert import Alert, Occasion
from mozdef_core.notification import Note, digest
from mozdef_core.ports import Task

NEWS: Final = frozenset({Occasion.RAISED, Occasion.EXTENDED, Occasion.REPEATED})
"""Occasions that tell of events; whoever closes an old alert is not late."""


def is_late(task: Task, now_us: int, act_within_us: int) -> bool:
    """Return whether a task tells of events that are too long ago to act upon as if they were new."""
    return task.occasion in NEWS and task.alert.last.us < now_us - act_within_us


@dataclass(frozen=True, slots=True)
class Message:
    """What a notifier sends at once: one alert or several.

    :param tasks: not empty, all of one notifier.
    """

    tasks: Sequence[Task]
    channel: str
    late: bool = False

    @property
    def delivery(self) -> str:
        """What identifies it: the same at each attempt with the same tasks."""
        if len(self.tasks) == 1:
            return self.tasks[0].key
        keys = "\n".join(sorted(task.key for task in self.tasks))
        return f"digest:{hashlib.sha256(keys.encode(errors='surrogatepass')).hexdigest()[:32]}"

    @property
    def occasion(self) -> Occasion:
        """What happened: to the one alert, or to all alike; ``raised`` where it differs."""
        occasions = {task.occasion for task in self.tasks}
        return occasions.pop() if len(occasions) == 1 else Occasion.RAISED

    def alert(self, now_us: int) -> Alert:
        """Return the alert, or the digest of several, with the channel."""
        if len(self.tasks) == 1:
            return replace(self.tasks[0].alert, channel=self.channel)
        notes = (Note(task.alert, task.occasion) for task in self.tasks)
        return digest(notes, self.channel, self.delivery, now_us, late=self.late)


def compose(routed: Iterable[tuple[Task, str]], now_us: int, act_within_us: int) -> list[Message]:
    """Return the messages that due tasks of one notifier make, what was tried before first.

    New tasks for one channel go out together, and so do late ones. Tasks that were tried before stay together as
    they were, so that the receiver knows the message again; except late ones of which it is certain that they did
    not get through.

    :param routed: each task with its channel.
    """
    groups: dict[tuple[object, ...], list[Task]] = {}
    for task, channel in routed:
        late = is_late(task, now_us, act_within_us)
        if task.together_us is not None and (task.unsure or not late):
            key: tuple[object, ...] = (not task.unsure, task.together_us, channel, False)
        else:
            key = (True, 1 << 62, channel, late)
        groups.setdefault(key, []).append(task)
    ordered = sorted(groups.items(), key=lambda group: group[0][:2])  # keeps the order of arrival in between
    return [
        Message(tuple(tasks), str(key[2]), all(is_late(task, now_us, act_within_us) for task in tasks))
        for key, tasks in ordered
    ]
