"""What ``mozdef search`` prints with ``--by`` or ``--histogram``: how many events match, by group and by time."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from mozdef_core.services.terminal import print_json, print_table, safe

if TYPE_CHECKING:
    from mozdef_core.ports import Between, EventStore
    from mozdef_core.query.aggregations import Aggregation, Result
    from mozdef_core.query.model import Query

LIMIT: Final = 10
_NAME: Final = "counts"


class Wanted(NamedTuple):
    """What to count by.

    :param by: fields, the outermost first.
    :param limit: how many groups of each field are shown.
    :param interval: of time, around the groups; None for none.
    """

    by: Sequence[str]
    limit: int
    interval: str | None
    time_zone: str


class Counted(NamedTuple):
    """The lines to print.

    :param total_groups: how many groups there are by the outermost field; None when there is a histogram around it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int]]
    total_groups: int | None


def count(store: EventStore, wanted: Wanted, query: Query, between: Between) -> Counted:
    """Ask a store.

    :raises QueryError: fields or interval make no sense, or there is too much to count.
    """
    from mozdef_core.aggregation import aggregate
    from mozdef_core.query.aggregations import DateHistogram, Groups, TermsAgg

    inner: dict[str, Aggregation] = {}
    for field in reversed(wanted.by):
        inner = {_NAME: TermsAgg(field, wanted.limit, sub=inner)}
    if wanted.interval is not None:
        inner = {_NAME: DateHistogram(wanted.interval, wanted.time_zone, sub=inner)}
    answer = aggregate(store, inner, query, between)
    outermost = answer[_NAME]
    return Counted(
        [*(["time"] if wanted.interval else []), *wanted.by, "count"],
        list(_rows(answer, wanted.time_zone, len(wanted.by) - (wanted.interval is None))),
        outermost.total_groups if isinstance(outermost, Groups) else None,
    )


def _rows(answer: Mapping[str, Result], time_zone: str, deeper: int) -> Iterator[list[str | int]]:
    """Yield a line for each innermost bucket: what leads to it, and its count.

    :param deeper: how many levels stand below this one; an interval without events has nothing on them, and no line.
    """
    result: Any = answer[_NAME]
    for bucket in result.buckets:
        name = bucket.key if hasattr(bucket, "key") else _moment(bucket.start_us, time_zone)
        if not deeper:
            yield [name, bucket.count]
        elif bucket.sub:
            yield from ([name, *row] for row in _rows(bucket.sub, time_zone, deeper - 1))


def _moment(us: int, time_zone: str) -> str:
    from mozdef_core.errors import QueryError
    from mozdef_core.query.calendar import read_zone

    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
        return moment.astimezone(read_zone(time_zone)).isoformat()
    except OverflowError:
        raise QueryError(
            f"interval: one begins at {us} (microseconds since 1970), beyond the years 1 to 9999; "
            "take a shorter interval or a later time"
        ) from None


def show(counted: Counted, form: str) -> None:
    """Print what was counted as table, JSON or CSV."""
    if form == "json":
        rows = [dict(zip(counted.columns, row, strict=True)) for row in counted.rows]
        print_json({"rows": rows, "total_groups": counted.total_groups})
    elif form == "csv":
        print_csv(counted.columns, counted.rows)
    else:
        print_table(counted.columns, counted.rows)
    shown = len({row[0] for row in counted.rows})
    if form != "json" and counted.total_groups is not None and counted.total_groups > shown:
        click.echo(f"{shown} of {counted.total_groups} groups; more with --limit", err=True)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headings as CSV (RFC 4180): values as they are, but made safe for a terminal."""
    written = safe if sys.stdout.isatty() else str
    lines = io.StringIO()
    writer = csv.writer(lines)
    for row in (columns, *rows):
        writer.writerow([written(str(cell)) for cell in row])
    click.echo(lines.getvalue(), nl=False, color=True)  # True: leave escape sequences in a file alone
