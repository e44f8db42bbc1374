"""``mozdef demo``: play an attack, so that a newcomer sees alerts in the first minute."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import click

from mozdef_core.services.terminal import fail, json_option, print_json


@click.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Address of the web server.")
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(0.1, 1000), help="Times real time."
)
@click.option("--seed", default=1, show_default=True, help="The same seed tells the same story.")
@json_option
def command(url: str, speed: float, seed: int, as_json: bool) -> None:
    """Send half a minute of a small company's logs: daily work, and somebody who breaks in.

    The events carry the tag "demo". A root login is part of it, so the rule ssh_root_login raises an alert.
    Told again within the hour in which the server remembers senders' ids, the same story adds nothing; another
    seed tells another one.
    """
    import orjson
    from rich.console import Console
    from rich.progress import Progress

    from mozdef_core.services.sender import Sender, SendError
    from mozdef_core.services.story import ATTACKER, tell

    began = datetime.now(UTC)
    story = list(tell(began, seed))
    sender = Sender(url, None)
    try:
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("the story", total=len(story))
            position = 0
            while position < len(story):
                passed_s = (datetime.now(UTC) - began).total_seconds() * speed
                due = [event for after, event in story[position:] if after.total_seconds() <= passed_s]
                for event in due:
                    if speed > 1:  # nothing may lie in the future
                        event["timestamp"] = datetime.now(UTC).isoformat()
                sender.send([(position + number, orjson.dumps(event)) for number, event in enumerate(due, 1)])
                position += len(due)
                progress.update(task, completed=position)
                time.sleep(0.1)
    except SendError as error:
        fail(str(error))
    finally:
        sender.close()
    if as_json:
        print_json({"accepted": sender.accepted, "duplicates": sender.duplicates, "attacker": ATTACKER})
        return
    again = (
        f", {sender.duplicates} of them again (--seed {seed + 1} tells another story)"
        if sender.duplicates
        else ""
    )
    click.echo(
        f"{sender.accepted} events were sent{again}. The attacker came from {ATTACKER}. Look at it with"
    )
    click.echo("  mozdef alerts list")
    click.echo(f"  mozdef search 'details.sourceipaddress:{ATTACKER}'")
