"""Every rule against the examples beside it, led from the line that a shipper sends through decoder and mapper."""

from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points
from pathlib import Path

import mozdef_alerts
import pytest
from mozdef_linux import Linux
from mozdef_syslog import SyslogInput, SyslogOptions

from mozdef_core import Severity
from mozdef_core.detection import Detector

RULES = sorted(
    point.value for point in entry_points(group="mozdef.alerts") if point.value.startswith("mozdef_alerts.")
)


def load(target):
    module, _, name = target.partition(":")
    cls = getattr(importlib.import_module(module), name)
    path = Path(mozdef_alerts.__file__).parents[1] / Path(*module.split(".")).with_suffix(".examples.json")
    return cls, json.loads(path.read_text(encoding="utf-8"))


CASES = [
    pytest.param(target, kind, number, id=f"{target.rpartition(':')[2]}-{kind}-{number}")
    for target in RULES
    for kind in ("fires", "nearly")
    for number in range(len(load(target)[1][kind]))
]


def alerts_of(target, example, defaults, make_host):
    cls, _ = load(target)
    host = make_host(Linux, (cls, example.get("options", defaults.get("options", {}))))
    decoded = SyslogInput(SyslogOptions()).decode(example["line"].encode())
    fields = {"category": "syslog", **example.get("fields", defaults.get("fields", {}))}
    done = host.process({**decoded, **fields}, kind="syslog", received="2026-11-24T10:00:00+00:00")
    (event,) = done.events
    detector = Detector(host)
    found = detector.stream(detector.window(done.events), event.id, event.id)
    assert found.owed == []
    return found.alerts


@pytest.mark.parametrize(("target", "kind", "number"), CASES)
def test_an_example_fires_or_only_nearly_does(target, kind, number, make_host):
    _, examples = load(target)
    example = examples[kind][number]
    alerts = alerts_of(target, example, examples, make_host)
    if kind == "nearly":
        assert alerts == []
        return
    (alert,) = alerts
    assert alert.summary == example["summary"]
    assert alert.details["sourceipaddress"] in example["line"]
    assert alert.count == 1
    assert len(alert.events) == 1


@pytest.mark.parametrize("target", RULES)
def test_a_rule_names_its_attack_techniques_and_has_both_kinds_of_examples(target):
    cls, examples = load(target)
    assert cls.attack
    assert examples["fires"]
    assert examples["nearly"]
    assert isinstance(cls.severity, Severity)


@pytest.mark.parametrize("target", RULES)
def test_a_rule_keeps_the_contract(target, run_contract):
    cls, examples = load(target)
    run_contract(cls, options=examples.get("options", {}))


def test_options_change_the_alert_and_not_what_is_found(make_host):
    target = "mozdef_alerts.ssh.root_login:SshRootLogin"
    _, examples = load(target)
    example = {
        **examples["fires"][0],
        "options": {
            "severity": "CRITICAL",
            "tags_add": ["pager"],
            "channel": "soc",
            "url": "https://wiki.example/root",
        },
    }
    (alert,) = alerts_of(target, example, examples, make_host)
    assert alert.severity is Severity.CRITICAL
    assert alert.tags == ("ssh", "root", "pager")
    assert alert.channel == "soc"
    assert alert.url == "https://wiki.example/root"
