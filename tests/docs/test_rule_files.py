"""The rule files on the pages are right, do what they say, and are what the schema describes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from mozdef_core.discovery import as_plugin
from mozdef_core.rulefiles import read_content
from mozdef_core.rulefiles.document import read_document
from mozdef_core.services.examples import Examples
from mozdef_core.services.rule_schema import rule_schema
from mozdef_core.services.rule_trial import judge

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs/rules.schema.json"
BLOCKS = re.findall(
    r"^```(yaml|json)\n(.*?)^```$", (ROOT / "docs/rules.md").read_text(), re.DOTALL | re.MULTILINE
)


def test_the_page_shows_every_form():
    kinds = [read_content(Path(f"rule.{ending}"), text.encode()).kind for ending, text in BLOCKS]
    assert kinds == ["aggregation", "event", "sequence", "deadman", "new_value", "aggregation", "deadman"]


def test_the_schema_is_what_the_code_says():
    wanted = "run mozdef rules schema > docs/rules.schema.json"
    assert json.loads(SCHEMA.read_text()) == rule_schema(), wanted


@pytest.mark.parametrize(("ending", "text"), BLOCKS)
def test_a_rule_file_on_the_page_is_right(ending, text):
    path = Path(f"/rules/rule.{ending}")
    file = read_content(path, text.encode())
    assert file.problems == ()
    plugin = as_plugin(file.name, file.cls, {}, "alerts.rule")
    assert list(plugin.instance.problems) == []
    jsonschema.validate(read_document(path, text.encode()).value, json.loads(SCHEMA.read_text()))
    if file.examples is None:
        return
    examples = Examples.model_validate(file.examples)
    for kind in ("fires", "nearly"):
        for example in getattr(examples, kind):
            made = lambda options: as_plugin(file.name, file.cls, options, "alerts.rule")  # noqa: E731
            assert judge(made, examples, example, fires=kind == "fires") == []


@pytest.mark.parametrize(
    "wrong", [{"window": 2}, {"threshold": 0}, {"treshold": 4}, {"kind": "aggregate"}, {"by": 7}]
)
def test_the_schema_refuses_what_the_code_refuses(wrong):
    document = {**read_document(Path("r.yaml"), BLOCKS[0][1].encode()).value, **wrong}
    refused = bool(read_content(Path("r.json"), json.dumps(document).encode()).problems)
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert refused == (not validator.is_valid(document))
