"""The embedded event store whose writer is a process of its own, so that laying out events holds up nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mozdef_core.drivers.store_tantivy import TantivyStore, with_details_as_text
from mozdef_core.drivers.tantivy_writer_process import WriterProcess
from mozdef_core.event import Event
from mozdef_core.options import Field
from mozdef_core.ports import StoreRefusal


class TantivyStoreApart(TantivyStore):
    """Events in partitions under a directory. One process opens it to write, any number to read.

    A :class:`TantivyStore` that reads here and writes in a child process, where it is opened as the writer.

    The writer sees its own events at once, as with any other: the first look after a write opens what is new.
    """

    class Options(TantivyStore.Options):
        """Options in the table ``[store.tantivy]``."""

        writer_process: bool = Field(
            True,
            description="whether the worker has a process of its own write, which needs a second core to gain",
        )

    def __init__(
        self, options: TantivyStoreApart.Options, path: Path, mode: Literal["writer", "reader"]
    ) -> None:
        apart = mode == "writer" and options.writer_process
        self._process: WriterProcess | None = None
        if apart:
            self._process = WriterProcess(path, options.model_dump(exclude={"writer_process"}))
        try:
            super().__init__(options, path, "reader" if apart else mode)
        except BaseException:
            if self._process is not None:
                self._process.close()
            raise

    def write(self, events: Sequence[Event], *, maybe_known: bool = False) -> Sequence[StoreRefusal]:
        """Store events; when this returns they are on stable storage, and this process finds them.

        Waits for the writer without holding up other threads, and costs this process 4 us an event.
        """
        if self._process is None:
            return super().write(events, maybe_known=maybe_known)
        refusals: list[StoreRefusal] = []
        sent: list[Event] = []
        raws: list[bytes] = []
        for event in events:
            try:
                raws.append(_raw(event))
            except (TypeError, ValueError, RecursionError) as error:
                refusals.append(StoreRefusal(event, f"{type(error).__name__}: {error}"))
            else:
                sent.append(event)
        ids = [event.id for event in sent]
        with self._writing:
            doubtful = maybe_known or not self._unsure.isdisjoint(ids)
            try:
                answer = self._process.call({"call": "write", "ids": ids, "maybe_known": doubtful}, raws)
            except BaseException:
                self._unsure.update(ids)
                raise
            finally:
                self._shelf.expire()
            self._unsure.difference_update(ids)
        refusals += [StoreRefusal(sent[place], reason) for place, reason in answer["refusals"]]
        return refusals

    def drop_before(self, day: str, retention_class: str = "default") -> int:
        """Remove every partition of the class whose day of reception is before ``day``, after its merges.

        :raises StoreUnavailableError: a directory could not be moved away, or this process is not the writer.
        """
        if self._process is None:
            return super().drop_before(day, retention_class)
        request = {"call": "drop_before", "day": day, "retention_class": retention_class}
        with self._writing:
            try:
                dropped: int = self._process.call(request)["dropped"]
            finally:
                self._shelf.expire()
        return dropped

    def close(self) -> None:
        """Close all files and let another process write."""
        if self._process is not None:
            self._process.close()
        super().close()


def _raw(event: Event) -> bytes:
    """Return the JSON of an event; its details become one string if need be.

    :raises TypeError, ValueError, RecursionError: it has no JSON in any form.
    """
    try:
        return event.to_json()
    except (TypeError, ValueError, RecursionError):
        if "details" not in event.body:
            raise
        return with_details_as_text(event).to_json()
