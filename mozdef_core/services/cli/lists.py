"""``mozdef lists``: lists of addresses, hosts, users, hashes and texts that searches and rules look into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from mozdef_core.services.cli._casework import opened, when
from mozdef_core.services.terminal import (
    config_option,
    fail,
    json_option,
    print_fields,
    print_json,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from mozdef_core.casework.lists import NamedList

KINDS = ("addresses", "hosts", "users", "hashes", "texts")


@click.group()
def command() -> None:
    """Keep lists that searches and rules look into, as in 'details.sourceipaddress:@scanners'."""


@command.command("list")
@config_option
@json_option
def list_lists(config: Path | None, as_json: bool) -> None:
    """List the lists."""
    from mozdef_core.casework import lists

    with opened(config) as (_, database, _), database.read() as session:
        found = lists.collect(session)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    columns = ("name", "kind", "entries", "changed", "by", "comment")
    rows = (
        [one.name, one.kind, one.entries, when(one.changed_us), one.changed_by, one.comment] for one in found
    )
    print_table(columns, rows)


@command.command()
@click.argument("name")
@click.option("--text", default="", help="Only entries that hold this in value or comment.")
@click.option(
    "--size", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Entries in one page."
)
@click.option("--after", help="Cursor of the page before.")
@config_option
@json_option
def show(name: str, text: str, size: int, after: str | None, config: Path | None, as_json: bool) -> None:
    """Show a list and a page of its entries."""
    from mozdef_core.casework import lists

    with opened(config) as (_, database, _), database.read() as session:
        found = lists.show(session, name)
        page = lists.entries(session, name, after=after, size=size, text=text)
    if as_json:
        print_json({**found._asdict(), "page": [one._asdict() for one in page.entries], "after": page.after})
        return
    print_fields({"name": found.name, "kind": found.kind, "entries": found.entries, "comment": found.comment})
    rows = (
        [one.value, one.source, one.comment, when(one.added_us), when(one.expires_us)] for one in page.entries
    )
    print_table(("value", "source", "comment", "added", "expires"), rows)
    if page.after:
        click.echo(f"more with --after {page.after}", err=True)


@command.command()
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What is in it.")
@click.option("--comment", default="", help="What it is for.")
@config_option
@json_option
def create(name: str, kind: str, comment: str, config: Path | None, as_json: bool) -> None:
    """Make an empty list."""
    from mozdef_core.casework import lists

    with opened(config) as (_, database, actor), database.write() as session:
        made = lists.create(session, name, kind, comment, actor)
    _tell(made, f"{name}: a list of {kind}; rules and searches say field:@{name}", as_json)


@command.command()
@click.argument("name")
@click.argument("values", nargs=-1, required=True)
@click.option(
    "--expires", default="", help="When they end: a span such as 30d, or an ISO time; default: never."
)
@click.option("--comment", default="", help="Why they are in it.")
@click.option("--source", default="", help="Where they come from; default: you.")
@config_option
@json_option
def add(
    name: str,
    values: Sequence[str],
    expires: str,
    comment: str,
    source: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Put values into a list; of those that are in it the rest is replaced."""
    from mozdef_core.casework import lists
    from mozdef_core.services.list_csv import read_expiry

    with opened(config) as (_, database, actor), database.write() as session:
        until_us = read_expiry(expires)
        entries = [lists.Entry(value, source, comment, expires_us=until_us) for value in values]
        added = lists.add(session, name, entries, actor)
    _tell_number({"entries": len(values), "added": added}, f"{added} new in {name}", as_json)


@command.command()
@click.argument("name")
@click.argument("values", nargs=-1, required=True)
@config_option
@json_option
def remove(name: str, values: Sequence[str], config: Path | None, as_json: bool) -> None:
    """Take values out of a list."""
    from mozdef_core.casework import lists

    with opened(config) as (_, database, actor), database.write() as session:
        removed = lists.remove(session, name, values, actor)
    _tell_number({"removed": removed}, f"{removed} removed from {name}", as_json)
    if not removed:
        fail("none of them was in it")


@command.command("import")
@click.argument("name")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@click.option("--replace", is_flag=True, help="In the end only what is in the file is in the list.")
@click.option("--expires", default="", help="When entries end that do not say: a span or an ISO time.")
@config_option
@json_option
def import_list(
    name: str, file: TextIO, replace: bool, expires: str, config: Path | None, as_json: bool
) -> None:
    """Put the entries of a CSV file (- is standard input) into a list, all or none.

    A first line with a column 'value' names the columns, among value, source, comment, added, expires; without one
    the first column is the value and the second the comment.
    """
    from mozdef_core.casework import lists
    from mozdef_core.services.list_csv import InvalidLinesError, read_entries, read_expiry, take_in

    with opened(config) as (_, database, actor):
        until_us = read_expiry(expires)
        with database.read() as session:
            kind = lists.show(session, name).kind
        try:
            entries = list(read_entries(file, kind, until_us))
        except InvalidLinesError as error:
            fail(*error.problems, "nothing was imported")
        with progress_bar("entries") as progress:
            task = progress.add_task("", total=len(entries))
            done = take_in(
                database,
                name,
                entries,
                actor,
                replace=replace,
                taken=lambda number: progress.advance(task, number),
            )
    removed = f", {done.removed} removed" if replace else ""
    _tell_number(done._asdict(), f"{done.entries} read, {done.added} new in {name}{removed}", as_json)


@command.command("export")
@click.argument("name")
@config_option
@json_option
def export_list(name: str, config: Path | None, as_json: bool) -> None:
    """Print all entries of a list as CSV; with --json one document a line."""
    from mozdef_core.services.list_csv import all_entries, write_entries

    with opened(config) as (_, database, _):
        entries = all_entries(database, name)
        if as_json:
            for entry in entries:
                print_json(entry._asdict())
            return
        for line in write_entries(entries):
            click.echo(line, nl=False)


@command.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def delete(name: str, yes: bool, config: Path | None, as_json: bool) -> None:
    """Delete a list with its entries; rules that look into it fail from then on."""
    from mozdef_core.casework import lists

    with opened(config) as (_, database, actor):
        with database.read() as session:
            size = lists.show(session, name).entries
        if not yes:
            click.confirm(f"delete {name} with {size:,} entries?", abort=True, err=True)
        with database.write() as session:
            removed = lists.remove_list(session, name, actor)
    _tell_number({"removed": removed}, f"{name} is deleted, with {removed} entries", as_json)


def _tell(found: NamedList, text: str, as_json: bool) -> None:
    print_json(found._asdict()) if as_json else click.echo(text)


def _tell_number(document: dict[str, int], text: str, as_json: bool) -> None:
    print_json(document) if as_json else click.echo(text)
