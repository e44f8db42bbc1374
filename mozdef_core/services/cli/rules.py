"""``mozdef rules``: list and switch the rules, and try them out on their examples and on history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mozdef_core.services.cli import _rules_checks, _rules_schema, _rules_state
from mozdef_core.services.cli.search import read_moment
from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_json,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from mozdef_core.config import Config
    from mozdef_core.host import Plugin
    from mozdef_core.services.backtest import Backtested
    from mozdef_core.services.rule_tests import Result

_SHOWN = 3


@click.group()
def command() -> None:
    """List and switch the rules, and try them out on their examples and on history."""


command.add_command(_rules_state.list_)
command.add_command(_rules_state.show)
command.add_command(_rules_state.enable)
command.add_command(_rules_state.disable)
command.add_command(_rules_checks.coverage)
command.add_command(_rules_checks.lint)
command.add_command(_rules_schema.schema)


@command.command("test")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def test(names: Sequence[str], as_json: bool) -> None:
    """Lead the examples of rules through decoder, mappers and rule, and say which are not as they should be.

    Without a NAME, which may be a pattern such as 'ssh_*', those of all installed rules. Needs no configuration, and
    changes nothing. The status is 1 when an example fails or a rule has none of both kinds.
    """
    from mozdef_core.errors import ConfigError
    from mozdef_core.services.rule_tests import find, run

    try:
        found = find(names)
    except ConfigError as error:
        fail(*error.problems)
    with progress_bar("rules") as bar:
        results = [run(each) for each in bar.track(found, total=len(found))]
    if as_json:
        print_json({"rules": [result.to_dict() for result in results]})
    else:
        _print_results(results)
    if not all(result.passed for result in results):
        raise SystemExit(1)


def _print_results(results: Sequence[Result]) -> None:
    print_table(
        ("rule", "fires", "nearly", "result"),
        (
            (result.rule, result.fires, result.nearly, "ok" if result.passed else "FAILED")
            for result in sorted(results, key=lambda result: result.rule)
        ),
    )
    for result in results:
        for problem in result.problems:
            click.echo(f"{result.rule}: {problem}", err=True)
    failed = sum(not result.passed for result in results)
    fires, nearly = sum(result.fires for result in results), sum(result.nearly for result in results)
    click.echo(
        f"{len(results)} rules, {fires} examples that fire, {nearly} that nearly do; {failed} rules failed"
    )


@command.command("backtest")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--since", default="30d", show_default=True, help="How far back, such as 24h, 30d; or an ISO time."
)
@click.option("--until", help="End of the time span: a duration back, or an ISO time; default: now.")
@click.option(
    "--samples",
    default=_SHOWN,
    show_default=True,
    type=click.IntRange(0, 1_000),
    help="Alerts shown of each rule.",
)
@config_option
@json_option
def backtest(
    names: Sequence[str], since: str, until: str | None, samples: int, config: Path | None, as_json: bool
) -> None:
    """Run rules over history: how often they would have alerted, for whom, on which hosts, and what that costs.

    NAME is an installed rule or a pattern. It need not be enabled, and has the options of its table. Nothing is
    changed.
    """
    from mozdef_core.errors import BookUnavailableError, QueryError, StoreUnavailableError
    from mozdef_core.event import now_us

    settings = configured(config)
    try:
        since_us, until_us = read_moment(since), read_moment(until) if until else now_us()
    except ValueError as error:
        fail(str(error))
    if since_us >= until_us:
        fail(f"--since {since} is not before the end of the span; expected an earlier time")
    rules = _made(settings, names)
    try:
        results = list(_backtested(settings, rules, since_us, until_us))
    except (QueryError, StoreUnavailableError, BookUnavailableError) as error:
        fail(str(error))
    if as_json:
        print_json({"rules": [result.to_dict(samples) for result in results]})
    else:
        _print_backtests(results, samples)
    if any(result.problems for result in results):
        raise SystemExit(1)


def _made(settings: Config, names: Sequence[str]) -> Sequence[Plugin]:
    """Make the rules of these names; what is wrong with one ends the command."""
    from mozdef_core.errors import ConfigError
    from mozdef_core.services.rule_tests import named
    from mozdef_core.services.rule_trial import made_by_name

    try:
        return [made_by_name(name)(settings.alerts.rules.get(name, {})) for name in named(names)]
    except ConfigError as error:
        fail(*error.problems)


def _backtested(
    settings: Config, rules: Sequence[Plugin], since_us: int, until_us: int
) -> Iterator[Backtested]:
    """Run the rules one after the other, with a progress bar over all of them."""
    from mozdef_core.services.backtest import backtest
    from mozdef_core.services.compose import open_book, open_store

    store, book = open_store(settings, "reader"), open_book(settings)
    try:
        with progress_bar("%") as bar:
            task = bar.add_task("", total=100)
            for number, rule in enumerate(rules):

                def show(share: float, done: int = number) -> None:
                    bar.update(task, completed=100 * (done + share) / len(rules))

                yield backtest(rule, store, since_us, until_us, listened=book.listened, progress=show)
    finally:
        book.close()
        store.close()


def _print_backtests(results: Sequence[Backtested], samples: int) -> None:
    print_table(
        ("rule", "alerts", "for whom", "on hosts", "events", "CPU s"),
        (
            (
                result.rule,
                len(result.alerts),
                _most(result.groups),
                _most(result.hosts),
                f"{result.events:,}",
                f"{result.cpu_s:.2f}",
            )
            for result in results
        ),
    )
    for result in results:
        for problem in result.problems:
            click.echo(f"error: {result.rule}: {problem}", err=True)
        if result.inactive:
            click.echo(f"{result.rule} can find nothing as it is configured: {result.inactive}", err=True)
        if result.alerts and samples:
            click.echo(f"\n{result.rule}:")
            print_table(
                ("first seen", "count", "summary"),
                (_row(alert) for alert in result.alerts[:samples]),
            )
            if len(result.alerts) > samples:
                click.echo(f"and {len(result.alerts) - samples} more")


def _row(alert: Any) -> Sequence[object]:
    from mozdef_core.event import isoformat

    return isoformat(alert.first.us)[:19], alert.count, alert.summary


def _most(counts: Mapping[str, int]) -> str:
    """Return the first of some counted names, and how many more there are."""
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:_SHOWN]]
    more = len(counts) - _SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
