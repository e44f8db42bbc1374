"""``mozdef worker``: the worker alone, as a unit of its own."""

from __future__ import annotations

from pathlib import Path

import click

from mozdef_core.services.terminal import config_option, configured, fail


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Run the worker until SIGTERM; ``mozdef serve`` runs it together with the other roles."""
    from mozdef_core.errors import ConfigError
    from mozdef_core.services import check, compose
    from mozdef_core.services.roles import run_worker

    settings = configured(config)
    problems = check.problems(settings)
    if problems:
        fail(*problems)
    compose.configure_logging(settings)
    try:
        run_worker(settings, lambda: click.echo("the worker is ready", err=True))
    except ConfigError as error:
        fail(*error.problems)
