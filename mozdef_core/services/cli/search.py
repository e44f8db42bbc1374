"""``mozdef search``: find stored events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mozdef_core.services.counts import LIMIT, Wanted, print_csv, show
from mozdef_core.services.counts import count as count_by
from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_json,
    print_table,
    safe,
)

if TYPE_CHECKING:
    from mozdef_core.event import Event
    from mozdef_core.ports import Between, EventStore, Page
    from mozdef_core.query.model import Query

COLUMNS = ("time", "host", "program", "severity", "summary")


@click.command()
@click.argument("query", default="*")
@click.option(
    "--since", default="24h", show_default=True, help="How far back, such as 15m, 24h, 7d; or an ISO time."
)
@click.option("--until", help="End of the time span: a duration back, or an ISO time; default: now.")
@click.option(
    "--size", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Events in one page."
)
@click.option("--after", help="Cursor of the page before.")
@click.option("--oldest-first", is_flag=True, help="Oldest events first.")
@click.option("--raw", is_flag=True, help="Print whole events, one JSON document a line.")
@click.option("--count", is_flag=True, help="Print only how many events match.")
@click.option(
    "--by", multiple=True, metavar="FIELD", help="Count by the values of a field; again for each in turn."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    help=f"Groups of each field, the largest first; default: {LIMIT}.",
)
@click.option(
    "--histogram", metavar="INTERVAL", help="Count by time: 30s, 15m, 6h, 7d, or hour, day, week, month."
)
@click.option(
    "--time-zone", default="UTC", show_default=True, help="Whose days and hours, such as Europe/Madrid."
)
@click.option("--format", "form", type=click.Choice(("table", "json", "csv")), help="Default: table.")
@config_option
@json_option
def command(
    query: str,
    since: str,
    until: str | None,
    size: int,
    after: str | None,
    oldest_first: bool,
    raw: bool,
    count: bool,
    by: Sequence[str],
    limit: int | None,
    histogram: str | None,
    time_zone: str,
    form: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Find events by a search string such as 'details.username:root AND NOT tags:vpn'; * finds all."""
    form = _form(form, as_json)
    wanted = None
    if by or histogram:
        _refuse_together("--by and --histogram", {"--count": count, "--raw": raw, "--after": after})
        wanted = Wanted(_different(by), limit or LIMIT, histogram, time_zone)
    elif limit is not None:
        raise click.UsageError("--limit is about groups and needs --by; for events it is --size")
    if count or raw:
        _refuse_together("--count and --raw", {"--format csv": form == "csv", "--count --raw": count and raw})

    from mozdef_core.query.model import Search
    from mozdef_core.services.hints import unknown_fields

    with _reading(query, since, until, config) as (store, condition, between):
        if wanted is not None:
            counted = count_by(store, wanted, condition, between)
            show(counted, form)
            found = any(row[-1] for row in counted.rows)
        elif count:
            number = store.count(condition, between)
            print_json({"count": number}) if form == "json" else click.echo(number)
            found = number > 0
        else:
            order = "oldest" if oldest_first else "newest"
            page = store.search(Search(condition, between, order, size, after))  # type: ignore[arg-type]
            _print_page(page, "raw" if raw and form != "json" else form)
            found = bool(page.events) or not page.complete
        if not found:
            for hint in unknown_fields(store, condition, between, by):
                click.echo(hint, err=True)


@contextmanager
def _reading(
    query: str, since: str, until: str | None, config: Path | None
) -> Iterator[tuple[EventStore, Query, Between]]:
    """Open the store and read what to look for; what is wrong with either ends the command."""
    from mozdef_core.errors import QueryError, StoreUnavailableError
    from mozdef_core.query.lucene import read
    from mozdef_core.services.compose import open_store

    settings = configured(config)
    try:
        between = (read_moment(since), read_moment(until) if until else None)
        condition, warnings = read(query)
        for warning in warnings:
            click.echo(warning, err=True)
        store = open_store(settings, "reader")
        try:
            yield store, condition, between
        finally:
            store.close()
    except QueryError as error:
        fail(show_query_error(query, error))
    except (StoreUnavailableError, ValueError) as error:
        fail(str(error))


def _print_page(page: Page, form: str) -> None:
    documents = ({"id": event.id, **event.to_dict()} for event in page.events)
    if form == "json":
        print_json({"events": list(documents), "after": page.after, "complete": page.complete})
        return
    if form == "raw":
        for document in documents:
            print_json(document)
        return
    if form == "csv":
        print_csv(("id", *COLUMNS), ([event.id, *columns(event)] for event in page.events))
    else:
        print_table(COLUMNS, (row(event) for event in page.events))
    if page.after:
        click.echo(f"more with --after {page.after}", err=True)
    if not page.complete:
        click.echo("the answer is incomplete: the search took too long; narrow it", err=True)


def _form(form: str | None, as_json: bool) -> str:
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} exclude one another")
    return "json" if as_json else form or "table"


def _refuse_together(name: str, others: Mapping[str, object]) -> None:
    given = [other for other, value in others.items() if value]
    if given:
        raise click.UsageError(f"{name} cannot go with {', '.join(given)}")


def _different(fields: Sequence[str]) -> Sequence[str]:
    for field in fields:
        if fields.count(field) > 1:
            raise click.UsageError(f"--by {field} is given more than once")
    return fields


def columns(event: Event) -> list[str]:
    """Return an event as a line of :data:`COLUMNS`, values as they are."""
    return [
        event.text("utctimestamp"),
        event.text("hostname"),
        event.program or event.text("processname"),
        event.text("severity"),
        event.text("summary"),
    ]


def row(event: Event) -> list[str]:
    """Return an event as a line of a table."""
    time, host, program, severity, summary = columns(event)
    return [time[:23], host, program, severity, safe(summary)[:500]]


def show_query_error(query: str, error: Any) -> str:
    """Return what is wrong with a search string, with the place marked under it."""
    if error.position is None:
        return str(error)
    return f"{error}\n  {safe(query)}\n  {' ' * error.position}^"


def read_moment(text: str) -> int:
    """Return a moment in microseconds since 1970: a span before now such as ``24h``, or an ISO time.

    :raises ValueError: with what would be right.
    """
    from mozdef_core.event import microseconds, now_us
    from mozdef_core.options import span

    try:
        if re.fullmatch(r"\d.*[a-z]", text.strip()):
            return now_us() - int(span(text).total_seconds() * 1_000_000)
        moment = datetime.fromisoformat(text)
        return microseconds(moment.astimezone() if moment.tzinfo is None else moment)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a span such as 15m, 24h, 7d or an ISO time, got {text!r}") from None
