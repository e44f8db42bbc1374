"""What every shipped rule must have besides its examples, which pytest collects from the files beside the rules."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path

import mozdef_alerts
import pytest

from mozdef_core import Severity
from mozdef_core.services.examples import read
from mozdef_core.services.rule_tests import find, run

RULES = {
    point.name: point.value
    for point in entry_points(group="mozdef.alerts")
    if point.value.startswith("mozdef_alerts.")
}


def load(target):
    module, _, name = target.partition(":")
    cls = getattr(importlib.import_module(module), name)
    path = Path(mozdef_alerts.__file__).parents[1] / Path(*module.split(".")).with_suffix(".examples.yaml")
    return cls, read(path)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_names_its_attack_techniques_and_has_both_kinds_of_examples(name):
    cls, examples = load(RULES[name])
    assert cls.attack
    assert isinstance(cls.severity, Severity)
    assert examples.fires
    assert examples.nearly


@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_the_contract(name, run_contract):
    cls, examples = load(RULES[name])
    run_contract(cls, options=examples.options)


@pytest.mark.parametrize("name", RULES)
def test_the_examples_of_a_rule_are_as_they_say(name):
    (rule,) = find([name])
    assert run(rule).problems == []
