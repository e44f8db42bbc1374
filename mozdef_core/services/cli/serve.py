"""``mozdef serve``: everything on one machine, supervised."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mozdef_core.services.terminal import config_option, fail

if TYPE_CHECKING:
    from mozdef_core.config import Config
    from mozdef_core.services.supervisor import Child, Role


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Start web, worker and scheduler, and keep them running until SIGTERM or control-C.

    Needs no server: events, queue and casework database lie under core.data_dir. A process that dies is started
    again; one that has work in hand when it is told to stop finishes it first.
    """
    # Everything that a role imports is imported here, before the fork, so that the children share its memory.
    from mozdef_core.casework import book, dead_letters, processes, tokens
    from mozdef_core.errors import ConfigError
    from mozdef_core.services import compose, roles
    from mozdef_core.services.startup import run_role, start_up
    from mozdef_core.services.supervisor import Supervisor
    from mozdef_core.services.web import app, ingest, server

    del book, dead_letters, processes, tokens, app, ingest
    settings, notices = start_up(config)
    try:
        compose.open_book(settings).close()
    except ConfigError as error:
        fail(*error.problems)
    named: list[tuple[str, Role]] = [
        ("web", partial(server.run, settings)),
        ("worker", partial(roles.run_worker, settings)),
        ("scheduler", partial(roles.run_scheduler, settings)),
    ]
    supervisor = Supervisor(
        [(name, partial(run_role, role)) for name, role in named],
        on_ready=partial(_announce, settings, notices),
        watch=partial(_stuck, settings),
    )
    sys.exit(supervisor.run())


def _announce(config: Config, notices: Sequence[str]) -> None:
    scheme = "https" if config.web.tls_certificate else "http"
    url = f"{scheme}://{config.web.listen}"
    lines = [f"MozDef is ready: events at {url}/events and {url}/_bulk"]
    for name in config.inputs:
        table = config.input.get(name, {})
        where = ", ".join(
            f"{key} {value}" for key, value in table.items() if key in ("udp", "tcp", "tls", "paths")
        )
        lines.append(
            f"  input {name}: {where or 'as its defaults say (mozdef plugins show ' + config.input_kind(name) + ')'}"
        )
    lines += [f"  note: {notice}" for notice in notices]
    lines += [
        "Next: mozdef demo (plays an attack), mozdef tail (shows events as they arrive),",
        "      mozdef search 'details.program:sshd', mozdef alerts list, mozdef status",
    ]
    click.echo("\n".join(lines))


def _stuck(config: Config, children: Sequence[Child]) -> Sequence[str]:
    """Return the roles that hang in a plugin's call and must be ended from outside."""
    from mozdef_core.inflight import running_calls
    from mozdef_core.services.compose import in_flight_path, suspend_at_start

    names = []
    for child in children:
        for call in running_calls(in_flight_path(config, child.name, child.pid)):
            scheduled = child.name == "scheduler" and call.hook == "alert_match"
            if call.seconds > (config.detection.stuck_s if scheduled else config.health.stuck_s):
                click.echo(
                    f"{child.name} hangs in {call.hook} of plugin {call.plugin} at {call.key} for "
                    f"{call.seconds:.0f} s; it is started again with that plugin suspended",
                    err=True,
                )
                suspend_at_start(config, child.name, call.plugin)
                names.append(child.name)
                break
    return names
