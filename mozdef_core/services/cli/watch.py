"""``mozdef watch``: the watch list, terms that people want to be told of wherever they occur."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mozdef_core.services.cli._casework import opened, when
from mozdef_core.services.terminal import (
    config_option,
    json_option,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    pass

KINDS = ("ip", "network", "domain", "text", "query")


@click.group()
def command() -> None:
    """Keep the watch list: each event in which a term of it occurs is an alert of the rule 'watchlist'."""


@command.command("list")
@click.option("--text", default="", help="Only entries that hold this in content or comment.")
@click.option("--expired", is_flag=True, help="Also those that have ended in the last hour.")
@config_option
@json_option
def list_entries(text: str, expired: bool, config: Path | None, as_json: bool) -> None:
    """List what is watched for, the newest first."""
    from mozdef_core.casework import watch

    with opened(config) as (_, database, _), database.read() as session:
        found = watch.collect(session, text, expired=expired)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    columns = ("id", "content", "kind", "added", "expires", "by", "reference", "hits", "last hit", "comment")
    rows = (
        [
            one.id, f"{one.content} and below" if one.subdomains else one.content, one.kind, when(one.added_us),
            when(one.expires_us), one.creator, one.reference, one.hits,
            when(one.last_hit_us) if one.hits else "", one.comment,
        ]
        for one in found
    )  # fmt: skip
    print_table(columns, rows)


@command.command()
@click.argument("content")
@click.option(
    "--kind", type=click.Choice(KINDS), help="What it is; default: what it looks like, never a query."
)
@click.option("--subdomains", is_flag=True, help="Of a domain: what lies below it counts as well.")
@click.option(
    "--expires",
    default="30d",
    show_default=True,
    help="When it ends: a span such as 7d, an ISO time, or never.",
)
@click.option("--comment", default="", help="Why it is watched for.")
@click.option("--reference", default="", help="Where to read more, such as a ticket.")
@config_option
@json_option
def add(
    content: str,
    kind: str | None,
    subdomains: bool,
    expires: str,
    comment: str,
    reference: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Watch for CONTENT; what is watched for already is extended."""
    from mozdef_core.casework import watch
    from mozdef_core.services.list_csv import read_expiry

    with opened(config) as (_, database, actor), database.write() as session:
        term = watch.Term(content, kind or "", subdomains, read_expiry(expires), comment, reference)
        made = watch.add(session, term, actor)
    until = when(made.expires_us)
    print_json(made._asdict()) if as_json else click.echo(
        f"{made.id}: the {made.kind} {made.content} is watched for; it ends: {until}"
    )


@command.command()
@click.argument("entry")
@config_option
@json_option
def remove(entry: str, config: Path | None, as_json: bool) -> None:
    """Watch no more for ENTRY, an id or a content."""
    from mozdef_core.casework import watch

    with opened(config) as (_, database, actor), database.write() as session:
        gone = watch.remove(session, entry, actor)
    if as_json:
        print_json([one._asdict() for one in gone])
        return
    for one in gone:
        click.echo(f"{one.content} is not watched for any more; it was met {one.hits} times")
