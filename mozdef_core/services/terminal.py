"""The terminal: options that commands share, and how they print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import orjson

if TYPE_CHECKING:
    from rich.progress import Progress

    from mozdef_core.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """Add ``--config``."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Configuration file; default: mozdef.toml of the working directory, if there is one.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def configured(path: Path | None) -> Config:
    """Read the configuration; a wrong one ends the command with every problem."""
    from mozdef_core.config import load
    from mozdef_core.errors import ConfigError

    try:
        return load(path, os.environ)
    except ConfigError as error:
        fail(*error.problems)


def fail(*sentences: str, status: int = 1) -> NoReturn:
    """Print what is wrong on standard error and end the command."""
    for sentence in sentences:
        click.echo(f"error: {sentence}", err=True)
    sys.exit(status)


def print_json(value: Any) -> None:
    """Print one JSON document on a line of its own."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


def progress_bar(unit: str) -> Progress:
    """Return a progress bar on standard error, which shows nothing where that is no terminal.

    :param unit: what is counted, such as ``events``.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.completed:>12,.0f} " + unit),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headings; what does not fit the terminal is folded, not cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe("" if cell is None else str(cell))) for cell in row))
    width = None if sys.stdout.isatty() else 200
    Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=width).print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {safe(str(value))}")


def safe(text: str) -> str:
    """Return a text without control characters, which a sender could use to repaint the terminal."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
