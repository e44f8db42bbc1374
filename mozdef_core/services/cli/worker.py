"""``mozdef worker``: the worker alone, as a unit of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from mozdef_core.services.terminal import config_option


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Run the worker until SIGTERM; ``mozdef serve`` runs it together with the other roles."""
    from mozdef_core.services.roles import run_worker
    from mozdef_core.services.startup import run_role, start_up

    settings, _ = start_up(config)
    run_role(partial(run_worker, settings), lambda: click.echo("the worker is ready", err=True))
