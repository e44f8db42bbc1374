"""``mozdef serve``: everything on one machine, supervised."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from mozdef_core.services.terminal import config_option, fail


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Start web, worker and scheduler, and keep them running until SIGTERM or control-C.

    Needs no server: events, queue and casework database lie under core.data_dir. A process that dies is started
    again; one that has work in hand when it is told to stop finishes it first.
    """
    # Everything that a role imports is imported here, before the fork, so that the children share its memory.
    from mozdef_core.casework import book, dead_letters, processes
    from mozdef_core.config import load
    from mozdef_core.errors import ConfigError
    from mozdef_core.services import check, compose, roles
    from mozdef_core.services.supervisor import Supervisor
    from mozdef_core.services.web import server

    del book, dead_letters, processes
    try:
        settings = load(config, os.environ)
        problems = check.problems(settings)
        if problems:
            raise ConfigError(problems)
        compose.configure_logging(settings)
        compose.open_book(settings).close()
    except ConfigError as error:
        fail(*error.problems)
    supervisor = Supervisor(
        [
            ("web", partial(server.run, settings)),
            ("worker", partial(roles.run_worker, settings)),
            ("scheduler", partial(roles.run_scheduler, settings)),
        ],
        on_ready=partial(_announce, settings),
        watch=partial(_stuck, settings),
    )
    sys.exit(supervisor.run())
