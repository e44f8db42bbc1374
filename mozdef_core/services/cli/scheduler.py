"""``mozdef scheduler``: the scheduler alone, as a unit of its own."""

from __future__ import annotations

from pathlib import Path

import click

from mozdef_core.services.terminal import config_option, configured, fail


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Run the scheduler until SIGTERM; ``mozdef serve`` runs it together with the other roles."""
    from mozdef_core.errors import ConfigError
    from mozdef_core.services import check, compose
    from mozdef_core.services.roles import run_scheduler

    settings = configured(config)
    problems = check.problems(settings)
    if problems:
        fail(*problems)
    compose.configure_logging(settings)
    try:
        run_scheduler(settings, lambda: click.echo("the scheduler is ready", err=True))
    except ConfigError as error:
        fail(*error.problems)
