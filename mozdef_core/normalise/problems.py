"""The notes that the normaliser leaves in ``mozdef.problems``."""

from __future__ import annotations

from typing import Final

MOST: Final = 100
"""So many notes are kept in one event; a thousand bad fields need no thousand notes."""


class Problems:
    """Collects notes; the same code for the same field is noted once."""

    __slots__ = ("_seen", "notes")

    def __init__(self) -> None:
        self.notes: list[dict[str, str]] = []
        self._seen: set[tuple[str, str]] = set()

    def note(self, code: str, field: str = "", message: str = "") -> None:
        """Add a note.

        :param field: the field as it was sent, where there is one.
        :param message: what the operator may want to know beyond that.
        """
        if (code, field) in self._seen or len(self.notes) >= MOST:
            return
        self._seen.add((code, field))
        entry = {"code": code}
        if field:
            entry["field"] = field[:256]
        if message:
            entry["message"] = message[:1_024]
        self.notes.append(entry)
