"""``mozdef import``: bring exported events back."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_json,
    progress_bar,
    safe,
)

_SILENT_S = 10


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False,
                allow_dash=True))  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with an import of these files that was interrupted.")
@config_option
@json_option
def command(files: Sequence[Path], resume: bool, config: Path | None, as_json: bool) -> None:
    """Bring the events back that 'mozdef export' wrote to FILES; - is standard input.

    They keep their ids and their times of reception and are marked mozdef.replayed; what is stored already is not
    stored again. They go through the queue to the worker, behind the events of the present.
    """
    from mozdef_core.errors import BookUnavailableError, QueueError, StoreUnavailableError
    from mozdef_core.services import compose
    from mozdef_core.services.importing import Import, Positions
    from mozdef_core.services.transfer import TransferError

    if resume and Path("-") in files:
        fail("--resume needs files; standard input can only be begun again, which stores nothing twice")
    settings = configured(config)
    if settings.core.queue == "memory":
        fail("core.queue: 'memory' is seen by the worker alone, so nothing can be imported; use 'sqlite'")
    positions = Positions(settings.data_dir / "imports")
    doing = None
    try:
        book, queue = compose.open_book(settings), compose.open_queue(settings)
        store = compose.open_store(settings, "reader")
        doing = Import(queue, store, settings.retention, lambda: works(book), positions)
        try:
            _note(book, "import", files)
            _run(doing, files, resume)
            working = works(book)
        finally:
            queue.close()
            store.close()
            book.close()
    except (TransferError, QueueError, StoreUnavailableError, BookUnavailableError, OSError) as error:
        _tell(doing)
        fail(str(error), *_hint(doing, files))
    except KeyboardInterrupt:
        _tell(doing)
        fail("interrupted", *_hint(doing, files), status=130)
    positions.forget()
    _report(doing, working, as_json)


def _run(doing: Any, files: Sequence[Path], resume: bool) -> None:
    piped = Path("-") in files
    total = None if piped else sum(path.stat().st_size for path in files)
    with progress_bar("bytes") as progress:
        task = progress.add_task("import", total=total)
        for path in files:
            if path == Path("-"):
                doing.stream(sys.stdin.buffer, lambda count: progress.update(task, advance=count))
            else:
                doing.file(path, lambda count: progress.update(task, advance=count), resume=resume)


def works(book: Any) -> bool:
    """Return whether a worker has given a sign of life lately."""
    from mozdef_core.casework import processes
    from mozdef_core.event import now_us

    with book.database.read() as session:
        reports = processes.reports(session)
    least_us = now_us() - _SILENT_S * 1_000_000
    return any(report.role == "worker" and report.heartbeat_us >= least_us for report in reports)


def _note(book: Any, action: str, files: Sequence[Path]) -> None:
    """Write into the audit trail who brings in what: imported events count as evidence."""
    from mozdef_core.casework import audit

    with book.database.write() as session:
        for path in files:
            change = audit.Change(action, "events", str(path), after={"file": str(path)})
            audit.append(session, audit.Actor(getpass.getuser()), change)


def _tell(doing: Any) -> None:
    """List the lines that are no events."""
    if doing is None:
        return
    for problem in doing.errors:
        click.echo(f"{problem['file']}, line {problem['line']}: {safe(problem['reason'])}", err=True)
    left = sum(doing.per_code.values()) - len(doing.errors)
    if left:
        click.echo(f"and {left} more lines that are no events", err=True)


def _hint(doing: Any, files: Sequence[Path]) -> list[str]:
    if doing is None:
        return []
    again = "begin again" if Path("-") in files else "go on with --resume"
    return [f"{doing.done.queued} events were queued before that; {again}: nothing is stored twice"]


def _report(doing: Any, working: bool, as_json: bool) -> None:
    done = doing.done
    if as_json:
        print_json({**asdict(done), "errors": doing.errors, "codes": dict(doing.per_code), "worker": working})
    else:
        _tell(doing)
        click.echo(f"{done.queued} queued, {done.known} stored already, {done.rejected} rejected")
    if done.queued and not working:
        click.echo(
            "no worker runs: what is queued waits until 'mozdef serve' or 'mozdef worker' is started",
            err=True,
        )
    if done.expired:
        click.echo(
            f"{done.expired} of them are older than [retention] keeps their class and are removed again within ten"
            " minutes; to keep them raise it first and import once more",
            err=True,
        )
    sys.exit(1 if done.rejected else 0)
