"""``mozdef web``: the web server alone, as a unit of its own."""

from __future__ import annotations

from pathlib import Path

import click

from mozdef_core.services.terminal import config_option, configured, fail


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Run the web server until SIGTERM; ``mozdef serve`` runs it together with the other roles."""
    from mozdef_core.errors import ConfigError
    from mozdef_core.services import compose
    from mozdef_core.services.web import server

    settings = configured(config)
    compose.configure_logging(settings)
    try:
        server.run(settings, lambda: click.echo(f"the web server listens on {settings.web.listen}", err=True))
    except ConfigError as error:
        fail(*error.problems)
