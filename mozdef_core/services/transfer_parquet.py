"""Files of events in Parquet: some columns to select by, and each event whole as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from mozdef_core.errors import InvalidItemError
from mozdef_core.event import Event
from mozdef_core.services.transfer import TransferError
from mozdef_core.services.transfer_files import LONGEST_LINE, Line

ROWS: Final = 10_000
"""Events in a row group: what is held in memory at once, as far as it is below :data:`BYTES`."""
BYTES: Final = 64 << 20
_TEXTS: Final = ("category", "hostname", "severity", "source", "summary")


@contextmanager
def _arrow() -> Iterator[Any]:
    """Lend pyarrow, and say in a sentence what it complains of."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise TransferError(
            "Parquet needs pyarrow, which is not installed: pip install 'mozdef-core[parquet]'"
        ) from None
    try:
        yield pa
    except (pa.ArrowException, OSError) as error:
        raise TransferError(f"Parquet: {error}") from error


def check_installed() -> None:
    """Return if Parquet can be read and written here.

    :raises TransferError: it cannot; with what to install.
    """
    with _arrow():
        return


def _schema(arrow: Any) -> Any:
    moment, text = arrow.timestamp("us", tz="UTC"), arrow.string()
    return arrow.schema(
        [
            arrow.field("id", text, nullable=False),
            ("utctimestamp", moment),
            ("receivedtimestamp", moment),
            *((name, text) for name in _TEXTS),
            ("tags", arrow.list_(text)),
            arrow.field("event", text, nullable=False),
        ]
    )


def write(path: Path, events: Iterable[Event]) -> None:
    """Write events as a Parquet file; every file has the same columns, whatever the events hold.

    :raises TransferError: it could not be written.
    """
    with _arrow() as arrow:
        schema = _schema(arrow)
        with arrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for rows in _groups(events):
                writer.write_table(arrow.Table.from_pylist(rows, schema=schema), row_group_size=len(rows))


def _groups(events: Iterable[Event]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    held = 0
    for event in events:
        rows.append(row := _row(event))
        held += len(row["event"])
        if len(rows) == ROWS or held >= BYTES:
            yield rows
            rows, held = [], 0
    if rows:
        yield rows


def _row(event: Event) -> dict[str, Any]:
    tags = event.body.get("tags")
    return {
        "id": event.id,
        "utctimestamp": _moment(event, "utctimestamp"),
        "receivedtimestamp": _moment(event, "receivedtimestamp"),
        **{name: value if isinstance(value := event.body.get(name), str) else None for name in _TEXTS},
        "tags": [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
        "event": orjson.dumps(event.body).decode(),
    }


def _moment(event: Event, name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(event.text(name))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def count_rows(path: Path) -> int:
    """Return how many events a file holds.

    :raises TransferError: it is no Parquet file.
    """
    with _arrow() as arrow:
        return int(arrow.parquet.read_metadata(path).num_rows)


def read(path: Path) -> Iterator[Line]:
    """Yield each row as the line that an export as JSON lines would have.

    :raises TransferError: it is no Parquet file, is damaged, or lacks the columns ``id`` and ``event``.
    """
    with _arrow() as arrow, arrow.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        for name in ("id", "event"):
            if names.count(name) != 1 or not _is_text(arrow, file.schema_arrow.field(name).type):
                raise TransferError(
                    f"{path}: expected the columns id and event with texts, got {', '.join(names)}"
                )
        number = 0
        for batch in file.iter_batches(batch_size=1_000, columns=["id", "event"]):
            for row in zip(batch.column("id"), batch.column("event"), strict=True):
                number += 1
                yield _line(number, *row)


def _is_text(arrow: Any, kind: Any) -> bool:
    return bool(arrow.types.is_string(kind) or arrow.types.is_large_string(kind))


def _line(number: int, id_scalar: Any, event_scalar: Any) -> Line:
    try:
        event_id, body = id_scalar.as_py(), event_scalar.as_py()
    except UnicodeDecodeError:  # Arrow does not look at what a file calls a text
        return Line(number, b"", InvalidItemError("not-an-event", "id or event is no UTF-8"))
    if event_id is None or body is None:
        return Line(number, b"", InvalidItemError("not-an-event", "id or event is null"))
    raw = b'{"id":%b,"event":%b}' % (orjson.dumps(event_id), body.encode())
    if len(raw) > LONGEST_LINE:
        return Line(number, raw, InvalidItemError("too-large", f"it is longer than {LONGEST_LINE} bytes"))
    return Line(number, raw)
