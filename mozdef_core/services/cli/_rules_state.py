"""``mozdef rules list|show|enable|disable``: which rules there are, how they stand, and switching them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mozdef_core.services.terminal import (
    config_option,
    configured,
    fail,
    json_option,
    print_fields,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from mozdef_core.casework.book import SqlBook
    from mozdef_core.casework.rule_settings import RuleSetting
    from mozdef_core.config import Config
    from mozdef_core.services.rulebook import KnownRule

STRIP: Final = 20
"""So many of a rule's last intervals are shown."""


@click.command("list")
@click.option("--enabled", "only_enabled", is_flag=True, help="Only what is enabled.")
@config_option
@json_option
def list_(only_enabled: bool, config: Path | None, as_json: bool) -> None:
    """List all rules: installed, of packs and of files. Those that cannot be used are named with the reason."""
    with _opened(config) as (settings, book):
        rules, set_ = _known(settings, book)
    rules = [rule for rule in rules if rule.enabled or not only_enabled]
    if as_json:
        print_json({"rules": [_document(rule, set_.get(rule.name)) for rule in rules]})
        return
    print_table(
        ("rule", "kind", "enabled", "mode", "schedule", "from", ""),
        (
            (
                rule.name,
                rule.kind,
                "yes" if rule.enabled else "no",
                rule.mode,
                rule.schedule,
                rule.origin,
                "; ".join(rule.problems),
            )
            for rule in rules
        ),
    )


@click.command()
@click.argument("name")
@config_option
@json_option
def show(name: str, config: Path | None, as_json: bool) -> None:
    """Show one rule: what it is, who switched it, and the last intervals that it was run over."""
    from mozdef_core.event import isoformat, now_us

    with _opened(config) as (settings, book):
        rules, set_ = _known(settings, book, name)
        rule = _one(rules, name)
        rows = book.intervals(name, 0, now_us() + 1)[-STRIP:]
    document = _document(rule, set_.get(name))
    instance = None if rule.plugin is None else rule.plugin.instance
    document["about"] = (rule.cls.__doc__ or "").strip() if rule.cls is not None else ""
    document["attack"] = list(getattr(instance, "attack", ()))
    document["needs"] = list(getattr(instance, "needs", ()))
    document["inactive"] = getattr(instance, "inactive", None)
    document["intervals"] = [
        {
            "start": isoformat(row.start_us),
            "end": isoformat(row.end_us),
            "state": row.state.value,
            "events": row.events,
            "alerts": row.alerts,
            "reason": row.reason,
        }
        for row in rows
    ]
    if as_json:
        print_json(document)
        return
    print_fields({key: value for key, value in document.items() if key not in ("about", "intervals")})
    click.echo(f"\n{document['about']}")
    if rows:
        click.echo()
        print_table(
            ("from", "to", "state", "events", "alerts", ""),
            (
                (
                    row["start"][:19],
                    row["end"][:19],
                    *(row[key] for key in ("state", "events", "alerts", "reason")),
                )
                for row in document["intervals"]
            ),
        )


@click.command()
@click.argument("name")
@config_option
@json_option
def enable(name: str, config: Path | None, as_json: bool) -> None:
    """Let a rule run from now on, whatever the configuration says. MozDef need not be started again."""
    _switch(name, config, enabled=True, as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--reset", is_flag=True, help="Forget what was set: the configuration decides again.")
@config_option
@json_option
def disable(name: str, reset: bool, config: Path | None, as_json: bool) -> None:
    """Keep a rule from running from now on, whatever the configuration says."""
    _switch(name, config, enabled=None if reset else False, as_json=as_json)


def _switch(name: str, config: Path | None, *, enabled: bool | None, as_json: bool) -> None:
    import getpass

    from mozdef_core.casework import audit, rule_settings

    with _opened(config) as (settings, book):
        rule = _one(_known(settings, book, name)[0], name)
        if enabled and rule.plugin is None:
            fail(f"{name} cannot run: {'; '.join(rule.problems) or 'it cannot be made'}")
        with book.database.write() as session:
            rule_settings.switch(session, name, enabled, audit.Actor(getpass.getuser()))
        rules, set_ = _known(settings, book, name)
        rule = _one(rules, name)
    if as_json:
        print_json(_document(rule, set_.get(name)))
    else:
        click.echo(f"{name} is {'enabled' if rule.enabled else 'disabled'}; it takes effect within seconds")


@contextmanager
def _opened(config: Path | None) -> Iterator[tuple[Config, SqlBook]]:
    from mozdef_core.errors import BookUnavailableError, ConfigError
    from mozdef_core.services.compose import open_book

    settings = configured(config)
    try:
        book = open_book(settings)
        try:
            yield settings, book
        finally:
            book.close()
    except ConfigError as error:
        fail(*error.problems)
    except BookUnavailableError as error:
        fail(str(error))


def _known(
    settings: Config, book: SqlBook, *wanted: str
) -> tuple[Sequence[KnownRule], Mapping[str, RuleSetting]]:
    """Return all rules, and what people have set of them."""
    from mozdef_core.casework import rule_settings
    from mozdef_core.services.rulebook import known_rules

    with book.database.read() as session:
        set_ = rule_settings.collect(session)
    return sorted(known_rules(settings, wanted, set_), key=lambda rule: rule.name), set_


def _one(rules: Sequence[KnownRule], name: str) -> KnownRule:
    from mozdef_core.problems import suggestion

    by_name = {rule.name: rule for rule in rules}
    if name not in by_name:
        fail(f"there is no rule {name!r}{suggestion(name, by_name)}")
    return by_name[name]


def _document(rule: KnownRule, setting: RuleSetting | None) -> dict[str, Any]:
    from mozdef_core.event import isoformat

    return {
        "rule": rule.name,
        "kind": rule.kind,
        "from": rule.origin,
        "enabled": rule.enabled,
        "mode": rule.mode,
        "schedule": rule.schedule,
        "problems": list(rule.problems),
        "modified_by": None if setting is None else setting.modified_by,
        "modified_at": None if setting is None else isoformat(setting.modified_us),
    }
