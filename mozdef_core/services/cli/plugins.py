"""``mozdef plugins``: what is installed, what is enabled, and which options it has."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

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
    from pydantic.fields import FieldInfo

    from mozdef_core.config import Config
    from mozdef_core.discovery import Installed
    from mozdef_core.options import Options

COLUMNS: Final = ("name", "kind", "enabled", "distribution", "version", "hooks", "about")
_WORDS: Final = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    timedelta: "duration",
}


@click.group()
def command() -> None:
    """Say what is installed, what is enabled, and which options it has."""


@command.command("list")
@click.option("--kind", help="Only this kind: plugin, rule, input, store, queue or scheduler.")
@click.option("--enabled", "only_enabled", is_flag=True, help="Only what is enabled.")
@config_option
@json_option
def list_(kind: str | None, only_enabled: bool, config: Path | None, as_json: bool) -> None:
    """List what is installed. Only what is enabled is imported, and so says what it does."""
    from mozdef_core.discovery import GROUPS

    if kind is not None and kind not in GROUPS.values():
        fail(f"--kind: there is no kind {kind!r}; there are {', '.join(GROUPS.values())}")
    settings = configured(config)
    groups = [group for group, noun in GROUPS.items() if kind in (None, noun)]
    rows = [row for group in groups for row in _rows(settings, group)]
    rows = [row for row in rows if row["enabled"] or not only_enabled]
    if as_json:
        print_json({"installed": rows})
        return
    print_table(
        COLUMNS,
        (
            (
                row["name"],
                row["kind"],
                "yes" if row["enabled"] else "no",
                row["distribution"],
                row["version"],
                " ".join(row["hooks"]),
                row["problem"] or row["about"],
            )
            for row in rows
        ),
    )


@command.command("show")
@click.argument("name")
@click.option("--kind", help="Its kind, where several things have this name: plugin, rule, input, store, ...")
@config_option
@json_option
def show(name: str, kind: str | None, config: Path | None, as_json: bool) -> None:
    """Show one plugin, rule, input or driver: its hooks and its options with their present values.

    It is imported for that, enabled or not. Secrets are not shown.
    """
    from mozdef_core.discovery import load_class
    from mozdef_core.errors import ConfigError

    settings = configured(config)
    item = _item(name, kind)
    try:
        cls = load_class(item.group, item.name)
    except ConfigError as error:
        fail(*error.problems)
    document = {**_row(settings, item, cls), "target": item.target, "about": _about(cls, whole=True)}
    for attribute in ("order", "stage", "applies_to"):
        if hasattr(cls, attribute):
            document[attribute] = _shown(getattr(cls, attribute))
    document["options"], document["problems"] = _options(settings, item, cls)
    if as_json:
        print_json(document)
        return
    _print(document)


def _print(document: Mapping[str, Any]) -> None:
    """Print everything about one thing as text."""
    hidden = ("options", "problems", "problem", "about", "hooks", "enabled")
    fields = {key: value for key, value in document.items() if key not in hidden}
    print_fields(
        {**fields, "enabled": "yes" if document["enabled"] else "no", "hooks": " ".join(document["hooks"])}
    )
    click.echo(f"\n{document['about']}\n")
    if not document["options"]:
        click.echo("It has no options.")
    else:
        print_table(("option", "type", "default", "value", "meaning"), map(_line, document["options"]))
    for problem in document["problems"]:
        click.echo(f"error: {problem}", err=True)


def _line(option: Mapping[str, Any]) -> list[str]:
    """Return an option as a line of the table."""
    default = "(required)" if option["required"] else _cell(option["default"])
    return [option["name"], option["type"], default, _cell(option["value"]), option["description"]]


def _item(name: str, kind: str | None) -> Installed:
    """Return the one installed thing that is meant, or end the command with what would be right."""
    from mozdef_core.discovery import GROUPS, installed
    from mozdef_core.problems import suggestion

    items = [item for group, noun in GROUPS.items() if kind in (None, noun) for item in installed(group)]
    found = [item for item in items if item.name == name]
    if not found:
        fail(f"nothing called {name!r} is installed{suggestion(name, {item.name for item in items})}")
    kinds = sorted({GROUPS[item.group] for item in found})
    if len(kinds) > 1:
        fail(f"{name!r} is the name of a {' and a '.join(kinds)}; add --kind")
    return found[0]


def _rows(config: Config, group: str) -> Iterable[dict[str, Any]]:
    """Yield what the list says about each thing of a group; one that cannot be imported says why."""
    from mozdef_core.discovery import enabled, installed, load_class
    from mozdef_core.errors import ConfigError

    names = enabled(config, group)
    for item in installed(group):
        row = _row(config, item, None)
        if item.name in names:
            try:
                row = _row(config, item, load_class(group, item.name))
            except ConfigError as error:
                row["problem"] = "; ".join(error.problems)
        yield row


def _row(config: Config, item: Installed, cls: type[Any] | None) -> dict[str, Any]:
    from mozdef_core.discovery import GROUPS, enabled
    from mozdef_core.host import HOOKS

    return {
        "name": item.name,
        "kind": GROUPS[item.group],
        "group": item.group,
        "distribution": item.distribution,
        "version": item.version,
        "enabled": item.name in enabled(config, item.group),
        "hooks": [hook for hook in HOOKS if callable(getattr(cls, hook, None))],
        "about": "" if cls is None else _about(cls),
        "problem": "",
    }


def _about(cls: type[Any], *, whole: bool = False) -> str:
    """Return what a class says about itself; the first line, or all of it."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return text if whole else text.partition("\n")[0]


def _options(config: Config, item: Installed, cls: type[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the options with their present values, and what is wrong with what the configuration sets."""
    from mozdef_core.discovery import GROUPS, RULES, enabled, options_of
    from mozdef_core.errors import ConfigError

    kind = GROUPS[item.group]
    tables = config.alerts.rules if item.group == RULES else getattr(config, kind)
    where = f"{'alerts' if item.group == RULES else kind}.{item.name}"
    table = dict(tables.get(item.name, {}))
    model = getattr(cls, "Options", None)
    fields: Mapping[str, FieldInfo] = getattr(model, "model_fields", {})
    if "order" not in fields:
        table.pop("order", None)
    present: Options | None = None
    problems: list[str] = []
    try:
        present = options_of(cls, table, where)
    except ConfigError as error:
        if table or item.name in enabled(config, item.group):  # what is not enabled may lack what it requires
            problems = list(error.problems)
    return [_option(name, field, table, present) for name, field in fields.items()], problems


def _option(name: str, field: FieldInfo, table: Mapping[str, Any], present: Options | None) -> dict[str, Any]:
    from mozdef_core.problems import is_secret

    secret = is_secret(name, field.annotation)
    key = field.alias or name
    value = getattr(present, name, None) if present is not None else None
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return {
        "name": key,
        "type": "secret" if secret else _type_name(field.annotation),
        "required": field.is_required(),
        "default": _shown(default, secret=secret),
        "value": _shown(value, secret=secret),
        "set": key in table,
        "description": field.description or "",
    }


def _type_name(annotation: Any) -> str:
    """Return the type of an option in the words of an operator."""
    from mozdef_core.options import ListOption

    if annotation is ListOption:
        return "list of text or @list"
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_type_name, parts)))
    if origin is Literal:
        return " | ".join(map(str, parts))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(member.value) for member in annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "table"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return f"list of {_type_name(parts[0])}" if parts else "list"
    if isinstance(annotation, type) and issubclass(annotation, Path):
        return "path"
    if origin is not None and parts:  # Annotated
        return _type_name(parts[0])
    return getattr(annotation, "__name__", str(annotation)).lower()


def _shown(value: Any, *, secret: bool = False) -> Any:
    """Return a value as JSON can hold it; a secret that is set is three stars."""
    from mozdef_core.options import ListOption

    if secret:
        return "***" if value else None
    if isinstance(value, ListOption):
        return list(value.items)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _shown(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [_shown(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
