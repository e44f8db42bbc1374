"""Mirrors: what the rules of a process ask as they run, kept as the database has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Generic, Protocol, TypeVar

from sqlalchemy.orm import Session

from mozdef_core.casework.database import Database, read_number

Tally = TypeVar("Tally")
Entry = TypeVar("Entry")
Replacing = TypeVar("Replacing", contravariant=True)


class Asked(Protocol[Tally, Replacing]):
    """What rules ask: entries, and a tally of what was met until somebody takes it to write it down."""

    def take(self) -> Tally:
        """Return the tally, which begins anew."""

    def give_back(self, tally: Tally, /) -> None:
        """Keep a tally that nobody could write down."""

    def replace(self, entries: Iterable[Replacing], /) -> None:
        """Put other entries in the place of those that there are."""


class Mirror(ABC, Generic[Tally, Entry]):
    """Keeps something of a process as the database has it, and hands on what it met.

    :param asked: what the rules of the process ask.
    :cvar counter: the counter that rises with every change in the database.
    """

    counter: ClassVar[str]

    def __init__(self, database: Database, asked: Asked[Tally, Entry]) -> None:
        self._database = database
        self._asked = asked
        self._number = -1

    def refresh(self) -> None:
        """Write down what was met, and read the entries again if any has changed.

        :raises BookUnavailableError: all is as it was; what was met is written down the next time.
        """
        tally = self._asked.take()
        if tally:
            try:
                with self._database.write() as session:
                    self._count(session, tally)
            except BaseException:
                self._asked.give_back(tally)
                raise
        with self._database.read() as session:
            number = read_number(session, self.counter)
            if number == self._number:
                return
            entries = self._entries(session)
        self._asked.replace(entries)
        self._number = number

    @abstractmethod
    def _count(self, session: Session, tally: Tally) -> None:
        """Write a tally down."""

    @abstractmethod
    def _entries(self, session: Session) -> Iterable[Entry]:
        """Read the entries, all of them before this returns."""
