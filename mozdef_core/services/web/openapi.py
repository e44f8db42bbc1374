"""The description of the API in OpenAPI 3.1, made of the models that read its requests and write its answers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from mozdef_core.services.web.api import ROUTES, SCOPE
from mozdef_core.services.web.api_errors import ErrorAnswer
from mozdef_core.services.web.api_requests import WITH_BODY

if TYPE_CHECKING:
    from mozdef_core.services.web.api_operations import Operation

_REFERENCE: Final = "#/components/schemas/{model}"
_ERRORS: Final = {
    "400": "The request has no meaning; the error names the place.",
    "401": "There is no token, or it is unknown, expired or revoked.",
    "403": "The token is not for {scope}.",
    "500": "A fault of MozDef's; it is in its log.",
    "503": "Not now; Retry-After says after how many seconds to come back.",
    "504": "The answer took too long; narrow the query or take a shorter time.",
}
_FILE: Final = {"type": "string"}
_BODY_ERRORS: Final = {
    "408": "The body did not arrive in time.",
    "409": "There is one already.",
    "413": "The body is too large.",
    "415": "The body is compressed in a way that is not known.",
}


class _Schemas(GenerateJsonSchema):
    """Leaves out defaults that a field may not be given as: there the default is to leave it out."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema of a field with a default."""
        if schema.get("default", ...) is None and schema["schema"]["type"] != "nullable":
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def describe(operations: Mapping[str, Operation]) -> dict[str, Any]:
    """Return the description.

    :param operations: by the names that :data:`~mozdef_core.services.web.api.ROUTES` has.
    """
    wanted: list[tuple[Any, JsonSchemaMode]] = [(ErrorAnswer, "serialization")]
    for operation in operations.values():
        wanted += [(operation.asked, "validation"), (operation.answered, "serialization")]
    references, schemas = models_json_schema(
        list(dict.fromkeys(wanted)), ref_template=_REFERENCE, schema_generator=_Schemas
    )
    paths: dict[str, dict[str, Any]] = {}
    for name, operation in operations.items():
        route = ROUTES[name]
        asked = schemas["$defs"][operation.asked.__name__]
        answered = references[operation.answered, "serialization"]
        for method in route.methods:
            described = _operation(name, operation, method, asked, answered)
            paths.setdefault(route.path.replace(":path>", ">").replace("<", "{").replace(">", "}"), {})[
                method.lower()
            ] = described
    paths[ROUTES["describe"].path] = {"get": _describing()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "MozDef", "version": version("mozdef-core")},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "a token with the scope that the operation names",
                }
            },
        },
        "security": [{"token": []}],
    }


def _operation(
    name: str, operation: Operation, method: str, asked: dict[str, Any], answered: JsonSchemaValue
) -> dict[str, Any]:
    route, posted = ROUTES[name], method in WITH_BODY
    described: dict[str, Any] = {
        "operationId": f"{name}_by_body" if posted and "GET" in route.methods else name,
        "summary": operation.summary,
        "description": f"Needs a token with the scope {route.scope}.",
        "parameters": [
            {"name": key, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}
            for key, text in operation.names.items()
        ],
        "responses": {str(route.status): _answered(operation, answered), **_errors(operation, route.scope)},
    }
    if posted:
        model = {"$ref": _REFERENCE.format(model=operation.asked.__name__)}
        content = (
            {"text/csv": {"schema": _FILE}} if operation.csv else {"application/json": {"schema": model}}
        )
        described["requestBody"] = {"content": content}
        described["responses"] |= {status: _error(text) for status, text in _BODY_ERRORS.items()}
    else:
        described["responses"]["414"] = {
            "description": "The address is too long to be read; send a POST instead."
        }
    if not posted or operation.csv:
        required = asked.get("required", ())
        described["parameters"] += [
            _parameter(key, schema, required=key in required)
            for key, schema in asked.get("properties", {}).items()
        ]
    return described


def _answered(operation: Operation, answered: JsonSchemaValue) -> dict[str, Any]:
    if operation.csv == "out":
        return {"description": "The file.", "content": {"text/csv": {"schema": _FILE}}}
    return _content("The answer.", answered)


def _parameter(name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """Return a field of what is asked as a parameter of the query string, which cannot be null."""
    schema = dict(schema)
    branches = [branch for branch in schema.pop("anyOf", []) if branch != {"type": "null"}]
    if branches:
        schema = {**branches[0], **{key: value for key, value in schema.items() if key != "default"}}
    described: dict[str, Any] = {"name": name, "in": "query", "description": schema.pop("description", "")}
    if required:
        described["required"] = True
    if schema.get("type") == "object":
        return {**described, "content": {"application/json": {"schema": schema}}}
    if schema.get("type") == "array":
        described |= {"style": "form", "explode": False}
    return {**described, "schema": schema}


def _errors(operation: Operation, scope: str) -> dict[str, Any]:
    found = {status: _error(text.format(scope=scope)) for status, text in _ERRORS.items()}
    if operation.names:
        found["404"] = _error("There is none.")
    return found


def _error(text: str) -> dict[str, Any]:
    return _content(text, {"$ref": _REFERENCE.format(model=ErrorAnswer.__name__)})


def _content(text: str, schema: JsonSchemaValue) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _describing() -> dict[str, Any]:
    return {
        "operationId": "describe",
        "summary": "Return this description.",
        "responses": {
            "200": _content("The description.", {"type": "object"}),
            **{
                status: _error(_ERRORS[status].format(scope=SCOPE))
                for status in ("400", "401", "403", "500", "503")
            },
        },
    }
