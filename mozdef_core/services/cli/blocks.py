"""``mozdef blocks``: the IP block list, addresses that firewalls are to shut out."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from mozdef_core.casework.audit import Actor
    from mozdef_core.casework.block_guard import BlockGuard
    from mozdef_core.casework.database import Database

DURATIONS = ("1hr", "12hr", "1d", "2d", "3d", "1w", "30d", "permanent")


@click.group()
def command() -> None:
    """Keep the list of blocked addresses; searches and rules look into it as @ipblocklist."""


@command.command("list")
@click.option(
    "--size", default=1_000, show_default=True, type=click.IntRange(1, 100_000), help="At most so many."
)
@config_option
@json_option
def list_blocks(size: int, config: Path | None, as_json: bool) -> None:
    """List what is blocked now, newest first."""
    from mozdef_core.casework import blocks
    from mozdef_core.event import isoformat, now_us

    with _opened(config) as (database, _, _), database.read() as session:
        found = blocks.collect(session, now_us(), size)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    rows = (
        [
            one.address,
            isoformat(one.added_us)[:16],
            "never" if one.expires_us is None else isoformat(one.expires_us)[:16],
            one.creator,
            one.comment,
            one.reference,
        ]
        for one in found
    )
    print_table(("address", "added", "expires", "by", "comment", "reference"), rows)


@command.command()
@click.argument("addresses", nargs=-1, required=True)
@click.option(
    "--for", "duration", default="1hr", show_default=True, type=click.Choice(DURATIONS), help="How long."
)
@click.option("--comment", default="", help="Why.")
@click.option("--reference", default="", help="What it refers to, such as a ticket or the id of an alert.")
@click.option(
    "--confirm", is_flag=True, help="Block even an address of this machine, or the one you came from."
)
@config_option
@json_option
def add(
    addresses: Sequence[str],
    duration: str,
    comment: str,
    reference: str,
    confirm: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Block addresses or networks, all or none; one that is blocked gets the later end."""
    from mozdef_core.casework import blocks
    from mozdef_core.event import isoformat, now_us
    from mozdef_core.services.own_addresses import caller_addresses

    asked = blocks.Asked(duration, comment, reference)
    own = caller_addresses()
    with _opened(config) as (database, actor, guard), database.write() as session:
        now = now_us()
        found = [
            blocks.add(session, address, asked, guard, actor, now, own=own, confirmed=confirm)
            for address in addresses
        ]
    if as_json:
        print_json([one._asdict() for one in found])
        return
    for one in found:
        end = "until it is lifted" if one.expires_us is None else f"until {isoformat(one.expires_us)[:16]}"
        click.echo(f"{one.address} is blocked {end}")


@command.command()
@click.argument("addresses", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def lift(addresses: Sequence[str], yes: bool, config: Path | None, as_json: bool) -> None:
    """Block addresses or networks no longer."""
    from mozdef_core.casework import blocks
    from mozdef_core.event import now_us

    if not yes:
        click.confirm(f"lift the block of {', '.join(addresses)}?", abort=True, err=True)
    with _opened(config) as (database, actor, _), database.write() as session:
        lifted = [one for one in addresses if blocks.lift(session, one, actor, now_us())]
    if as_json:
        print_json({"lifted": lifted})
    else:
        for one in lifted:
            click.echo(f"{one} is not blocked any more")
    if missing := [one for one in addresses if one not in lifted]:
        fail(f"not blocked: {', '.join(missing)}")


@contextmanager
def _opened(config: Path | None) -> Iterator[tuple[Database, Actor, BlockGuard]]:
    """Open the casework database; what is refused ends the command."""
    from mozdef_core.casework.audit import Actor
    from mozdef_core.errors import BookUnavailableError
    from mozdef_core.services.compose import open_book, open_guard

    settings = configured(config)
    try:
        with closing(open_book(settings)) as book:
            yield book.database, Actor(getpass.getuser()), open_guard(settings)
    except (ValueError, BookUnavailableError) as error:
        fail(str(error))
