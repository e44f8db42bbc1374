"""The environment: settings that variables of the form ``MOZDEF_<TABLE>__<KEY>`` override."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from mozdef_core.options import Secret
from mozdef_core.problems import holds_secret, suggestion

PREFIX: Final = "MOZDEF_"
_OWN: Final = frozenset({"MOZDEF_CONFIG", "MOZDEF_REQUIRE_SERVICES"})
_LISTS: Final = frozenset({"plugins", "inputs"})


class EnvironmentText(str):
    """Text from an environment variable, still without a type; its ``repr`` shows the variable, not the value."""

    __slots__ = ("variable",)
    variable: str

    def __new__(cls, text: str, variable: str) -> EnvironmentText:
        """Keep the name of the variable beside its text."""
        new = super().__new__(cls, text)
        new.variable = variable
        return new

    def __repr__(self) -> str:
        return f"<{self.variable}>"


def overrides(environ: Mapping[str, str], tables: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """Return what the environment sets, as nested tables, and what is wrong with its names.

    ``MOZDEF_CORE__DATA_DIR`` sets ``core.data_dir``, ``MOZDEF_PLUGIN__GEOIP__DATABASE`` sets
    ``plugin.geoip.database``, ``MOZDEF_PLUGINS`` sets ``plugins``. A name without ``__`` that is none of these
    may be anything, such as a secret that an option refers to, and is reported only when it looks like a slip.
    """
    known = sorted(tables)
    found: dict[str, Any] = {}
    problems = []
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name == variable or variable in _OWN or variable.startswith("MOZDEF_TEST_"):
            continue
        path = [part.lower() for part in name.split("__")]
        if len(path) == 1:
            if path[0] in _LISTS:
                found[path[0]] = EnvironmentText(environ[variable], variable)
            elif (slip := _slip(path[0], known)) is not None:
                problems.append(f"environment {variable}: not a setting; did you mean {slip!r}?")
        elif path[0] not in known:
            problems.append(f"environment {variable}: unknown table {path[0]!r}{suggestion(path[0], known)}")
        elif not all(path):
            problems.append(f"environment {variable}: a name is empty; write {PREFIX}TABLE__KEY")
        else:
            _put(found, path, EnvironmentText(environ[variable], variable), problems)
    return found, problems


def _slip(name: str, tables: Iterable[str]) -> str | None:
    """Return what a variable was probably meant to be, when one underscore stands where two should."""
    for table in tables:
        key = name.removeprefix(f"{table}_")
        if key not in (name, ""):
            return f"{PREFIX}{table.upper()}__{key.upper()}"
    return f"{PREFIX}{name.upper()}S" if f"{name}s" in _LISTS else None


def _put(found: dict[str, Any], path: list[str], value: EnvironmentText, problems: list[str]) -> None:
    node = found
    for part in path[:-1]:
        below = node.setdefault(part, {})
        if not isinstance(below, dict):
            problems.append(
                f"environment {value.variable}: {below.variable} sets a value where this needs a table"
            )
            return
        node = below
    node[path[-1]] = value


def merge(table: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with another laid over it, table by table."""
    merged = dict(table)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, dict):
            merged[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def sources(table: Mapping[str, Any], where: str = "") -> dict[str, str]:
    """Return the variable behind each value that came from the environment, by dotted path."""
    found = {}
    for key, value in table.items():
        path = f"{where}.{key}".lstrip(".")
        if isinstance(value, EnvironmentText):
            found[path] = value.variable
        elif isinstance(value, dict):
            found.update(sources(value, path))
    return found


def typed(table: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Give the values that came from the environment the shape that a model's fields ask for.

    Numbers and booleans are left to pydantic, which reads them from text. A list is written as TOML, or as words
    between commas or blanks. A secret is taken as it is, since the environment is where it may stand.
    """
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    shaped = {}
    for key, value in table.items():
        field = fields.get(key)
        annotation = field.annotation if field is not None else None
        if isinstance(value, EnvironmentText):
            secret = holds_secret(annotation)
            shaped[key] = _shape(value, annotation, secret=secret)
        elif isinstance(value, dict) and isinstance(annotation, type) and issubclass(annotation, BaseModel):
            shaped[key] = typed(value, annotation)
        else:
            shaped[key] = value
    return shaped


def _shape(value: EnvironmentText, annotation: object, *, secret: bool) -> object:
    if secret:
        return str(value) if value.startswith(("env:", "file:")) else Secret(str(value))
    kinds = _kinds(annotation)
    if not kinds & {list, tuple, set, frozenset, dict}:
        return str(value)
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = None
    if isinstance(parsed, list | dict):
        return parsed
    if str in kinds or kinds <= {dict}:
        return str(value)
    words = value.split(",") if "," in value else value.split()
    return [word.strip() for word in words if word.strip()]


def _kinds(annotation: object) -> set[object]:
    """Return the plain and container types that a field of this type takes, unions taken apart."""
    origin = get_origin(annotation)
    if origin is None:
        return {annotation}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {dict}
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return {origin if origin in (list, tuple, set, frozenset) else list}
    return set().union(*(_kinds(part) for part in get_args(annotation)))
