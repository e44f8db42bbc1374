"""What the API says when something is wrong: one error, with the place that it is about (investigate.md section 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mozdef_core.errors import QueryError
from mozdef_core.problems import option_names, suggestion
from mozdef_core.services.web.policy import RefusalError

_SHOWN: Final = 60
_EXPECTED: Final = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


class Problem(BaseModel):
    """One error."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="what kind of error, for programs")
    message: str = Field(description="what was wrong, with the value, and what would be right")
    field: str = Field(default="", description="the parameter or member of the body, by its dotted path")
    position: int = Field(
        default=0, ge=0, description="where in the search string, counted in characters from 0"
    )


class ErrorAnswer(BaseModel):
    """The answer to every request that was not done."""

    model_config = ConfigDict(extra="forbid")

    error: Problem


class ApiError(RefusalError):
    """A request to the API that is refused.

    :param field: what it is about, by its dotted path.
    :param position: where in the search string, counted from 0.
    """

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        field: str | None = None,
        position: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(status, code, reason, retry_after_s=retry_after_s)
        self.field = field
        self.position = position


def invalid_query(error: QueryError, field: str) -> ApiError:
    """Return how a question that has no meaning is refused.

    :param field: where in the request it stood.
    """
    return ApiError(400, "invalid-query", str(error), field=field, position=error.position)


def body_of(error: RefusalError) -> bytes:
    """Return an error as it is sent."""
    known: dict[str, Any] = {"code": error.code, "message": error.reason}
    if isinstance(error, ApiError):
        known |= {
            name: value
            for name, value in (("field", error.field), ("position", error.position))
            if value is not None
        }
    return ErrorAnswer(error=Problem(**known)).model_dump_json(exclude_unset=True).encode()


def invalid(error: ValidationError, model: type[BaseModel], noun: str) -> ApiError:
    """Return the first thing that is wrong with the parameters or the body of a request.

    :param noun: what a name in it is called.
    """
    found = error.errors(include_url=False)[0]
    kind = found["type"]
    if kind in ("int_type", "float_type") and found["loc"][-1] in ("int", "float"):  # a branch of Number
        found["loc"], kind = found["loc"][:-1], "float_type"
        found["type"] = kind
    place = ".".join(str(part) for part in found["loc"])
    if kind == "extra_forbidden":
        known = option_names(_innermost(model, found["loc"][:-1]))
        reason = f"unknown {noun} {_short(found['loc'][-1])}{suggestion(str(found['loc'][-1]), known)}"
        return ApiError(400, "unknown-field", reason, field=_cut(place))
    if kind == "missing":
        return ApiError(400, "invalid-value", f"{place}: required, but not given", field=place)
    wrong = f"{_cut(place)}: {_sentence(found)}{_got(found)}".removeprefix(": ")
    return ApiError(400, "invalid-value", wrong, field=_cut(place) or None)


def _innermost(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel]:
    """Return the model at a place; names that are no field are keys of a mapping of models."""
    for part in location:
        for name, field in model.model_fields.items():
            if part in (name, field.alias):
                model = next(_models(field.annotation), model)
                break
    return model


def _models(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models(part)


def _sentence(found: Any) -> str:
    kind: str = found["type"]
    context: Mapping[str, Any] = found.get("ctx", {})
    bounds = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
    if kind in bounds:
        words, key = bounds[kind]
        return f"expected {words} {context[key]}"
    if kind == "literal_error":
        return f"expected {context['expected']}"
    if kind in ("too_long", "string_too_long"):
        return f"expected at most {context['max_length']} {'entries' if kind == 'too_long' else 'characters'}"
    if kind == "string_too_short":
        return f"expected at least {context['min_length']} characters"
    if kind == "value_error":
        return str(context["error"])
    return f"expected {_EXPECTED[kind]}" if kind in _EXPECTED else str(found["msg"])


def _got(found: Any) -> str:
    value = found["input"]
    if found["type"] == "value_error":
        return ""
    if isinstance(value, str) and len(value) > _SHOWN:
        return f", got {len(value)} characters"
    if isinstance(value, Mapping | list):
        noun = "an object" if isinstance(value, Mapping) else "a list"
        return f", got {noun} of {len(value)}"
    return (
        f", got {'null' if value is None else str(value).lower() if isinstance(value, bool) else repr(value)}"
    )


def _short(value: object) -> str:
    return repr(_cut(str(value)))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"
