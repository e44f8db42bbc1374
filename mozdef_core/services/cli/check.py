"""``mozdef check``: everything that is wrong with a configuration, at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from mozdef_core.services.terminal import config_option, json_option, print_json


@click.command()
@config_option
@json_option
def command(config: Path | None, as_json: bool) -> None:
    """Say all that is wrong with the configuration, or what it enables; exit status 1 or 0."""
    from mozdef_core.config import read
    from mozdef_core.services import check

    settings, problems = read(config, os.environ)
    report = check.check(settings)
    problems, notices = list(dict.fromkeys([*problems, *report.problems])), report.notices
    enabled = {
        "plugins": list(settings.plugins),
        "inputs": list(settings.inputs),
        "rules": list(settings.alerts.enabled),
        "store": settings.core.store,
        "queue": settings.core.queue,
        "data_dir": str(settings.data_dir),
        "listen": settings.web.listen,
    }
    if as_json:
        print_json({"ok": not problems, "problems": problems, "notices": notices, "enabled": enabled})
    else:
        for problem in problems:
            click.echo(f"error: {problem}")
        for notice in notices:
            click.echo(f"note: {notice}")
        if not problems:
            for name, value in enabled.items():
                click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
            click.echo("the configuration is right")
    sys.exit(1 if problems else 0)
