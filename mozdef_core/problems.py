"""Problems: sentences about wrong settings and options, each with what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, get_args

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from mozdef_core.options import Secret

_SECRETS: Final = (Secret, SecretStr, SecretBytes)
_TELLING_NAME: Final = re.compile(r"secret|passw|token|credential|private|api_?key", re.IGNORECASE)
_SHOWN: Final = 60

_EXPECTED: Final = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "iterable": "a list",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
    "model_attributes": "a table",
    "path": "a path",
    "url": "an address such as https://host.example/path",
    "ip": "an IP address",
    "time_delta": "a duration such as '30s', '5m', '2h' or '90d'",
    "datetime": "a date and time such as 2026-01-31T12:00:00Z",
    "date": "a date such as 2026-01-31",
}
_BOUNDS: Final = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return what to append to a sentence about an unknown name: the nearest known one, else all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not names:
        return "; there is none"
    return f"; there is {', '.join(names)}" if len(names) == 1 else f"; there are {', '.join(names)}"


def option_names(model: type[BaseModel]) -> list[str]:
    """Return the names under which a model takes its fields."""
    return [field.alias or name for name, field in model.model_fields.items()]


def holds_secret(annotation: object) -> bool:
    """Return whether a secret can stand in a field of this type, at any depth of lists and unions."""
    if annotation in _SECRETS:
        return True
    return any(holds_secret(part) for part in get_args(annotation))


def is_secret(name: str, annotation: object) -> bool:
    """Return whether the value of an option must not be shown: by its type, or because its name says so."""
    return holds_secret(annotation) or _TELLING_NAME.search(name) is not None


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _field(models: Iterable[type[BaseModel]], name: object) -> FieldInfo | None:
    for model in models:
        for key, field in model.model_fields.items():
            if name in (key, field.alias):
                return field
    return None


def _trace(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, bool, type[BaseModel]]:
    """Return the dotted path of an error, whether its value may be secret, and the innermost model on the way.

    Parts of the location that name no field, such as the branches of a union, are left out of the path.
    """
    models: list[type[BaseModel]] = [model]
    innermost, path, secret = model, "", False
    for position, part in enumerate(location):
        field = _field(models, part)
        if isinstance(part, int):
            path += f"[{part}]"
        elif field is not None or position == 0:
            path += f".{part}"
        if isinstance(part, str) and _TELLING_NAME.search(part):
            secret = True
        if field is not None:
            secret = secret or holds_secret(field.annotation)
            inner = list(_models(field.annotation))
            models = inner or models
            if inner and position < len(location) - 1:
                innermost = inner[0]
    return path, secret, innermost


def _got(value: object, *, secret: bool) -> str:
    if secret:
        return ""
    if isinstance(value, Mapping):
        return ", got a table"
    if isinstance(value, list | tuple | set | frozenset):
        return f", got a list of {len(value)}"
    if isinstance(value, bool):
        return f", got {str(value).lower()}"
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return f", got {text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}"


def _sentence(error: Any) -> str:
    """Return what was expected, in the words of an operator."""
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"expected {words} {context[key]}"
    if kind in ("literal_error", "enum"):
        return f"expected {context['expected']}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    if kind in ("too_short", "string_too_short"):
        return f"expected at least {context['min_length']} {'items' if kind == 'too_short' else 'characters'}"
    if kind in ("too_long", "string_too_long"):
        return f"expected at most {context['max_length']} {'items' if kind == 'too_long' else 'characters'}"
    for start in (kind, kind.rpartition("_")[0], kind.partition("_")[0]):
        if start in _EXPECTED:
            return f"expected {_EXPECTED[start]}"
    message: str = error["msg"]
    return f"{message[:1].lower()}{message[1:]}"


class Errors(Protocol):
    """What pydantic found, or some of it."""

    def errors(self, *, include_url: bool) -> Sequence[Any]:
        """Return one mapping for each problem."""


def describe(
    error: Errors,
    model: type[BaseModel],
    where: str,
    noun: str = "option",
    sources: Mapping[str, str] | None = None,
) -> list[str]:
    """Turn what pydantic found into sentences; the value of a secret is never in them.

    :param where: the table, such as ``plugin.geoip``.
    :param sources: environment variable by dotted path, for values that did not come from the file.
    """
    known_wrong: list[str] = []
    expected: dict[str, list[str]] = {}
    tails: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        location, kind = detail["loc"], detail["type"]
        path, secret, innermost = _trace(model, location)
        place = f"{where}{path}".lstrip(".")
        origin = f" (from {sources[place]})" if sources and place in sources else ""
        if kind == "extra_forbidden":
            name = str(location[-1])
            table = f"{where}{_trace(model, location[:-1])[0]}".lstrip(".")
            hint = suggestion(name, option_names(innermost))
            known_wrong.append(f"{table}: unknown {noun} {name!r}{origin}{hint}".removeprefix(": "))
        elif kind == "missing":
            field = _field([innermost], location[-1])
            meaning = f" ({field.description})" if field is not None and field.description else ""
            known_wrong.append(f"{place}: required, but not set{meaning}")
        else:
            sentences = expected.setdefault(place, [])
            sentence = _sentence(detail)
            if sentence not in sentences:
                sentences.append(sentence)
            tails[place] = _got(detail["input"], secret=secret) + origin
    return known_wrong + [f"{place}: {_joined(texts)}{tails[place]}" for place, texts in expected.items()]


def _joined(sentences: list[str]) -> str:
    """Join what the branches of a union expected."""
    return " or ".join([sentences[0], *(text.removeprefix("expected ") for text in sentences[1:])])
