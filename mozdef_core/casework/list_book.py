"""The lists as queries look into them: loaded when first asked for, and again when somebody has changed them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from sqlalchemy import select

from mozdef_core.casework.database import Database, read_number
from mozdef_core.casework.list_models import EntryRow, ListRow
from mozdef_core.casework.lists import COUNTER
from mozdef_core.errors import BookUnavailableError
from mozdef_core.query.members import KINDS, Entry, Members

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often the number of changes is looked at: one row of the database."""

REST: Final = 10
"""A list that is not loaded at once rests ten times as long as it took before it is loaded again."""

_AT_ONCE_S: Final = 0.1
_LONGEST_REST_S: Final = 30.0
_ROWS: Final = 50_000


class _Known(NamedTuple):
    """A list that there is."""

    id: int
    kind: str
    version: int


class _Loaded(NamedTuple):
    """What a list held at a version of it, and when it may be loaded again."""

    id: int
    version: int
    members: Members
    rests_until_s: float


class ListBook:
    """The lists of the casework database for the queries of one process; threads share it.

    A change is seen at most a second later, that of a list of a million entries some ten seconds later; where
    :meth:`start` was not called, by the next question. While the database is away the lists are as they were.

    :param also: called with each look, so that others who poll the same database need no thread of their own.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._also = also
        self._lock = threading.Lock()
        self._number = -1
        self._waiting = False
        self._looked_s = 0.0
        self._known: dict[str, _Known] = {}
        self._loaded: dict[str, _Loaded] = {}
        self._version = 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def version(self) -> int:
        """A number that is another one after any list that was asked for has changed."""
        return self._version

    def members(self, name: str) -> Members | None:
        """Return what a list holds; the first call for it loads it.

        :raises BookUnavailableError: it was never loaded, and cannot be now.
        """
        loaded = self._loaded.get(name)
        idle = self._thread is None and self._clock() - self._looked_s > LOOK_S
        if loaded is not None and not idle:
            return loaded.members
        with self._lock:
            if idle or name not in self._known:
                self._look_if_possible(needed=name not in self._loaded)
            if name in self._known and name not in self._loaded:
                self._load(name)
            loaded = self._loaded.get(name)
        return None if loaded is None else loaded.members

    def names(self) -> Collection[str]:
        """Return the names of all lists."""
        return list(self._known)

    def refresh(self) -> None:
        """Look whether lists have changed, and load those again that are in use.

        :raises BookUnavailableError: the lists are as they were.
        """
        with self._lock:
            self._look()

    def start(self) -> None:
        """Look every second, in a thread of its own, until :meth:`close`."""
        self._thread = threading.Thread(target=self._run, name="lists", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        failed = False
        while not self._done.wait(LOOK_S):
            try:
                self.refresh()
                self._also()
                failed = False
            except BookUnavailableError as error:
                if not failed:
                    log.warning("lists and exceptions stay as they are: %s", error)
                failed = True

    def _look_if_possible(self, *, needed: bool) -> None:
        try:
            self._look()
        except BookUnavailableError:
            if needed:
                raise

    def _look(self) -> None:
        self._looked_s = self._clock()
        with self._database.read() as session:
            number = read_number(session, COUNTER)
            if number == self._number and not self._waiting:
                return
            rows = session.execute(select(ListRow.name, ListRow.id, ListRow.kind, ListRow.version))
            self._known = {row.name: _Known(row.id, row.kind, row.version) for row in rows}
        self._waiting = False
        for name, loaded in list(self._loaded.items()):
            known = self._known.get(name)
            if known is None:
                del self._loaded[name]
                self._version += 1
            elif (known.id, known.version) != (loaded.id, loaded.version):
                if self._clock() < loaded.rests_until_s:
                    self._waiting = True
                else:
                    self._load(name)
        self._number = number

    def _load(self, name: str) -> None:
        """Load a list; whoever reads meanwhile reads the one before."""
        begun_s = self._clock()
        with self._database.read() as session:
            row = session.execute(
                select(ListRow.id, ListRow.kind, ListRow.version).where(ListRow.name == name)
            ).one_or_none()
            if row is None:
                return
            query = select(EntryRow.value, EntryRow.expires_us).where(EntryRow.list_id == row.id)
            found = session.connection().execution_options(stream_results=True).execute(query)

            def entries() -> Iterator[Entry]:
                for part in found.partitions(_ROWS):
                    yield from ((value, expires_us) for value, expires_us in part)

            members = KINDS[row.kind](entries())
        took_s = self._clock() - begun_s
        rest_s = min(REST * took_s, _LONGEST_REST_S) if took_s > _AT_ONCE_S else 0.0
        self._loaded[name] = _Loaded(row.id, row.version, members, begun_s + took_s + rest_s)
        self._version += 1
        if members.size >= _ROWS:
            log.info("loaded the list %s of %d entries in %.1f s", name, members.size, took_s)
