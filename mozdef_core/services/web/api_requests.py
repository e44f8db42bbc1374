"""Requests to the API: query strings and bodies, read into the models that describe them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from mozdef_core.services.web.api_errors import ApiError, invalid
from mozdef_core.services.web.body import read_body

MOST_BODY_BYTES: Final = 2**20
MOST_CSV_BYTES: Final = 64 * 2**20
WITH_BODY: Final = frozenset({"POST", "PATCH"})
DEEPEST_BODY: Final = 50
_MOST_PARAMETERS: Final = 200


class Asked(BaseModel):
    """What may stand in a request; a name that is not known is refused, and no value is taken for another's type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Asked)


def read(model: type[Model], environ: Mapping[str, Any], *, csv: bool = False) -> Model:
    """Return what a request asks for: a POST or PATCH by its body, which is a JSON object, others by the query string.

    :param csv: the body is a file, so that the query string says the rest.
    :raises RefusalError: it cannot be read; it says which part of it.
    """
    posted = environ["REQUEST_METHOD"] in WITH_BODY and not csv
    given = _parameters(Asked if posted else model, environ.get("QUERY_STRING", ""))
    if posted:
        given = _object(read_body(environ, MOST_BODY_BYTES))
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid(error, model, "field" if posted else "query parameter") from None


def read_csv(environ: Mapping[str, Any]) -> bytes:
    """Return the body of a request that brings a file.

    :raises RefusalError: it is too large, or cannot be read.
    """
    return read_body(environ, MOST_CSV_BYTES)


def _object(raw: bytes) -> dict[str, Any]:
    """Return the object that a body is; an empty body is an empty one."""
    if not raw:
        return {}
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid-json", f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ApiError(400, "invalid-json", "the body is JSON, but not an object")
    if _is_deep(document):
        raise ApiError(400, "too-deep", f"the body is nested more than {DEEPEST_BODY} deep")
    return document


def _is_deep(document: object) -> bool:
    level: list[object] = [document]
    for _ in range(DEEPEST_BODY + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _parameters(model: type[Asked], text: str) -> dict[str, Any]:
    """Return the parameters of a query string, each as its field's type where it spells one, else as text."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    given: dict[str, Any] = {}
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS, separator="&"
        )
    except UnicodeDecodeError:
        raise ApiError(400, "invalid-parameter", "the query string is not UTF-8") from None
    except ValueError:
        raise ApiError(
            400, "invalid-parameter", f"there are more than {_MOST_PARAMETERS} query parameters"
        ) from None
    for name, value in pairs:
        if name in given:
            raise ApiError(400, "invalid-parameter", f"{name[:200]} is given twice", field=name[:200])
        given[name] = _typed(name, value, fields[name].annotation) if name in fields else value
    try:
        Asked.model_validate({name: value for name, value in given.items() if name not in fields})
    except ValidationError as error:
        raise invalid(error, model, "query parameter") from None
    return given


def _typed(name: str, text: str, kind: Any) -> Any:
    """Return a parameter as its field's type, or as text where it does not spell one."""
    if kind is int:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if get_origin(kind) is list and get_args(kind):
        return text.split(",")
    if get_origin(kind) is dict:
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ApiError(400, "invalid-json", f"{name} is not JSON: {error}", field=name) from None
        if _is_deep(document):
            raise ApiError(400, "too-deep", f"{name} is nested more than {DEEPEST_BODY} deep", field=name)
        return document
    return text
