"""One partition of the embedded store: the events received on one UTC day under one retention class."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar
from urllib.parse import quote, unquote

import orjson
from tantivy import Index, IndexWriter, Query, Searcher

from mozdef_core.drivers.tantivy_catalogue import Catalogue, sync_directory
from mozdef_core.drivers.tantivy_document import Laid, Layout, make_schema, prepare
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Event

log = logging.getLogger(__name__)

_INDEX: Final = "index"
_CATALOGUE: Final = "partition.json"
_NEW: Final = ".new-"
_DROPPED: Final = ".dropped-"
_DIRECTORY: Final = re.compile(r"(\d{4}-\d\d-\d\d)\.(.+)", re.ASCII)
_Answer = TypeVar("_Answer")


class Name(NamedTuple):
    """What identifies a partition, and the name of its directory."""

    day: str
    retention_class: str

    def directory(self) -> str:
        """Return the name of the directory, ``2024-11-24.default``."""
        return f"{self.day}.{quote(self.retention_class, safe='')}"

    @classmethod
    def read(cls, directory: str) -> Self | None:
        """Return the name that a directory stands for, or None when it is no partition."""
        found = _DIRECTORY.fullmatch(directory)
        return None if found is None else cls(found[1], unquote(found[2]))


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot of a partition to search in: it does not change, whatever is written meanwhile."""

    name: Name
    index: Index
    searcher: Searcher
    catalogue: Catalogue

    def stored(self, address: Any) -> Event:
        """Return the event at an address that a search of this view gave."""
        document = self.searcher.doc(address)
        return Event(document["_id"][0], orjson.loads(bytes(document["_source"][0])))

    def count(self, query: Query) -> int:
        """Return how many events the query finds."""
        found: Any = self.searcher.search(query, limit=1)  # the package's types leave the count out
        return int(found.count)

    def ids_among(self, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are there: one look-up for all, then one for each if any is."""
        if not self.count(self.with_ids(ids)):
            return set()
        return {event_id for event_id in ids if self.searcher.doc_freq("_id", event_id)}

    def with_ids(self, ids: Sequence[str]) -> Query:
        """Return the query for these ids."""
        return Query.term_set_query(self.index.schema, "_id", ids)

    def get(self, event_id: str) -> Event | None:
        """Return one event, or None."""
        hits = self.searcher.search(self.with_ids([event_id]), limit=1, count=False).hits
        return self.stored(hits[0][1]) if hits else None


class Partition:
    """An index directory with its catalogue; opened when it is first looked at, and its writer at the first write.

    :param root: directory of the store.
    :param heap_bytes: how much a writer may hold before it writes a segment by itself.
    """

    def __init__(self, root: Path, name: Name, heap_bytes: int) -> None:
        self.name = name
        self.path = root / name.directory()
        self._heap_bytes = heap_bytes
        self._lock = threading.RLock()
        self._writer: IndexWriter | None = None
        self._forget()

    def _forget(self) -> None:
        self._catalogue = Catalogue(self.path / _CATALOGUE)
        self._layout = Layout(self._catalogue)
        self._index: Index | None = None
        self._meta: tuple[int, int] | None = None

    @classmethod
    def create(cls, root: Path, name: Name, heap_bytes: int) -> Self:
        """Make an empty partition; it appears as a whole or not at all.

        :raises OSError: there is no room, or no right to write.
        """
        fresh = root / (_NEW + name.directory())
        shutil.rmtree(fresh, ignore_errors=True)
        (fresh / _INDEX).mkdir(parents=True)
        Index(make_schema(), str(fresh / _INDEX))
        Catalogue(fresh / _CATALOGUE).create()
        sync_directory(fresh / _INDEX)
        sync_directory(fresh)
        fresh.rename(root / name.directory())
        sync_directory(root)
        return cls(root, name, heap_bytes)

    @property
    def writing(self) -> bool:
        """Whether a writer is open."""
        return self._writer is not None

    def view(self) -> View:
        """Return a snapshot of what was visible at the last refresh.

        :raises StoreUnavailableError: the partition cannot be opened.
        """
        with self._lock:
            index = self._opened()
            return View(self.name, index, index.searcher(), self._catalogue)

    def catalogue(self) -> Catalogue:
        """Return what is known about the partition, without opening its index."""
        with self._lock:
            if self._index is None:
                self._attempt(self._catalogue.load)
            return self._catalogue

    def refresh(self) -> None:
        """Make what has been committed until now visible; costs one look at a file when that is nothing.

        :raises StoreUnavailableError: the partition cannot be read.
        """
        with self._lock:
            if self._index is not None and self._writer is None:
                self._attempt(self._reload)

    def _reload(self) -> None:
        index = self._opened()
        status = (self.path / _INDEX / "meta.json").stat()
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._meta:
            index.reload()
            self._catalogue.load()  # after the index: it then says all that the index needs
            self._meta = stamp

    def _opened(self) -> Index:
        if self._index is None:
            self._index = self._attempt(self._open)
        return self._index

    def _open(self) -> Index:
        index = Index.open(str(self.path / _INDEX))
        prepare(index)
        index.reload()
        self._catalogue.load()
        return index

    def _attempt(self, action: Callable[[], _Answer]) -> _Answer:
        try:
            return action()
        except (OSError, ValueError) as error:
            raise StoreUnavailableError(f"cannot open the partition {self.path}: {error}") from error

    def document(self, event: Event) -> Laid:
        """Return the document of an event, to be given to :meth:`add`; its catalogue entries wait for :meth:`commit`.

        :raises ValueError: the engine cannot take the event in this form.
        :raises TypeError: likewise.
        """
        if self._index is None:  # the catalogue is read before anything is added to it
            self.view()
        return self._layout.document(event)

    def see_foreign(self) -> None:
        """Note that the partition holds an event whose id tells another day."""
        if self._index is None:
            self.view()
        self._catalogue.see_foreign()

    def add(self, document: Laid) -> None:
        """Hand a document to the writer, opening it if need be.

        :raises Exception: any, also some that are no ``Exception``: call :meth:`discard_writer`.
        """
        with self._lock:
            if self._writer is None:
                self._writer = self._opened().writer(self._heap_bytes, 1)
                self._writer.garbage_collect_files()  # what a kill -9 has left half-written
            if isinstance(document, str):
                self._writer.add_json(document)
            else:
                self._writer.add_document(document)

    def commit(self) -> None:
        """Make what was added durable and visible to :meth:`view`.

        tantivy syncs the data, the list of segments and, before that list is renamed into place, the directory;
        the renaming itself is durable only after the directory is synced once more.

        :raises Exception: as :meth:`add`.
        """
        with self._lock:
            if self._writer is None:
                return
            self._catalogue.save()
            self._writer.commit()
            sync_directory(self.path / _INDEX)
            self._opened().reload()

    def discard_writer(self) -> None:
        """Forget the writer and what was added since the last commit, and look at the disk anew.

        After an error a writer is not to be trusted: it goes on and reports commits that never reach the disk.
        """
        with self._lock:
            self._writer = None
            self._forget()

    def rest(self) -> None:
        """Close the writer after its merges have ended, to free its threads and memory.

        :raises Exception: as :meth:`add`.
        """
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.wait_merging_threads()

    def close(self) -> None:
        """Close the writer without waiting for its merges; what they have written goes at the next opening."""
        with self._lock:
            self._writer = None
            self._index = None

    def drop(self) -> None:
        """Remove the partition. Readers that have it open keep what they see until they refresh.

        :raises OSError: it could not be moved away.
        """
        with self._lock:
            self.rest()
            self._index = None
            gone = self.path.with_name(_DROPPED + self.path.name)
            shutil.rmtree(gone, ignore_errors=True)
            self.path.rename(gone)
            sync_directory(self.path.parent)
            shutil.rmtree(gone, ignore_errors=True)

    def size_bytes(self) -> int:
        """Return how much room its files take."""
        total = 0
        for directory, _, names in os.walk(self.path):
            for name in names:
                try:
                    total += (Path(directory) / name).stat().st_size
                except FileNotFoundError:  # merged away meanwhile
                    continue
        return total


def remove_leftovers(root: Path) -> None:
    """Remove partitions that were being made or removed when the process ended."""
    for path in root.iterdir():
        if path.name.startswith((_NEW, _DROPPED)):
            log.info("removing %s, left by a process that was ended", path)
            shutil.rmtree(path, ignore_errors=True)
