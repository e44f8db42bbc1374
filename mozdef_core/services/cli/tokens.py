"""``mozdef tokens``: API tokens for senders and programs."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_json,
    print_table,
)


@click.group()
def command() -> None:
    """Create, list and revoke API tokens."""


@command.command()
@click.argument("label")
@click.option(
    "--scope", "scopes", multiple=True, default=("events:write",), show_default=True, help="What it may do."
)
@click.option("--expires", default="365d", show_default=True, help="How long it lasts, at most a year.")
@config_option
@json_option
def create(label: str, scopes: tuple[str, ...], expires: str, config: Path | None, as_json: bool) -> None:
    """Make a token and print it; it cannot be shown again."""
    from mozdef_core.casework import audit, tokens
    from mozdef_core.event import isoformat
    from mozdef_core.options import span
    from mozdef_core.services.compose import open_book

    user = getpass.getuser()
    try:
        with open_book(configured(config)).database.write() as session:
            token, secret = tokens.create(
                session, label=label, owner=user, scopes=scopes, lasts=span(expires), actor=audit.Actor(user)
            )
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json({**token._asdict(), "token": secret})
    else:
        click.echo(secret)
        click.echo(f"{label}: {', '.join(token.scopes)} until {isoformat(token.expires_us)[:10]}; keep it, it is not "
                   "shown again", err=True)  # fmt: skip


@command.command("list")
@config_option
@json_option
def list_tokens(config: Path | None, as_json: bool) -> None:
    """List tokens, newest first; never the tokens themselves."""
    from mozdef_core.casework import tokens
    from mozdef_core.event import isoformat
    from mozdef_core.services.compose import open_book

    with open_book(configured(config)).database.read() as session:
        found = tokens.collect(session)
    if as_json:
        print_json([token._asdict() for token in found])
        return
    rows = (
        [token.id, token.label, token.owner, ", ".join(token.scopes), isoformat(token.expires_us)[:10],
         isoformat(token.used_us)[:16] if token.used_us else "never", "revoked" if token.revoked_us else ""]
        for token in found
    )  # fmt: skip
    print_table(("id", "label", "owner", "scopes", "expires", "last use", ""), rows)


@command.command()
@click.argument("token")
@config_option
@json_option
def revoke(token: str, config: Path | None, as_json: bool) -> None:
    """End a token, by its id or label."""
    from mozdef_core.casework import audit, tokens
    from mozdef_core.errors import NotFoundError
    from mozdef_core.services.compose import open_book

    try:
        with open_book(configured(config)).database.write() as session:
            ended = tokens.revoke(session, token, audit.Actor(getpass.getuser()))
    except NotFoundError as error:
        fail(str(error))
    print_json(ended._asdict()) if as_json else click.echo(
        f"{ended.label} is revoked, within two seconds everywhere"
    )
