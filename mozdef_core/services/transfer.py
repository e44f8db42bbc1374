"""The transfer of events between the store and files: what export and import have in common."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from mozdef_core.errors import MozdefError, StoreUnavailableError
from mozdef_core.ports import EventStore, Page
from mozdef_core.query.model import Search

_PAUSES_S: Final = (0.5, 1, 2, 5, 10)


class TransferError(MozdefError):
    """An export or import cannot go on; the sentence says what to do."""


class Pager:
    """Reads all pages of a search, one after the other; what is cut short by a limit of time is gone on with.

    :param size: how many events the next page has at most; may be changed between pages.
    """

    def __init__(
        self, store: EventStore, search: Search, size: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store = store
        self._search = search
        self._sleep = sleep
        self.size = size

    def __iter__(self) -> Iterator[Page]:
        """Yield the pages; the last one has no cursor.

        :raises TransferError: the store fails again and again, or does not get ahead.
        """
        search = self._search
        while True:
            page = self._page(replace(search, size=self.size))
            yield page
            if page.after is None:
                return
            search = replace(search, after=page.after)

    def _page(self, search: Search) -> Page:
        """Return the page, after some more tries if need be: an incomplete page without a cursor is no page."""
        reason = "the answer was cut short before its first event"
        for pause_s in (*_PAUSES_S, None):
            try:
                page = self._store.search(search)
            except StoreUnavailableError as error:
                reason = str(error)
            else:
                if page.complete or (page.after is not None and page.after != search.after):
                    return page
            if pause_s is not None:
                self._sleep(pause_s)
        raise TransferError(f"the store does not answer: {reason}")


def write_sidecar(path: Path, document: dict[str, Any]) -> None:
    """Replace a small JSON file as a whole: after a crash it holds the old content or the new one."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(orjson.dumps(document))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return what :func:`write_sidecar` wrote, None where there is nothing.

    :raises TransferError: something else is there.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise TransferError(f"{path} is damaged; remove it and start without --resume")
    return document


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
