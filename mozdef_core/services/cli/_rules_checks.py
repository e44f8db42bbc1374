"""``mozdef rules coverage`` and ``mozdef rules lint``: whether the rules would notice what they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

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
    from mozdef_core.casework.book import SqlBook
    from mozdef_core.config import Config
    from mozdef_core.exemptions import Exemption
    from mozdef_core.host import Plugin
    from mozdef_core.ports import EventStore
    from mozdef_core.services.rule_coverage import Candidate, Coverage
    from mozdef_core.services.rule_lint import Remark, Surroundings

Command = TypeVar("Command", bound=Callable[..., Any])


def _codes(_context: click.Context, _option: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    """Refuse codes that there are not; they are only imported when somebody names one."""
    for value in values:
        from mozdef_core.services.rule_lint import CODES

        if value not in CODES:
            raise click.BadParameter(f"{value!r} is none of {', '.join(CODES)}")
    return values


def _since_option(command: Command) -> Command:
    return click.option(
        "--since",
        default="24h",
        show_default=True,
        help="How far back stored events are looked at, such as 24h, 7d; or an ISO time.",
    )(command)


@click.command("coverage")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_since_option
@config_option
@json_option
def coverage(names: Sequence[str], since: str, config: Path | None, as_json: bool) -> None:
    """Say which ATT&CK techniques would be noticed now, and of every other rule why it does not count.

    A rule counts that is enabled and live, whose examples of both kinds exist and pass, whose plugins are enabled, and
    for which events have been stored by which it could find something. Without a NAME, which may be a pattern such as
    'ssh_*', all installed rules are looked at. The status is 0 whatever is covered, and 1 when it cannot be found out.
    """
    from mozdef_core.services.rule_coverage import coverage as cover

    settings, since_us, until_us = _asked(config, since)
    with _made(settings) as found, _opened(settings) as (store, _book), progress_bar("rules") as bar:
        candidates = _chosen(found.candidates(settings), names)
        track = bar.track(candidates, total=len(candidates))
        result = cover(track, store, (since_us, until_us), tested=_tester(), plugins=found.plugins)
    if as_json:
        print_json(result.to_dict())
    else:
        _print_coverage(result)


@click.command("lint")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--ignore",
    multiple=True,
    callback=_codes,
    metavar="CODE",
    help="Do not remark upon this; may be repeated.",
)
@_since_option
@config_option
@json_option
def lint(names: Sequence[str], ignore: Sequence[str], since: str, config: Path | None, as_json: bool) -> None:
    """Remark upon what is likely to be a mistake in the enabled rules, or costs more than it needs to.

    Patterns and expressions that begin with no literal text; fields that no stored event has; lists that do not exist;
    a window longer than events are kept; no technique, category or severity; no example of one kind; plugins that are
    needed and not enabled; exceptions that end within two weeks. Without a NAME, which may be a pattern, all enabled
    rules are looked at. The status is 1 when there is a remark, or something cannot be looked at.
    """
    from mozdef_core.services.rule_lint import lint as remarks_upon

    settings, since_us, until_us = _asked(config, since)
    with _made(settings) as found, _opened(settings) as (store, book):
        rules = _chosen(found.rules, names)
        around = _surroundings(settings, store, book, (since_us, until_us), found.plugins)
        remarks = [one for one in remarks_upon(rules, around) if one.code not in ignore]
        problems = [] if names else found.problems
    if as_json:
        print_json({"remarks": [one.to_dict() for one in remarks], "problems": problems, "rules": len(rules)})
    else:
        _print_remarks(remarks, problems, len(rules))
    if remarks or problems:
        raise SystemExit(1)


class _Rules(NamedTuple):
    """The rules of a configuration.

    :param plugins: names of the enabled plugins that are no rules.
    :param problems: why some cannot be made.
    """

    rules: Sequence[Plugin]
    plugins: Sequence[str]
    problems: Sequence[str]

    def candidates(self, settings: Config) -> Sequence[Candidate]:
        """Return all rules that are installed or enabled, each once, by name."""
        from mozdef_core.discovery import RULES, enabled, installed, load_class
        from mozdef_core.errors import ConfigError
        from mozdef_core.services.rule_coverage import Candidate

        made = {rule.name: rule for rule in self.rules}
        wanted = set(enabled(settings, RULES))
        found = {}
        for name in sorted({*made, *wanted, *(item.name for item in installed(RULES))}):
            rule, attack, problem = made.get(name), (), ""
            try:
                attack = getattr(load_class(RULES, name) if rule is None else rule.instance, "attack", ())
            except ConfigError as error:
                problem = "; ".join(error.problems)
            if rule is None and name in wanted and not problem:
                mine = [
                    text for text in self.problems if text.startswith((f"alerts.{name}:", f"alerts.{name}."))
                ]
                problem = "; ".join(mine) or "; ".join(self.problems)
            found[name] = Candidate(name, tuple(attack), rule, problem)
        return list(found.values())


@contextmanager
def _made(settings: Config) -> Iterator[_Rules]:
    """Make all enabled plugins and rules that can be made, and close them in the end."""
    from mozdef_core.discovery import RULES, enabled
    from mozdef_core.errors import ConfigError
    from mozdef_core.health import Health
    from mozdef_core.host import Host
    from mozdef_core.rules import Rule
    from mozdef_core.services.compose import find_enabled

    names = set(enabled(settings, RULES))
    made, problems = find_enabled(settings)
    try:
        host = Host(made, Health())
    except ConfigError as error:
        fail(*problems, *error.problems)
    try:
        rules = [one for one in made if one.name in names or isinstance(one.instance, Rule)]
        yield _Rules(rules, [one.name for one in made if one not in rules], problems)
    finally:
        host.close()


Named = TypeVar("Named", "Candidate", "Plugin")


def _chosen(all_of_them: Sequence[Named], names: Sequence[str]) -> Sequence[Named]:
    """Return those that names or patterns stand for; one that stands for none ends the command."""
    from mozdef_core.problems import suggestion

    known = [one.name for one in all_of_them]
    for pattern in names:
        if not any(fnmatchcase(name, pattern) for name in known):
            fail(f"no rule {pattern!r} is there{suggestion(pattern, known)}")
    return [one for one in all_of_them if not names or any(fnmatchcase(one.name, name) for name in names)]


def _asked(config: Path | None, since: str) -> tuple[Config, int, int]:
    from mozdef_core.event import now_us

    settings, until_us = configured(config), now_us()
    try:
        since_us = read_moment(since)
    except ValueError as error:
        fail(str(error))
    if since_us >= until_us:
        fail(f"--since {since} is not before now; expected an earlier time")
    return settings, since_us, until_us


@contextmanager
def _opened(settings: Config) -> Iterator[tuple[EventStore, SqlBook]]:
    """Open store and database; when one is away the command ends with a sentence."""
    from mozdef_core.errors import BookUnavailableError, QueryError, StoreUnavailableError
    from mozdef_core.services.compose import open_book, open_store

    try:
        store, book = open_store(settings, "reader"), open_book(settings)
        try:
            yield store, book
        finally:
            book.close()
            store.close()
    except (StoreUnavailableError, BookUnavailableError, QueryError) as error:
        fail(str(error))


def _tester() -> Callable[[str], Sequence[str]]:
    """Return what runs the examples of an installed rule."""
    from mozdef_core.discovery import RULES, installed
    from mozdef_core.services.rule_tests import run

    by_name = {item.name: item for item in installed(RULES)}
    return lambda name: run(by_name[name]).problems if name in by_name else ["there are none"]


def _surroundings(
    settings: Config, store: EventStore, book: SqlBook, between: tuple[int, int], plugins: Sequence[str]
) -> Surroundings:
    from mozdef_core.casework.list_book import ListBook
    from mozdef_core.discovery import RULES, installed
    from mozdef_core.services.rule_lint import Surroundings
    from mozdef_core.services.rule_tests import counts

    by_name = {item.name: item for item in installed(RULES)}
    return Surroundings(
        store,
        between,
        plugins,
        lambda name: counts(by_name[name]) if name in by_name else (0, 0),
        between[1],
        settings.retention.keep(),
        ListBook(book.database),
        _exemptions(book),
    )


def _exemptions(book: SqlBook) -> Sequence[Exemption]:
    from mozdef_core.casework import exceptions
    from mozdef_core.exemptions import Exemption

    with book.database.read() as session:
        return [
            Exemption(one.id, one.scope, one.target, one.query, one.starts_us, one.expires_us)  # type: ignore[arg-type]
            for one in exceptions.collect(session)
        ]


_SEPARATOR: Final = ", "


def _print_coverage(result: Coverage) -> None:
    rows: Mapping[str, Sequence[str]] = result.covered
    print_table(("technique", "noticed by"), ((one, _SEPARATOR.join(rules)) for one, rules in rows.items()))
    missed = [rule for rule in result.rules if rule.reasons]
    if missed:
        click.echo("\nthese rules do not count:")
        print_table(("rule", "since"), ((rule.rule, "; ".join(rule.reasons)) for rule in missed))
    click.echo(
        f"\n{len(rows)} techniques are covered by {len(result.rules) - len(missed)} rules; "
        f"{len(result.uncovered)} more would be by the {len(missed)} that do not count"
    )


def _print_remarks(remarks: Sequence[Remark], problems: Sequence[str], rules: int) -> None:
    for one in remarks:
        click.echo(f"{one.rule or 'all rules'}: {one.message} [{one.code}]")
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    click.echo(f"{rules} rules, {len(remarks)} remarks")
