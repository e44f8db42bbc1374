"""``mozdef tail``: show events as they arrive."""

from __future__ import annotations

import time
from pathlib import Path

import click

from mozdef_core.services.cli.search import row, show_query_error
from mozdef_core.services.terminal import config_option, configured, fail, json_option, print_json

_OVERLAP_US = 10_000_000
_PAGE = 1_000


@click.command()
@click.argument("query", default="*")
@click.option(
    "--lines", "-n", default=10, show_default=True, type=click.IntRange(0, 1_000), help="Events before now."
)
@click.option(
    "--interval", default=1.0, show_default=True, type=click.FloatRange(0.2), help="Seconds between looks."
)
@config_option
@json_option
def command(query: str, lines: int, interval: float, config: Path | None, as_json: bool) -> None:
    """Show the last events that match a search string, then new ones as they arrive, until control-C."""
    from mozdef_core.errors import QueryError, StoreUnavailableError
    from mozdef_core.event import Event, isoformat, now_us
    from mozdef_core.query.lucene import parse
    from mozdef_core.query.model import Range, Search
    from mozdef_core.services.compose import open_store

    settings = configured(config)

    def show(event: Event) -> None:
        if as_json:
            print_json({"id": event.id, **event.to_dict()})
        else:
            click.echo("  ".join(row(event)))

    try:
        condition = parse(query)
        store = open_store(settings, "reader")
        shown: dict[str, int] = {}
        for event in reversed(store.search(Search(condition, size=max(lines, 1))).events[:lines]):
            show(event)
            shown[event.id] = event.received_us
        newest_us = max(shown.values(), default=now_us())
        while True:
            time.sleep(interval)
            store.refresh()
            # By time of reception, with an overlap: events that were committed late must not be passed over.
            arrived = condition & Range("receivedtimestamp", gte=isoformat(newest_us - _OVERLAP_US))
            search: Search | None = Search(arrived, order="oldest", size=_PAGE)
            fresh = []
            while search is not None:
                page = store.search(search)
                fresh += [event for event in page.events if event.id not in shown]
                search = Search(arrived, order="oldest", size=_PAGE, after=page.after) if page.after else None
            for event in sorted(fresh, key=lambda one: one.id):
                show(event)
                shown[event.id] = event.received_us
            newest_us = max(newest_us, max(shown.values(), default=0))
            shown = {key: us for key, us in shown.items() if us >= newest_us - 2 * _OVERLAP_US}
    except QueryError as error:
        fail(show_query_error(query, error))
    except StoreUnavailableError as error:
        fail(str(error))
    except KeyboardInterrupt:
        return
