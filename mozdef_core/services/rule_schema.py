"""The JSON schema of rule files, for editors that complete and check them while they are written."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from mozdef_core.rulefiles.forms import FORMS, DeadmanListForm, GenericForm, SilentForm
from mozdef_core.services.examples import Examples

DURATION: Final = r"^\s*[0-9]+([.][0-9]+)?\s*(ms|s|min|m|h|d|w)\s*$"
"""What a duration looks like as text."""


def rule_schema() -> dict[str, Any]:
    """Return the schema of all forms that a rule file can have, made from the models that check them."""
    models: list[type[BaseModel]] = [*FORMS.values(), GenericForm, DeadmanListForm, SilentForm, Examples]
    definitions: dict[str, Any] = {}
    for model in models:
        schema = TypeAdapter(model).json_schema(ref_template="#/$defs/{model}", mode="validation")
        definitions.update(schema.pop("$defs", {}))
        definitions[model.__name__] = schema
    held: list[type[BaseModel]] = [*FORMS.values(), GenericForm]
    for form in held:
        name = "tests" if form is GenericForm else "examples"
        definitions[form.__name__]["properties"][name] = {"$ref": "#/$defs/Examples"}
    one: dict[str, Any] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Sending"}]}
    definitions["Example"]["properties"]["send"] = {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}
    wanted: dict[str, Any] = {"$ref": "#/$defs/Expected"}
    definitions["Example"]["properties"]["alerts"] = {"anyOf": [wanted, {"type": "array", "items": wanted}]}
    definitions["DeadmanListForm"]["properties"]["alerts"]["items"] = {"$ref": "#/$defs/SilentForm"}
    forms: list[type[BaseModel]] = [*FORMS.values(), GenericForm, DeadmanListForm]
    _spell_durations(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rule of MozDef",
        "oneOf": [{"$ref": f"#/$defs/{form.__name__}"} for form in forms],
        "$defs": dict(sorted(definitions.items())),
    }


def _spell_durations(node: Any) -> None:
    """Say of each duration what is accepted: a number of seconds, or text such as ``30s``."""
    if isinstance(node, list):
        for each in node:
            _spell_durations(each)
    elif isinstance(node, dict):
        if node.get("format") == "duration":
            for key in ("format", "gt", "ge", "default"):
                node.pop(key, None)
            node |= {"type": ["string", "number"], "pattern": DURATION}
        for each in node.values():
            _spell_durations(each)
