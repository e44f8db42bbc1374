"""Counts: how much came in at each entrance, and what became of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping


class Counts:
    """What the entrances count; threads share it."""

    def __init__(self) -> None:
        self._counter: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, entrance: str, numbers: Mapping[str, int]) -> None:
        """Add numbers to an entrance's."""
        with self._lock:
            for name, number in numbers.items():
                if number:
                    self._counter[f"{entrance}.{name}"] += number

    def snapshot(self) -> dict[str, int]:
        """Return all numbers, such as ``events.accepted``, ``events.bytes`` or ``bulk.rejected.invalid-json``."""
        with self._lock:
            return dict(self._counter)

    def refused(self) -> dict[str, int]:
        """Return how many requests were refused as a whole, by code and of all entrances."""
        found: Counter[str] = Counter()
        for name, number in self.snapshot().items():
            what, _, code = name.partition(".")[2].partition(".")
            if what == "refused":
                found[code] += number
        return dict(found)
