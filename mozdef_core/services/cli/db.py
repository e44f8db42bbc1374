"""``mozdef db``: the casework database."""

from __future__ import annotations

from pathlib import Path

import click

from mozdef_core.services.terminal import config_option, configured, json_option, print_json


@click.group()
def command() -> None:
    """Look after the casework database."""


@command.command()
@config_option
@json_option
def upgrade(config: Path | None, as_json: bool) -> None:
    """Bring the database to the schema of this version; ``mozdef serve`` does it at its start."""
    from mozdef_core.casework.migration import HEAD
    from mozdef_core.casework.migration import upgrade as migrate

    settings = configured(config)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    changed = migrate(settings.database_url)
    if as_json:
        print_json({"changed": changed, "revision": HEAD})
    else:
        click.echo(f"the casework database {'was brought to' if changed else 'is at'} revision {HEAD}")
