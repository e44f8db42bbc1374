"""``mozdef search``: find stored events."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_json,
    print_table,
    safe,
)

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
    config: Path | None,
    as_json: bool,
) -> None:
    """Find events by a search string such as 'details.username:root AND NOT tags:vpn'; * finds all."""
    from mozdef_core.errors import QueryError, StoreUnavailableError
    from mozdef_core.query.lucene import parse
    from mozdef_core.query.model import Search
    from mozdef_core.services.compose import open_store

    settings = configured(config)
    try:
        between = (read_moment(since), read_moment(until) if until else None)
        condition = parse(query)
        store = open_store(settings, "reader")
        try:
            if count:
                number = store.count(condition, between)
                print_json({"count": number}) if as_json else click.echo(number)
                return
            order = "oldest" if oldest_first else "newest"
            page = store.search(Search(condition, between, order, size, after))  # type: ignore[arg-type]
        finally:
            store.close()
    except QueryError as error:
        fail(show_query_error(query, error))
    except (StoreUnavailableError, ValueError) as error:
        fail(str(error))
    documents = [{"id": event.id, **event.to_dict()} for event in page.events]
    if as_json:
        print_json({"events": documents, "after": page.after, "complete": page.complete})
    elif raw:
        for document in documents:
            print_json(document)
    else:
        print_table(COLUMNS, (row(event) for event in page.events))
        if page.after:
            click.echo(f"more with --after {page.after}", err=True)
        if not page.complete:
            click.echo("the answer is incomplete: the search took too long; narrow it", err=True)


def row(event: Any) -> list[str]:
    """Return an event as a line of a table."""
    return [
        event.text("utctimestamp")[:23],
        event.text("hostname"),
        event.program or event.text("processname"),
        event.text("severity"),
        safe(event.text("summary"))[:500],
    ]


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

    if re.fullmatch(r"\d.*[a-z]", text.strip()):
        return now_us() - int(span(text).total_seconds() * 1_000_000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a span such as 15m, 24h, 7d or an ISO time, got {text!r}") from None
    return microseconds(moment.astimezone() if moment.tzinfo is None else moment)
