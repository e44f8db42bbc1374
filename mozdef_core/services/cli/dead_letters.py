"""``mozdef dead-letters``: what could not become a stored event, and how to try again."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import click

from mozdef_core.services.cli.search import read_moment
from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_fields,
    print_json,
    print_table,
    safe,
)


@click.group()
def command() -> None:
    """List, show, replay and discard dead letters."""


def _filters(function: Any) -> Any:
    for option in (
        click.option("--code", help="Machine code, such as invalid-json."),
        click.option("--input", "entrance", help="Name of the input or entrance."),
        click.option("--since", default="30d", show_default=True, help="How far back; or an ISO time."),
    ):
        function = option(function)
    return function


@command.command("list")
@_filters
@click.option("--status", type=click.Choice(["open", "replayed", "discarded"]), help="Only of this status.")
@click.option(
    "--size", default=50, show_default=True, type=click.IntRange(1, 1_000), help="Letters in one page."
)
@click.option("--after", help="Cursor of the page before.")
@config_option
@json_option
def list_letters(
    code: str | None,
    entrance: str | None,
    since: str,
    status: str | None,
    size: int,
    after: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """List dead letters, newest first."""
    from mozdef_core.casework import dead_letters
    from mozdef_core.event import isoformat
    from mozdef_core.services.compose import open_book

    try:
        wanted = dead_letters.Filter(code, entrance, status, read_moment(since), size=size, after=after)
        with open_book(configured(config)).database.read() as session:
            page = dead_letters.search(session, wanted)
            counts = dead_letters.counts(session)
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json(
            {"letters": [shown(letter) for letter in page.letters], "after": page.after, "counts": counts}
        )
        return
    rows = (
        [letter.id, isoformat(letter.received_us)[:19], letter.origin.name, letter.stage, letter.code, letter.status,
         letter.reason]
        for letter in page.letters
    )  # fmt: skip
    print_table(("id", "received", "input", "stage", "code", "status", "reason"), rows)
    click.echo(", ".join(f"{name}: {number}" for name, number in counts.items()), err=True)


def shown(letter: Any) -> dict[str, Any]:
    """Return a dead letter as event-format.md section 4.3 has it; bytes that are no UTF-8 as Base64.

    One that was cut says how many bytes were received; None where an older version did not note it.
    """
    import base64

    from mozdef_core.event import isoformat

    try:
        raw = {"raw": letter.raw.decode()}
    except UnicodeDecodeError:
        raw = {"raw_base64": base64.b64encode(letter.raw).decode()}
    return {
        "id": letter.id,
        "receivedtimestamp": isoformat(letter.received_us),
        "input": {"name": letter.origin.name, "kind": letter.origin.kind, "peer": letter.origin.peer},
        "stage": letter.stage,
        "code": letter.code,
        "reason": letter.reason,
        "plugin": letter.plugin,
        "attempts": letter.attempts,
        "status": letter.status,
        "replayed_as": list(letter.replayed_as),
        **_cut(letter),
        **raw,
    }


def _cut(letter: Any) -> dict[str, int | None]:
    if letter.received_bytes is None:
        return {}
    return {"received_bytes": letter.received_bytes if letter.received_bytes > len(letter.raw) else None}


@command.command()
@click.argument("letter_id")
@config_option
@json_option
def show(letter_id: str, config: Path | None, as_json: bool) -> None:
    """Show one dead letter with the bytes that were received."""
    from mozdef_core.casework import dead_letters
    from mozdef_core.errors import NotFoundError
    from mozdef_core.services.compose import open_book

    try:
        with open_book(configured(config)).database.read() as session:
            document = shown(dead_letters.show(session, letter_id))
    except NotFoundError as error:
        fail(str(error))
    print_json(document) if as_json else print_fields(
        {key: safe(str(value)) for key, value in document.items()}
    )


@command.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All open ones that match the filters.")
@_filters
@config_option
@json_option
def replay(
    letter_ids: tuple[str, ...],
    everything: bool,
    code: str | None,
    entrance: str | None,
    since: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Put dead letters into the queue again, as they were received, with their first time of reception.

    One of which only a part is kept cannot be replayed: it is named, the others are replayed, the exit status is 1.
    """
    from mozdef_core.casework import audit
    from mozdef_core.errors import NotFoundError, QueueError
    from mozdef_core.services.compose import open_book, open_queue

    if bool(letter_ids) == everything:
        fail("name the letters to replay, or give --all")
    settings = configured(config)
    book = open_book(settings)
    actor = audit.Actor(getpass.getuser())
    try:
        queue = open_queue(settings)
        chosen = list(letter_ids) if letter_ids else _open_ones(book, code, entrance, read_moment(since))
        refused = _queue_again(book, queue, chosen, actor)
        queue.close()
    except (NotFoundError, QueueError, ValueError) as error:
        fail(str(error))
    queued = [letter_id for letter_id in chosen if letter_id not in refused]
    if as_json:
        print_json({"queued": queued, "refused": refused})
    else:
        click.echo(
            f"{len(queued)} dead letters are in the queue again; see 'mozdef dead-letters list' in a moment"
        )
    if refused:
        fail(*refused.values())


def _queue_again(book: Any, queue: Any, letter_ids: list[str], actor: Any) -> dict[str, str]:
    """Put letters into the queue, and return why some cannot be replayed, by id; nothing is noted about those."""
    from mozdef_core.casework import dead_letters

    refused = {}
    for letter_id in letter_ids:
        try:
            with book.database.write() as session:
                letter = dead_letters.start_replay(session, letter_id, actor)
                queue.put([dead_letters.as_item(letter)])
        except ValueError as error:
            refused[letter_id] = str(error)
    return refused


def _open_ones(book: Any, code: str | None, entrance: str | None, since_us: int) -> list[str]:
    from mozdef_core.casework import dead_letters

    ids: list[str] = []
    after: str | None = None
    while True:
        wanted = dead_letters.Filter(code, entrance, "open", since_us, size=500, after=after)
        with book.database.read() as session:
            page = dead_letters.search(session, wanted)
        ids.extend(letter.id for letter in page.letters)
        after = page.after
        if after is None:
            return ids


@command.command()
@click.argument("letter_ids", nargs=-1, required=True)
@config_option
@json_option
def discard(letter_ids: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Note that nothing will come of dead letters; they are kept until their time is up."""
    from mozdef_core.casework import audit, dead_letters
    from mozdef_core.errors import NotFoundError
    from mozdef_core.services.compose import open_book

    try:
        with open_book(configured(config)).database.write() as session:
            for letter_id in letter_ids:
                dead_letters.discard(session, letter_id, audit.Actor(getpass.getuser()))
    except NotFoundError as error:
        fail(str(error))
    print_json({"discarded": list(letter_ids)}) if as_json else click.echo(f"{len(letter_ids)} discarded")
