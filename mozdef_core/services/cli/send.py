"""``mozdef send``: send events from files or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import click

from mozdef_core.services.terminal import fail, json_option, print_json


@click.command()
@click.argument("files", nargs=-1, type=click.File("rb"))
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Address of the web server.")
@click.option("--format", "form", type=click.Choice(["auto", "json", "text"]), default="auto", show_default=True,
              help="JSON objects, one a line, or lines of text, each the message of an event.")  # fmt: skip
@click.option(
    "--token-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="File with the token."
)
@click.option(
    "--batch", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Events in a request."
)
@click.option("--category", default="", help="Category of the events that do not say one (text only).")
@json_option
def command(
    files: Sequence[IO[bytes]],
    url: str,
    form: str,
    token_file: Path | None,
    batch: int,
    category: str,
    as_json: bool,
) -> None:
    """Send the lines of FILES, or of standard input, as events.

    When the server is busy it waits and goes on, so that nothing is lost; refused lines are listed with the reason.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from mozdef_core.services.sender import Sender, SendError

    token = token_file.read_text(encoding="utf-8").strip() if token_file else None
    sources = list(files) or [sys.stdin.buffer]
    total = _size(sources)
    columns = (
        TextColumn("{task.completed:>12,} bytes"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("send", total=total)
        sender = Sender(url, token, form=form, category=category)
        try:
            for lines, size in _batches(sources, batch):
                sender.send(lines)
                progress.update(task, advance=size)
        except SendError as error:
            fail(str(error), f"{sender.accepted} events were accepted before that")
        finally:
            sender.close()
    summary: dict[str, Any] = {
        "accepted": sender.accepted,
        "rejected": sender.rejected,
        "duplicates": sender.duplicates,
        "errors": sender.errors,
    }
    if as_json:
        print_json(summary)
    else:
        for problem in sender.errors:
            click.echo(f"line {problem['line']}: {problem['reason']}", err=True)
        click.echo(
            f"{sender.accepted} accepted, {sender.rejected} rejected, {sender.duplicates} known already"
        )
    sys.exit(1 if sender.rejected else 0)


def _size(sources: Sequence[IO[bytes]]) -> int | None:
    """Return how many bytes there are to send, None where that cannot be known."""
    try:
        return sum(Path(source.name).stat().st_size for source in sources)
    except (OSError, TypeError):
        return None


def _batches(sources: Sequence[IO[bytes]], most: int) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    """Yield numbered lines that are not blank, and how many bytes were read for them."""
    number = 0
    for source in sources:
        lines: list[tuple[int, bytes]] = []
        size = 0
        for line in source:
            number += 1
            size += len(line)
            if line.strip():
                lines.append((number, line.strip(b"\r\n")))
            if len(lines) == most:
                yield lines, size
                lines, size = [], 0
        if lines or size:
            yield lines, size
