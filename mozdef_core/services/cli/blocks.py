"""``mozdef blocks``: the IP block list, addresses that firewalls are to shut out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mozdef_core.services.cli._casework import opened, when
from mozdef_core.services.terminal import (
    config_option,
    fail,
    json_option,
    print_json,
    print_table,
)

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
    from mozdef_core.event import now_us

    with opened(config) as (_, database, _), database.read() as session:
        found = blocks.collect(session, now_us(), size)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    rows = (
        [
            one.address,
            when(one.added_us),
            when(one.expires_us),
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
    from mozdef_core.event import now_us
    from mozdef_core.services.compose import open_guard
    from mozdef_core.services.own_addresses import caller_addresses

    asked = blocks.Asked(duration, comment, reference)
    own = caller_addresses()
    with opened(config) as (settings, database, actor):
        now, guard = now_us(), open_guard(settings)
        with database.write() as session:
            found = [
                blocks.add(session, address, asked, guard, actor, now, own=own, confirmed=confirm)
                for address in addresses
            ]
    if as_json:
        print_json([one._asdict() for one in found])
        return
    for one in found:
        end = "until it is lifted" if one.expires_us is None else f"until {when(one.expires_us)}"
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
    with opened(config) as (_, database, actor), database.write() as session:
        lifted = [one for one in addresses if blocks.lift(session, one, actor, now_us())]
    if as_json:
        print_json({"lifted": lifted})
    else:
        for one in lifted:
            click.echo(f"{one} is not blocked any more")
    if missing := [one for one in addresses if one not in lifted]:
        fail(f"not blocked: {', '.join(missing)}")
