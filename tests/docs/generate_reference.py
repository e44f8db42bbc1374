"""Write docs/reference.md from the code: settings, options, hooks, commands, codes and the public names.

Usage: python -m tests.docs.generate_reference

A test makes the page again and compares it, so run this after a change of anything that the page shows.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import mozdef_core
from mozdef_core import discovery, hookspecs
from mozdef_core.block_settings import BlockSettings
from mozdef_core.host import HOOKS
from mozdef_core.notification_settings import NotifySettings, Route
from mozdef_core.options import ListOption
from mozdef_core.problems import is_secret
from mozdef_core.rules import AggregationOptions, RuleOptions, SequenceOptions
from mozdef_core.services.cli import main
from mozdef_core.services.cli.plugins import _type_name
from mozdef_core.settings import (
    CoreSettings,
    DetectionSettings,
    Entrance,
    HealthSettings,
    LetterSettings,
    QuotaSettings,
    RetentionSettings,
    WebSettings,
)
from tests.docs import codes

PAGE = Path(__file__).resolve().parents[2] / "docs/reference.md"
FIRST_PARTY = "mozdef-"
SPECIAL = {"_size": "size", "_address": "host:port", "_kept": 'duration or `"forever"`'}
"""Names of validators that say more about a setting than its Python type does."""
KINDS = (RuleOptions, SequenceOptions, AggregationOptions)
"""What every rule of a kind accepts."""
NOT_CLASSES = {
    "Duration": "The type of an option that is a span of time: seconds, or text such as `30s`, `5m`, `2h`, `90d`.",
    "Field": "Pydantic's `Field`: default, limits and description of an option.",
    "Items": "The type of an option that is a list of texts: a list, or text with commas, or else blanks, between its items.",
    "hookimpl": "The decorator that marks a method as a hook.",
}


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, *settings(), *installed_options(), *hooks(), *commands(), *code_tables(), *names()]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


HEAD = """
# Reference

Made from the code by `python -m tests.docs.generate_reference`; do not edit it.

A *duration* is a number of seconds or text with a unit: `ms`, `s`, `m`, `h`, `d`, `w`. A *size* is a number of bytes or
text with a unit: `64MiB` (2^20), `10GB` (10^9). A name that ends in `_s` is in seconds, in `_bytes` in bytes. A *secret*
is written `"env:NAME"` or `"file:/path"`. An empty default means unset.
"""


def settings() -> Iterator[str]:
    """Yield the tables of mozdef.toml that belong to the core."""
    yield "## Configuration"
    yield table(
        ("Key", "Type", "Default", "Meaning"),
        [
            ("`plugins`", "list of text", "`[]`", "enabled plugins; ties in their `order` go by this list"),
            ("`inputs`", "list of text", "`[]`", "enabled inputs"),
        ],
    )
    for name, model in {
        "core": CoreSettings,
        "web": WebSettings,
        "entrance.<name>": Entrance,
        "health": HealthSettings,
        "notify": NotifySettings,
        "[notify.routes]": Route,
        "blocks": BlockSettings,
        "detection": DetectionSettings,
    }.items():
        yield f"### `[{name}]`"
        yield sentence(model)
        if model is Entrance:
            yield "Names: `events`, `nxlog`, `bulk`, `custom`, `cef`, and the name of each input. " + (
                "`partial_status` is 200 for `nxlog`, `bulk` and `cef` unless it is set."
            )
        yield fields(model)
    yield "### `[retention]`"
    kept = RetentionSettings().default
    assert kept is not None
    yield (
        'Each key is a retention class, its value a duration or `"forever"`. An event\'s class is what a plugin puts in\n'
        "`mozdef.retention`, otherwise `default`. A class that is named like a duration, such as `3d`, needs no line here."
    )
    yield table(
        ("Key", "Type", "Default", "Meaning"),
        [
            (
                "`default`",
                'duration or `"forever"`',
                shown(kept),
                "events without a class, or of an unknown one",
            )
        ],
    )
    yield fields(QuotaSettings)
    yield "### `[retention.dead_letters]`"
    yield sentence(LetterSettings)
    yield fields(LetterSettings)
    yield "### `[alerts]`"
    yield table(
        ("Key", "Type", "Default", "Meaning"),
        [
            (
                "`enabled`",
                "list of text",
                "`[]`",
                "enabled rules, by name or glob such as `ssh_*`; `pack:*` or `pack:rule` of a pack",
            ),
            (
                "`folders`",
                "list of text",
                "`[]`",
                "folders of rule files, which are enabled unless they say otherwise; relative to the configuration file",
            ),
        ],
    )
    yield "### `[alerts.<rule>]`, every rule"
    yield fields(RuleOptions)
    yield "### `[alerts.<rule>]`, rules that look at groups of events"
    yield "`threshold` belongs to aggregation rules only, and `schedule` is never `stream`."
    yield rows(_own(AggregationOptions, RuleOptions))


def installed_options() -> Iterator[str]:
    """Yield the options of what ships with MozDef: drivers, inputs, plugins and rules."""
    tables = {**discovery.GROUPS, discovery.RULES: "alerts"}
    for group in reversed(tables):
        for item in discovery.installed(group):
            if not item.distribution.startswith(FIRST_PARTY):
                continue
            cls = discovery.load_class(group, item.name)
            model = getattr(cls, "Options", None)
            own = getattr(model, "model_fields", {})
            if group == "mozdef.alerts":
                own = _own(model, *(kind for kind in KINDS if issubclass(model, kind)))
            yield f"### `[{tables[group]}.{item.name}]`"
            yield sentence(cls)
            yield rows(own) if own else "It has no options of its own."


def _own(model: type[BaseModel], *kinds: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the options of a rule that it does not share with every rule of its kind: others, or other defaults."""
    common = {name: field for kind in kinds for name, field in kind.model_fields.items()}
    return {
        name: field
        for name, field in model.model_fields.items()
        if name not in common or field.default != common[name].default
    }


def fields(model: type[BaseModel]) -> str:
    """Return the fields of a model as a table."""
    return rows(model.model_fields)


def rows(found: Mapping[str, FieldInfo]) -> str:
    """Return settings as a table."""
    lines = []
    for name, field in found.items():
        words, value = kind(name, field), default_of(field)
        if words.startswith("size"):
            value = Described(f'`"{in_units(value)}"`')
        default = "required" if field.is_required() else shown(value)
        lines.append((f"`{name}`", words, default, field.description or ""))
    return table(("Key", "Type", "Default", "Meaning"), lines)


def default_of(field: FieldInfo) -> Any:
    """Return the default; the one that depends on the machine is described."""
    if field.default_factory is not None and getattr(field.default_factory, "__name__", "") == "gethostname":
        return Described("the machine's host name")
    return field.get_default(call_default_factory=True, validated_data={})


class Described(str):
    """A default that is told in words."""

    __slots__ = ()


def in_units(size: int) -> str:
    """Return a number of bytes in the largest unit that divides it."""
    unit, divisor = next(
        (pair for pair in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)) if size % pair[1] == 0), ("", 1)
    )
    return f"{size // divisor}{unit}"


def kind(name: str, field: FieldInfo) -> str:
    """Return the type of a setting in words, with its bounds."""
    if is_secret(name, field.annotation):
        return "secret"
    special = (SPECIAL.get(getattr(getattr(one, "func", None), "__name__", "")) for one in field.metadata)
    words = next(filter(None, special), None) or _type_name(field.annotation)
    limits = [
        f"{sign} {getattr(one, attribute)}"
        for one in field.metadata
        for attribute, sign in (
            ("ge", "≥"),
            ("gt", ">"),
            ("le", "≤"),
            ("lt", "<"),
            ("min_length", "length ≥"),
            ("max_length", "length ≤"),
        )
        if hasattr(one, attribute)
    ]
    if words == "size":
        limits = [limit for limit in limits if limit != "≥ 0"]  # every size says that
    return ", ".join([words.replace("|", "\\|"), *limits])


def shown(value: Any) -> str:
    """Return a default as it would be written in mozdef.toml."""
    if value is None:
        return ""
    if isinstance(value, Described):
        return str(value)
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        unit, size = next(
            (unit, size)
            for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
            if seconds % size == 0
        )
        return f'"{seconds // size}{unit}"'
    if isinstance(value, ListOption):
        return _toml(list(value.items))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return "{}" if not value else repr(value)
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def sentence(thing: Any) -> str:
    """Return the first paragraph of a docstring."""
    text = plain(inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0])
    text = re.sub(r"\s*\((?:event-format|detections|mappers|investigate)\.md[^)]*\)", "", text)
    text = re.sub(r"^`\[[^`]+\]`: ", "", text)
    return text[:1].upper() + text[1:] if text[:1] != "`" else text


def plain(text: str) -> str:
    """Return a docstring's text with Markdown's marks instead of reStructuredText's."""
    text = re.sub(r":\w+:`~?(?:mozdef_core\.)?([^`]+)`", r"`\1`", text)
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return a table."""
    made = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*made, *(f"| {' | '.join(cells)} |" for cells in lines)])


def hooks() -> Iterator[str]:
    """Yield each hook with its signature and docstring, as they stand in the code."""
    yield "## Hooks"
    for hook in HOOKS:
        function = getattr(hookspecs, hook)
        yield f"### `{hook}`"
        yield f"```\n{hook}{inspect.signature(function)}\n```".replace("'", "")
        text = re.sub(r"\n*\.\. versionadded::.*", "", inspect.getdoc(function) or "")
        text, *notes = re.split(r"^:(returns|raises [^:]+): ", text, flags=re.MULTILINE)
        yield plain(text)
        pairs = zip(notes[::2], notes[1::2], strict=True)
        yield "\n".join(f"- {what}: {plain(textwrap.dedent(said)).strip()}" for what, said in pairs)


def commands() -> Iterator[str]:
    """Yield every command with its arguments and options."""
    yield "## Commands"
    context = click.Context(main, info_name="mozdef")
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        yield from command_parts(click.Context(command, parent=context, info_name=name))


def command_parts(context: click.Context) -> Iterator[str]:
    """Yield a command, or the commands of a group."""
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from command_parts(click.Context(below, parent=context, info_name=name))
        return
    yield f"### `{context.command_path}`"
    yield plain(inspect.cleandoc(command.help or ""))
    words = " ".join(["", *command.collect_usage_pieces(context)[1:]])
    yield f"`{context.command_path}{words}`"
    lines = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in record[0]:
            lines.append((f"`{record[0]}`".replace("|", "\\|"), record[1].replace("|", "\\|")))
    yield table(("Option", "Meaning"), lines)


def code_tables() -> Iterator[str]:
    """Yield what the machine codes mean."""
    yield "## Codes"
    for title, meanings in codes.TABLES.items():
        yield f"### {title}"
        yield table(("Code", "Meaning"), [(f"`{code}`", text) for code, text in meanings.items()])


def names() -> Iterator[str]:
    """Yield what a plugin may import, with its first sentence."""
    yield "## Public names"
    yield "`from mozdef_core import ...`; everything else may change in any version."
    lines = []
    for name in sorted(mozdef_core.__all__, key=str.casefold):
        text = NOT_CLASSES.get(name) or sentence(getattr(mozdef_core, name)).replace("\n", " ")
        lines.append((f"`{name}`", text.replace("|", "\\|")))
    yield table(("Name", "What it is"), lines)


def found_codes() -> set[str]:
    """Return the machine codes that stand in the source: where items are refused, noted, or kept as dead letters."""
    root = PAGE.parents[1]
    found: set[str] = set()
    for path in (
        *root.glob("mozdef_core/**/*.py"),
        *root.glob("plugins/*/mozdef_*/**/*.py"),
        *root.glob("alerts/mozdef_*/**/*.py"),
    ):
        if "testing" not in path.as_posix():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found.update(
                    value for value in _candidates(node) if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", value)
                )
    return found


MARKS = frozenset(
    {
        "InvalidItemError",
        "RefusalError",
        "ApiError",
        "note",
        "_skip",
        "dead_letter",
        "_problem",
        "Problem",
        "Refuse",
    }
    | {"Remark"}
)


def _candidates(node: ast.AST) -> Iterator[str]:
    parts: list[ast.expr] = []
    if isinstance(node, ast.Call):
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        parts = node.args if called in MARKS else []
    elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
        parts = node.elts
    elif isinstance(node, ast.Dict):
        parts = [
            value
            for key, value in zip(node.keys, node.values, strict=True)
            if getattr(key, "value", "") == "code"
        ]
    elif (
        isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") == "code"
        and isinstance(node.value, ast.IfExp)
    ):
        parts = [node.value.body, node.value.orelse]
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
