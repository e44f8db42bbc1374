"""``mozdef alerts``: list, show, acknowledge and close alerts."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from mozdef_core.casework.transitions import Step

VERDICTS = ("true_positive", "benign", "false_positive", "duplicate", "undetermined")


@click.group()
def command() -> None:
    """List, show, acknowledge and close alerts."""


@command.command("list")
@click.option(
    "--status", "statuses", multiple=True, help="manual, inProgress, acknowledged, escalated or closed."
)
@click.option("--severity", "severities", multiple=True, help="Such as WARNING; may be given several times.")
@click.option("--rule", help="Name of the rule.")
@click.option("--tag", help="A tag of the alert.")
@click.option("--text", help="Text in the summary.")
@click.option("--since", default="30d", show_default=True, help="How far back, such as 24h; or an ISO time.")
@click.option(
    "--size", default=50, show_default=True, type=click.IntRange(1, 1_000), help="Alerts in one page."
)
@click.option("--after", help="Cursor of the page before.")
@config_option
@json_option
def list_alerts(
    statuses: tuple[str, ...],
    severities: tuple[str, ...],
    rule: str | None,
    tag: str | None,
    text: str | None,
    since: str,
    size: int,
    after: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """List alerts, newest first."""
    from mozdef_core.alert import Status
    from mozdef_core.casework import alerts
    from mozdef_core.services.compose import open_book

    try:
        wanted = alerts.Filter(
            status=[Status(status) for status in statuses],
            severity=[severity.upper() for severity in severities],
            rule=rule,
            tag=tag,
            text=text,
            since_us=read_moment(since),
            size=size,
            after=after,
        )
        with open_book(configured(config)).database.read() as session:
            page = alerts.search(session, wanted)
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json({"alerts": [line.alert.to_dict() for line in page.lines], "after": page.after})
        return
    columns = ("id", "last seen", "severity", "status", "count", "rule", "summary")
    rows = []
    for line in page.lines:
        shown = line.alert.to_dict()
        rows.append(
            [line.alert.id, shown["last_seen"][:19], shown["severity"], shown["status"], line.alert.count,
             line.alert.rule, line.alert.summary]
        )  # fmt: skip
    print_table(columns, rows)
    if page.after:
        click.echo(f"more with --after {page.after}", err=True)


@command.command()
@click.argument("alert_id")
@config_option
@json_option
def show(alert_id: str, config: Path | None, as_json: bool) -> None:
    """Show one alert with its samples, comments and history."""
    from mozdef_core.casework import alerts
    from mozdef_core.errors import NotFoundError
    from mozdef_core.event import isoformat
    from mozdef_core.services.compose import open_book

    try:
        with open_book(configured(config)).database.read() as session:
            sheet = alerts.show(session, alert_id)
    except NotFoundError as error:
        fail(str(error))
    document = sheet.alert.to_dict()
    document["comments"] = [comment._asdict() for comment in sheet.comments]
    document["history"] = [entry._asdict() for entry in sheet.history]
    if as_json:
        print_json(document)
        return
    print_fields(
        {name: value for name, value in document.items() if name not in ("events", "history", "comments")}
    )
    for event in sheet.alert.events:
        click.echo(f"event {event.id}  {event.text('utctimestamp')[:19]}  {safe(event.text('summary'))}")
    for comment in sheet.comments:
        click.echo(f"{isoformat(comment.at_us)[:19]}  {comment.author}: {safe(comment.text)}")
    for entry in sheet.history:
        change = f"{entry.field}: {entry.before} -> {entry.after}" if entry.field else ""
        click.echo(f"{isoformat(entry.at_us)[:19]}  {entry.actor} {entry.action} {safe(change)}")


@command.command()
@click.argument("alert_ids", nargs=-1, required=True)
@click.option("--comment", default="", help="What to note with it.")
@config_option
@json_option
def ack(alert_ids: tuple[str, ...], comment: str, config: Path | None, as_json: bool) -> None:
    """Acknowledge alerts."""
    from mozdef_core.alert import Status
    from mozdef_core.casework.transitions import Step

    _move(alert_ids, Step(Status.ACKNOWLEDGED, comment=comment), config, as_json)


@command.command()
@click.argument("alert_ids", nargs=-1, required=True)
@click.option("--verdict", required=True, type=click.Choice(VERDICTS), help="What it turned out to be.")
@click.option("--reason", help="Why; required for false_positive and duplicate.")
@click.option("--comment", default="", help="What to note with it.")
@config_option
@json_option
def close(
    alert_ids: tuple[str, ...],
    verdict: str,
    reason: str | None,
    comment: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Close alerts with a verdict."""
    from mozdef_core.alert import Status
    from mozdef_core.casework.transitions import Step

    step = Step(Status.CLOSED, comment=comment, verdict=verdict, verdict_reason=reason)
    _move(alert_ids, step, config, as_json)


def _move(alert_ids: tuple[str, ...], step: Step, config: Path | None, as_json: bool) -> None:
    """Take one step with each alert; report each, and end with status 1 if one was refused."""
    from mozdef_core.casework import audit, triage
    from mozdef_core.errors import NotFoundError, TransitionError
    from mozdef_core.services.compose import open_book

    book = open_book(configured(config))
    actor = audit.Actor(getpass.getuser())
    results: list[dict[str, Any]] = []
    for alert_id in alert_ids:
        try:
            with book.database.write() as session:
                alert = triage.set_status(session, alert_id, step, actor)
            results.append({"id": alert_id, "status": alert.status.value})
        except (NotFoundError, TransitionError) as error:
            allowed = list(getattr(error, "allowed", ()))
            results.append({"id": alert_id, "error": str(error), "allowed": allowed})
    book.close()
    if as_json:
        print_json(results)
    else:
        for result in results:
            click.echo(f"{result['id']}  {result.get('status') or 'error: ' + result['error']}")
    if any("error" in result for result in results):
        fail("not every alert was changed")
