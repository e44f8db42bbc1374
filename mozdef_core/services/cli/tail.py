"""``mozdef tail``: show events as they arrive."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from mozdef_core.services.cli.search import row, show_query_error
from mozdef_core.services.terminal import config_option, configured, fail, json_option, print_json


@click.command()
@click.argument("query", default="*")
@click.option(
    "--lines", "-n", default=10, show_default=True, type=click.IntRange(0, 1_000), help="Events before now."
)
@click.option(
    "--interval", default=0.5, show_default=True, type=click.FloatRange(0.2), help="Seconds between looks."
)
@config_option
@json_option
def command(query: str, lines: int, interval: float, config: Path | None, as_json: bool) -> None:
    """Show the last events that match a search string, then new ones as they arrive, until control-C."""
    from mozdef_core.errors import QueryError, QueueError, StoreUnavailableError
    from mozdef_core.query.lucene import parse
    from mozdef_core.services.compose import open_queue, open_store
    from mozdef_core.services.tailing import Tail, oldest
    from mozdef_core.services.transfer import TransferError

    settings = configured(config)
    try:
        condition = parse(query)
        tail = Tail(open_store(settings, "reader"), condition, oldest(open_queue(settings)))
        _show(tail.begin(lines), as_json)
        while True:
            time.sleep(interval)
            _show(tail.look(), as_json)
    except QueryError as error:
        fail(show_query_error(query, error))
    except (StoreUnavailableError, QueueError, TransferError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        return


def _show(events: Any, as_json: bool) -> None:
    for event in events:
        if as_json:
            print_json({"id": event.id, **event.to_dict()})
        else:
            click.echo("  ".join(row(event)))
