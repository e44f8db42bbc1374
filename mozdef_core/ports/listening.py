"""Listening: what the reports of processes say about the way in, and up to when everything received is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

LIVE_S: Final = 10
"""A worker that has not reported for so long holds the watermark back no longer."""

_INPUT: Final = "input:"


def parts_of(role: str, counters: Mapping[str, Any]) -> list[str]:
    """Return which parts of the way in a process vouches for: itself, the queue it can use, the inputs it runs.

    A process that says nothing of the queue does not vouch for it, nor one that could not ask it.
    """
    queue, inputs = counters.get("queue"), counters.get("inputs") or {}
    running = sorted(f"{_INPUT}{name}" for name, state in inputs.items() if state.get("running"))
    return [role, *(["queue"] if queue and not queue.get("error") else []), *running]


def is_entrance(part: str) -> bool:
    """Return whether events come in by this part."""
    return part == "web" or part.startswith(_INPUT)


def listens(parts: Collection[str]) -> bool:
    """Return whether MozDef was listening while these parts were up (detections.md C2)."""
    return "queue" in parts and "worker" in parts and any(map(is_entrance, parts))


def stored_until_us(workers: Iterable[Mapping[str, Any]]) -> int | None:
    """Return up to when everything received is stored, from what the live workers count; None if nobody knows.

    It is the least of what they hold and of what waits in the queue, which is empty only when it says so: a batch
    that is being taken out is in neither hand for a moment, but no queue forgets it before it is acknowledged.
    A worker that cannot ask the queue knows nothing.
    """
    found = []
    for counters in workers:
        held_us = (counters.get("worker") or {}).get("watermark_us")
        queue = counters.get("queue") or {}
        if type(held_us) is not int or queue.get("error"):
            return None
        waiting_us = queue.get("oldest_us")
        found.append(held_us if waiting_us is None else min(held_us, waiting_us))
    return min(found, default=None)
