"""``mozdef send``: send events from files or standard input."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import click
import orjson

from mozdef_core.services.terminal import fail, json_option, print_json

_MOST_BYTES: Final = 8 * 1024 * 1024  # well below what the server takes in one request


@click.command()
@click.argument("files", nargs=-1, type=click.File("rb"))
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Address of the web server.")
@click.option("--format", "form", type=click.Choice(["auto", "json", "text"]), default="auto", show_default=True,
              help="JSON objects, one a line or in an array, or lines of text, each a message.")  # fmt: skip
@click.option(
    "--token-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="File with the token."
)
@click.option(
    "--batch", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Events in a request."
)
@click.option("--category", default="", help="Category of the events that do not say one (text only).")
@click.option(
    "--ids",
    is_flag=True,
    help="Sending the same lines of the same files again within the hour stores nothing.",
)
@json_option
def command(
    files: Sequence[IO[bytes]],
    url: str,
    form: str,
    token_file: Path | None,
    batch: int,
    category: str,
    ids: bool,
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
        prefix = "/".join(map(_name, sources)) if ids else secrets.token_hex(8)
        sender = Sender(url, token, form=form, category=category, ids=prefix)
        try:
            for lines, size in batches(sources, form, batch):
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
        return sum(Path(_name(source)).stat().st_size for source in sources)
    except OSError:
        return None


def _name(source: IO[bytes]) -> str:
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<stdin>"


def batches(
    sources: Sequence[IO[bytes]], form: str, most: int
) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    """Yield numbered events, at most so many and 8 MiB at once, and how many bytes were read for them."""
    part: list[tuple[int, bytes]] = []
    read = held = 0
    number = 0
    for source in sources:
        for line, size in _lines(source, form):
            number += 1
            read += size
            if not line.strip():
                continue
            part.append((number, line))
            held += len(line)
            if len(part) == most or held >= _MOST_BYTES:
                yield part, read
                part, read, held = [], 0, 0
    if part or read:
        yield part, read


def _lines(source: IO[bytes], form: str) -> Iterator[tuple[bytes, int]]:
    """Yield the lines, or the members of a JSON array, each with how many bytes were read for it."""
    first = source.readline()
    if form != "text" and _opens_array(first):
        text = first + source.read()
        try:
            members = orjson.loads(text)
        except ValueError:
            if form == "json":
                fail(f"{_name(source)}: it begins as a JSON array but is none")
            yield from ((line, len(line) + 1) for line in text.split(b"\n"))
            return
        share = len(text) // max(len(members), 1)
        yield from ((orjson.dumps(member), share) for member in members)
        return
    if first:
        yield first.rstrip(b"\r\n"), len(first)
    for line in source:
        yield line.rstrip(b"\r\n"), len(line)


def _opens_array(line: bytes) -> bool:
    text = line.strip()
    return text == b"[" or (text.startswith(b"[") and text[1:].lstrip()[:1] in (b"{", b"]"))
