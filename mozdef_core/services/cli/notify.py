"""``mozdef notify``: try a notifier, and see who would be told of an alert."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mozdef_core.services.cli.search import read_moment
from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_json,
    print_table,
    safe,
)

if TYPE_CHECKING:
    from mozdef_core.alert import Alert
    from mozdef_core.config import Config
    from mozdef_core.host import Host


@click.group()
def command() -> None:
    """Try a notifier, and see who would be told of an alert."""


@command.command()
@click.argument("notifier", required=False)
@click.option("--channel", help="Where to send it; unset: where a route of it would, or its default.")
@click.option("--severity", default="NOTICE", show_default=True, help="Of the test alert.")
@config_option
@json_option
def test(
    notifier: str | None, channel: str | None, severity: str, config: Path | None, as_json: bool
) -> None:
    """Send a test alert now, past the outbox, by one notifier or by all, and say what happened.

    Without --channel the routes decide as for any other alert. Nothing is tried again and nothing is kept.
    """
    from dataclasses import replace

    from mozdef_core.alert import Occasion
    from mozdef_core.event import now_us
    from mozdef_core.notification_routes import Router
    from mozdef_core.response import notifiers_of
    from mozdef_core.services.compose import close_host

    settings = configured(config)
    host = _host(settings)
    names = notifiers_of(host)
    router, results = Router(settings.notify, names), []
    alert = _alert("mozdef_test", severity, "a test of mozdef notify", ())
    for name in _chosen(notifier, names):
        chosen = (channel, "--channel") if channel is not None else router.decide(name, alert, now_us())
        result: dict[str, Any] = {"notifier": name, "channel": chosen[0], "reason": chosen[1]}
        if chosen[0] is None:
            results.append({**result, "outcome": "not told", "text": chosen[1]})
            continue
        outcome = host.call(
            next(plugin for plugin in host.plugins if plugin.name == name),
            "alert_action",
            alert=replace(alert, channel=chosen[0]),
            occasion=Occasion.RAISED,
            delivery=f"{alert.id}:1:{name}",
        )
        text = "" if outcome.problem is None else ": ".join(outcome.problem)
        results.append({**result, "outcome": "failed" if text else "sent", "text": text})
    close_host(host)
    if as_json:
        print_json({"results": results})
    for result in () if as_json else results:
        where = f" to {result['channel']}" if result["channel"] else " to its default"
        tail = f": {result['text']}" if result["text"] else ""
        place = where if result["outcome"] != "not told" else ""
        click.echo(safe(f"{result['notifier']}: {result['outcome']}{place}{tail}"))
    if any(result["outcome"] == "failed" for result in results):
        fail("not everybody could be told")


@command.command()
@click.argument("alert_id", required=False)
@click.option("--rule", default="mozdef_test", show_default=True, help="Of an alert made up for this.")
@click.option("--severity", default="NOTICE", show_default=True, help="Of an alert made up for this.")
@click.option("--summary", default="a test of mozdef notify", help="Of an alert made up for this.")
@click.option(
    "--tag", "tags", multiple=True, help="Of an alert made up for this; may be given several times."
)
@click.option("--at", default=None, help="At which time, such as 2026-01-31T03:00:00Z; unset: now.")
@config_option
@json_option
def routes(
    alert_id: str | None,
    rule: str,
    severity: str,
    summary: str,
    tags: tuple[str, ...],
    at: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Say which notifiers would be told of an alert, over which channel, and by which route.

    ALERT_ID is an alert of the casework database; without it the alert is made up of the options.
    """
    from mozdef_core.event import now_us
    from mozdef_core.notification_routes import Router
    from mozdef_core.response import notifiers_of
    from mozdef_core.services.compose import close_host

    settings = configured(config)
    host = _host(settings)
    names = notifiers_of(host)
    close_host(host)
    alert = _stored(settings, alert_id) if alert_id else _alert(rule, severity, summary, tags)
    try:
        at_us = now_us() if at is None else read_moment(at)
    except ValueError as error:
        fail(f"--at: {error}")
    router = Router(settings.notify, names)
    rows = [(name, *router.decide(name, alert, at_us)) for name in names]
    if as_json:
        print_json(
            {"routes": [{"notifier": name, "channel": where, "reason": why} for name, where, why in rows]}
        )
        return
    shown = [
        (
            name,
            "no" if where is None else "yes",
            where or ("-" if where is None else "(default)"),
            why,
        )
        for name, where, why in rows
    ]
    print_table(("notifier", "told", "channel", "because"), shown)


def _host(settings: Config) -> Host:
    """Make the enabled plugins, and the host that calls them; there are no events for them to search."""
    from mozdef_core.errors import ConfigError
    from mozdef_core.health import Health
    from mozdef_core.host import Host
    from mozdef_core.notification_routes import Router
    from mozdef_core.response import notifiers_of
    from mozdef_core.services.compose import find_enabled, lend_site
    from mozdef_core.site import Site

    plugins, problems = find_enabled(settings)
    if problems:
        fail(*problems)
    try:
        host = Host(plugins, Health(settings.health.limits()))
        lend_site(host, Site(None, settings.notify.web_url))
        Router(settings.notify, notifiers_of(host))
    except ConfigError as error:
        fail(*error.problems)
    if not notifiers_of(host):
        fail("no notifier is enabled: add one to plugins, such as 'mail', 'apprise' or 'webhook'")
    return host


def _chosen(notifier: str | None, names: list[str]) -> list[str]:
    from mozdef_core.problems import suggestion

    if notifier is None:
        return names
    if notifier not in names:
        fail(f"no notifier {notifier!r} is enabled{suggestion(notifier, names)}")
    return [notifier]


def _alert(rule: str, severity: str, summary: str, tags: tuple[str, ...]) -> Alert:
    """Return an alert that is made up, with an id that nothing has had before."""
    from mozdef_core.alert import Alert, Moment, Severity
    from mozdef_core.event import new_ids, now_us

    try:
        level = Severity(severity.upper())
    except ValueError:
        fail(f"--severity: expected one of {', '.join(Severity)}, got {severity!r}")
    now = now_us()
    moment = Moment(now, new_ids(now, 1)[0])
    return Alert(
        rule, summary, moment, moment, severity=level, tags=tags, id=secrets.token_hex(13), created_us=now
    )


def _stored(settings: Config, alert_id: str) -> Alert:
    from mozdef_core.casework import alerts
    from mozdef_core.errors import NotFoundError
    from mozdef_core.services.compose import open_book

    try:
        with open_book(settings).database.read() as session:
            return alerts.show(session, alert_id).alert
    except NotFoundError as error:
        fail(str(error))
