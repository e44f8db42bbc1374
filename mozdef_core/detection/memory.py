"""What a rule remembers, read from the ledger and written to it when the run has succeeded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mozdef_core.ports.ledger import Ledger
from mozdef_core.window import RuleMemory


class LedgerMemory(RuleMemory):
    """The memory of one run: what the ledger holds, and over it what the run has changed.

    :param rule: the rule's key in the ledger.
    """

    def __init__(self, ledger: Ledger, rule: str) -> None:
        self._ledger = ledger
        self._rule = rule
        self.changes: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """Return a value, or None."""
        return self.get_many((key,)).get(key)

    def get_many(self, keys: Collection[str]) -> Mapping[str, Any]:
        """Return the values that there are, with at most one query."""
        unchanged = [key for key in dict.fromkeys(keys) if key not in self.changes]
        known = self._ledger.recall(self._rule, keys=unchanged) if unchanged else {}
        merged = {key: self.changes.get(key, known.get(key)) for key in keys}
        return {key: value for key, value in merged.items() if value is not None}

    def set(self, key: str, value: Any) -> None:
        """Remember a value from the end of this run on; None forgets it."""
        self.changes[key] = value

    def items(self, prefix: str = "") -> Mapping[str, Any]:
        """Return all values whose key begins with a prefix."""
        changed = {key: value for key, value in self.changes.items() if key.startswith(prefix)}
        merged = {**self._ledger.recall(self._rule, prefix=prefix), **changed}
        return {key: value for key, value in merged.items() if value is not None}
