"""``mozdef exceptions``: what rules are not to see, with an owner, a reason and an end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mozdef_core.services.cli._casework import opened, when
from mozdef_core.services.terminal import (
    config_option,
    fail,
    json_option,
    print_fields,
    print_json,
    print_table,
    safe,
)

if TYPE_CHECKING:
    from mozdef_core.casework.exceptions import Kept
    from mozdef_core.services.exception_preview import Preview

Command = TypeVar("Command", bound=Callable[..., Any])


def _scope_options(command: Command) -> Command:
    """Add the options that say which rules."""
    for name, text in (
        ("--tag", "For rules that put this tag on their alerts."),
        ("--rule", "For one rule."),
    ):
        command = click.option(name, metavar="NAME", help=text)(command)
    return click.option("--all-rules", is_flag=True, help="For all rules.")(command)


@click.group()
def command() -> None:
    """Make, preview and end exceptions: events that rules are not to count."""


@command.command("list")
@click.option("--expired", is_flag=True, help="Those too that have ended.")
@config_option
@json_option
def list_exceptions(expired: bool, config: Path | None, as_json: bool) -> None:
    """List exceptions, those that end first before the others."""
    from mozdef_core.casework import exceptions
    from mozdef_core.event import now_us

    with opened(config) as site, site.database.read() as session:
        found = exceptions.collect(session, expired=expired)
    if as_json:
        print_json([_document(one) for one in found])
        return
    columns = ("id", "for", "query", "owner", "reason", "ends", "removed", "")
    now = now_us()
    rows = (
        [
            one.id,
            _scope(one),
            one.query,
            one.owner,
            one.reason,
            when(one.expires_us),
            one.hits,
            one.state(now),
        ]
        for one in found
    )
    print_table(columns, rows)


@command.command()
@click.argument("exception_id")
@config_option
@json_option
def show(exception_id: str, config: Path | None, as_json: bool) -> None:
    """Show an exception, what it has removed, and who changed it."""
    from mozdef_core.casework import audit, exceptions

    with opened(config) as site, site.database.read() as session:
        found = exceptions.show(session, exception_id)
        history = audit.entries(session, "exception", exception_id)
    document = {**_document(found), "history": [entry._asdict() for entry in history]}
    if as_json:
        print_json(document)
        return
    print_fields({name: value for name, value in document.items() if name not in ("samples", "history")})
    for sample in found.samples:
        click.echo(f"removed {sample['event']}  {when(sample['at_us'])}  {safe(sample['rule'])}")
    for entry in history:
        click.echo(f"{when(entry.at_us)}  {entry.actor} {entry.action} {entry.field or ''}")


@command.command()
@click.argument("query")
@_scope_options
@click.option("--reason", required=True, help="Why.")
@click.option("--owner", help="Who answers for it; default: you.")
@click.option("--starts", default="", help="For events received from then on; default: now.")
@click.option(
    "--expires", required=True, help="And before then: a span such as 90d, or an ISO time; at most a year."
)
@config_option
@json_option
def create(
    query: str,
    all_rules: bool,
    rule: str | None,
    tag: str | None,
    reason: str,
    owner: str | None,
    starts: str,
    expires: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Make an exception for events that match a search string; 'preview' shows first what it would have hidden."""
    from mozdef_core.casework import exceptions
    from mozdef_core.casework.list_book import ListBook
    from mozdef_core.event import now_us
    from mozdef_core.services.list_csv import read_expiry

    scope, target = _asked(all_rules, rule, tag)
    with opened(config) as site:
        now = now_us()
        wanted = exceptions.Wanted(
            scope,
            target,
            query,
            owner or site.actor.name,
            reason,
            read_expiry(starts, now) or now,
            read_expiry(expires, now) or 0,
        )
        with site.database.write() as session:
            made = exceptions.create(session, wanted, ListBook(site.database), site.actor)
    _tell(made, f"{made.id}: for {_scope(made)} until {when(made.expires_us)}", as_json)


@command.command("preview")
@click.argument("query")
@_scope_options
@config_option
@json_option
def show_preview(
    query: str, all_rules: bool, rule: str | None, tag: str | None, config: Path | None, as_json: bool
) -> None:
    """Show what an exception would have hidden in the last 30 days; changes nothing."""
    from mozdef_core.casework.list_book import ListBook
    from mozdef_core.errors import StoreUnavailableError
    from mozdef_core.services.compose import open_store
    from mozdef_core.services.exception_preview import preview

    scope, target = _asked(all_rules, rule, tag)
    with opened(config) as site:
        try:
            with closing(open_store(site.settings, "reader")) as store:
                found = preview(
                    store, site.database, ListBook(site.database), scope=scope, target=target, query=query
                )
        except StoreUnavailableError as error:
            fail(str(error))
    if as_json:
        samples = [{"id": event.id, **event.to_dict()} for event in found.samples]
        print_json({**found._asdict(), "rules": [one._asdict() for one in found.rules], "samples": samples})
    else:
        _print_preview(found)


def _print_preview(found: Preview) -> None:
    from mozdef_core.services.cli.search import COLUMNS, row

    click.echo(f"{found.matching:,} events match, received since {when(found.since_us)}")
    if found.rules:
        columns = ("rule", "alerts with such events", "alerts with nothing else", "such events kept")
        print_table(columns, found.rules)
    else:
        click.echo("no alert of these rules keeps such an event")
    if found.samples:
        print_table(COLUMNS, (row(event) for event in found.samples))


@command.command()
@click.argument("exception_id")
@config_option
@json_option
def end(exception_id: str, config: Path | None, as_json: bool) -> None:
    """End an exception now; it stays in the list of expired ones."""
    from mozdef_core.casework import exceptions

    with opened(config) as site, site.database.write() as session:
        ended = exceptions.end(session, exception_id, site.actor)
    _tell(ended, f"{exception_id} has ended; its rules see such events again within seconds", as_json)


def _asked(all_rules: bool, rule: str | None, tag: str | None) -> tuple[str, str]:
    """Return the scope and its target."""
    given = [("all", "")] if all_rules else []
    given += [(name, value) for name, value in (("rule", rule), ("tag", tag)) if value]
    if len(given) != 1:
        raise click.UsageError("say for which rules: one of --rule NAME, --tag NAME, --all-rules")
    return given[0]


def _scope(kept: Kept) -> str:
    return f"{kept.scope} {kept.target}" if kept.target else "all rules"


def _document(kept: Kept) -> dict[str, Any]:
    from mozdef_core.event import now_us

    return {**kept._asdict(), "state": kept.state(now_us())}


def _tell(kept: Kept, text: str, as_json: bool) -> None:
    print_json(_document(kept)) if as_json else click.echo(text)
