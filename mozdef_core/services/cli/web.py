"""``mozdef web``: the web server alone, as a unit of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from mozdef_core.services.terminal import config_option, configured


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Run the web server until SIGTERM; ``mozdef serve`` runs it together with the other roles."""
    from mozdef_core.services import compose
    from mozdef_core.services.startup import run_role
    from mozdef_core.services.web import server

    settings = configured(config)
    compose.configure_logging(settings)
    listening = f"the web server listens on {settings.web.listen}"
    run_role(partial(server.run, settings), lambda: click.echo(listening, err=True))
