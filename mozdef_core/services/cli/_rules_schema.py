"""``mozdef rules schema``: the JSON schema of rule files."""

from __future__ import annotations

import json

import click


@click.command("schema")
def schema() -> None:
    """Print the JSON schema of rule files, for editors that complete and check them while they are written."""
    from mozdef_core.services.rule_schema import rule_schema

    click.echo(json.dumps(rule_schema(), indent=2))
