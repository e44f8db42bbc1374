"""``mozdef export``: write stored events to a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mozdef_core.services.cli.search import read_moment, show_query_error
from mozdef_core.services.terminal import config_option, configured, fail, json_option, print_json


@click.command()
@click.argument("query", default="*")
@click.option(
    "--since", help="Begin of the time span: a span back such as 24h, 7d, or an ISO time; default: all."
)
@click.option("--until", help="End of the time span: a span back, or an ISO time; default: all.")
@click.option(
    "--output",
    "-o",
    required=True,
    help="FILE.jsonl, FILE.jsonl.gz, FILE.jsonl.zst or FILE.parquet; - for JSON lines on standard output.",
)
@click.option("--resume", is_flag=True, help="Go on with an export that was interrupted.")
@config_option
@json_option
def command(
    query: str,
    since: str | None,
    until: str | None,
    output: str,
    resume: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Write every stored event that matches a search string to a file, oldest first; * is all.

    The file gets its name when it is complete; until then it is FILE.part. What is received after the start is not
    in it. 'mozdef import' reads it.
    """
    from mozdef_core.errors import QueryError, StoreUnavailableError
    from mozdef_core.event import now_us
    from mozdef_core.services.compose import open_store
    from mozdef_core.services.exporting import Export, Wanted
    from mozdef_core.services.transfer import TransferError

    settings = configured(config)
    try:
        since_us = read_moment(since) if since else None
        until_us = read_moment(until) if until else None
        wanted = Wanted(query, since_us, until_us, now_us())
        wanted.condition()
        if output == "-":
            if resume:
                fail("--resume needs a file; what went to standard output cannot be gone on with")
            with_store(open_store(settings, "reader"), lambda store: _to_stdout(store, wanted))
            return
        export = Export(Path(output), wanted, resume=resume)
        with_store(open_store(settings, "reader"), lambda store: _to_file(store, export))
    except QueryError as error:
        fail(show_query_error(query, error))
    except (TransferError, StoreUnavailableError) as error:
        fail(str(error), *_hint(output))
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{output}: {error.strerror or error}", *_hint(output))
    except KeyboardInterrupt:
        fail("interrupted", *_hint(output), status=130)
    _report(export, as_json)


def with_store(store: Any, use: Any) -> None:
    """Use a store and close it."""
    try:
        use(store)
    finally:
        store.close()


def _hint(output: str) -> list[str]:
    part = Path(output + ".part.json")
    return [f"what is in {output}.part is kept; go on with --resume"] if part.exists() else []


def _to_stdout(store: Any, wanted: Any) -> None:
    from mozdef_core.services.exporting import blocks, lines_of

    try:
        for events, _ in blocks(store, wanted):
            sys.stdout.buffer.write(lines_of(events))
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # head has seen enough
        sys.stdout = None  # or the interpreter complains at its end
        sys.exit(0)


def _to_file(store: Any, export: Any) -> None:
    from mozdef_core.errors import QueryError
    from mozdef_core.services.terminal import progress_bar

    total = None
    if not export.complete:
        try:
            total = store.count(export.wanted.condition(), export.wanted.between)
        except QueryError:  # too many would have to be looked at one by one: the bar then has no end
            total = None
    with progress_bar("events") as progress:
        task = progress.add_task("export", total=total, completed=export.events)
        export.run(store, lambda count: progress.update(task, advance=count))


def _report(export: Any, as_json: bool) -> None:
    path = export.target
    document = {
        "file": str(path),
        "events": None if export.complete else export.events,
        "size_bytes": path.stat().st_size,
        "resumed": export.resumed,
    }
    if as_json:
        print_json(document)
    elif export.complete:
        click.echo(f"{path} is complete already")
    else:
        click.echo(f"{export.events} events are in {path} ({path.stat().st_size} bytes)")
