"""The rulebook: which rules there are, what each is made of, and what keeps one from being in force."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mozdef_core import discovery
from mozdef_core.casework.rule_settings import RuleSetting
from mozdef_core.config import read
from mozdef_core.errors import ConfigError
from mozdef_core.rules import EventRule, RuleOptions, RulePack
from mozdef_core.services.check import check
from mozdef_core.services.rulebook import KnownRule, Loaded, RuleLoader, known_rules
from mozdef_core.settings import Config

EVENT = "kind: event\nquery: details.door:north\nsummary: x\n"
EXAMPLES = """
examples:
  fires: [{send: {document: {details: {door: north}}}}]
  nearly: [{send: {document: {details: {door: south}}}}]
"""

Site = Callable[..., RuleLoader]


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Config]:
    (tmp_path / "rules").mkdir()

    def made(text: str = "", **files: str) -> Config:
        for name, content in files.items():
            (tmp_path / "rules" / f"{name}.yaml").write_text(content)
        (tmp_path / "mozdef.toml").write_text(f'[alerts]\nfolders = ["rules"]\n{text}')
        config, problems = read(tmp_path / "mozdef.toml", {})
        assert not problems
        return config

    return made


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what installs classes as the only rules that there are."""

    def installing(**classes: type[Any]) -> None:
        module = types.ModuleType("rules_of_test")
        vars(module).update(classes)
        monkeypatch.setitem(sys.modules, "rules_of_test", module)
        items = [
            discovery.Installed(discovery.RULES, name, f"rules_of_test:{name}", "dist", "1")
            for name in classes
        ]
        monkeypatch.setattr(discovery, "installed", lambda group: items if group == discovery.RULES else [])
        monkeypatch.setattr(
            discovery, "load_each", lambda group, names: {name: (classes[name], "1") for name in names}
        )

    return installing


class North(EventRule[RuleOptions]):
    """Somebody at the north door."""

    def condition(self) -> Any:
        from mozdef_core.query.model import Term

        return Term("details.door", "north")

    def summary(self, event: Any) -> str:
        return "x"


def load(config: Config, **settings: RuleSetting) -> Loaded:
    return RuleLoader(config).load(settings)


def by_name(rules: Any) -> Mapping[str, KnownRule]:
    return {rule.name: rule for rule in rules}


def test_a_rule_in_a_file_is_enabled_unless_it_says_otherwise(configure: Callable[..., Config]) -> None:
    rules = by_name(
        known_rules(configure(doors=EVENT, quiet=EVENT + "enabled: false\n", off=EVENT + "mode: 'off'\n"))
    )
    assert {name: rules[name].in_force for name in ("doors", "quiet", "off")} == {
        "doors": True,
        "quiet": False,
        "off": False,
    }
    assert rules["doors"].origin.endswith("/rules/doors.yaml")
    assert (rules["doors"].kind, rules["doors"].schedule, rules["doors"].mode) == ("event", "stream", "live")


def test_a_table_sets_options_of_a_rule_in_a_file(configure: Callable[..., Config]) -> None:
    rules = by_name(
        known_rules(configure('[alerts.doors]\nseverity = "CRITICAL"\nmode = "staged"\n', doors=EVENT))
    )
    assert rules["doors"].plugin is not None
    assert rules["doors"].plugin.instance.options.severity == "CRITICAL"
    assert rules["doors"].mode == "staged"


def test_a_wrong_file_keeps_nothing_else_from_running_and_check_says_so(
    configure: Callable[..., Config],
) -> None:
    config = configure("[alerts.doors]\nseverty = 'x'\n", doors=EVENT, good=EVENT, bad="kind: event\n")
    loaded = load(config)
    rules = by_name(loaded.rules)
    assert rules["good"].in_force
    assert not rules["bad"].in_force
    assert not loaded.problems
    assert any("bad.yaml:1: summary: required" in text for text in loaded.warnings)
    assert any("doors.yaml: alerts.doors: unknown option 'severty'" in text for text in loaded.warnings)
    report = check(config)
    assert not report.problems
    assert set(loaded.warnings) <= set(report.notices)


def test_a_folder_that_cannot_be_read_is_a_warning(configure: Callable[..., Config], tmp_path: Path) -> None:
    config = configure()
    (tmp_path / "rules").rmdir()
    loaded = load(config)
    assert loaded.problems == []
    assert "rules cannot be read: No such file" in loaded.warnings[0]


def test_two_files_of_one_name_are_told_of_with_both_places(configure: Callable[..., Config]) -> None:
    rules = known_rules(configure(a=EVENT + "name: doors\n", b=EVENT + "name: doors\n"))
    (first,) = [rule for rule in rules if rule.name == "doors"]
    (second,) = [rule for rule in rules if rule.name.startswith("doors (")]
    assert first.in_force
    assert second.plugin is None
    assert all(place in second.problems[0] for place in ("a.yaml", "b.yaml", "'doors'"))


def test_a_name_that_is_installed_is_taken(
    configure: Callable[..., Config], install: Callable[..., None]
) -> None:
    install(doors=North)
    rules = known_rules(configure(doors=EVENT))
    assert [(rule.name, rule.in_force) for rule in rules] == [("doors", False), ("doors (doors.yaml)", False)]
    assert "taken by dist 1" in rules[1].problems[0]


def test_a_window_longer_than_events_are_kept_is_refused(configure: Callable[..., Config]) -> None:
    text = "kind: aggregation\nquery: a:b\nby: details.x\nwindow: 40d\nsummary: x\n"
    config = configure('[retention]\ndefault = "30d"\n', long=text, short=text.replace("40d", "30d"))
    rules = by_name(known_rules(config))
    assert rules["short"].in_force
    assert "window is 40 days" in rules["long"].problems[0]
    silences = "{alerts: [{description: a, search_query: 'a:b', time_window: 31, time_window_type: days}]}"
    assert not by_name(known_rules(configure('[retention]\ndefault = "30d"\n', s=silences)))[
        "deadman:s"
    ].in_force


def test_examples_in_a_file_are_read_and_wrong_ones_refused(configure: Callable[..., Config]) -> None:
    rules = by_name(
        known_rules(configure(doors=EVENT + EXAMPLES, bad=EVENT + "examples: {fires: [{sent: x}]}\n"))
    )
    examples = rules["doors"].examples()
    assert examples is not None
    assert (len(examples.fires), len(examples.nearly)) == (1, 1)
    assert rules["bad"].plugin is None
    assert "bad.yaml: examples" in rules["bad"].problems[0]


def test_what_people_set_goes_before_the_configuration(
    configure: Callable[..., Config], install: Callable[..., None]
) -> None:
    install(north=North, other=North)
    config = configure('enabled = ["north"]\n', doors=EVENT)
    off = {name: RuleSetting(name, False, None, "ines", 1) for name in ("north", "doors")}
    on = {"other": RuleSetting("other", True, "5m", "ines", 1)}
    rules = by_name(load(config, **off, **on).rules)
    assert {name: rule.in_force for name, rule in rules.items()} == {
        "doors": False,
        "north": False,
        "other": True,
    }
    assert rules["other"].schedule == "5m"


def test_what_has_not_changed_is_the_same_object(configure: Callable[..., Config], tmp_path: Path) -> None:
    loader = RuleLoader(configure(doors=EVENT, other=EVENT))
    before, first = loader.fingerprint(), by_name(loader.load({}).rules)
    assert loader.fingerprint() == before
    path = tmp_path / "rules" / "doors.yaml"
    path.write_text(EVENT + "tags: [x]\n")
    os.utime(path, ns=(1, 1))
    assert loader.fingerprint() != before
    second = by_name(loader.load({}).rules)
    assert second["other"].plugin is first["other"].plugin
    assert second["doors"].plugin is not first["doors"].plugin


def test_names_that_mean_nothing_are_problems_for_they_are_installed_rules(
    install: Callable[..., None], tmp_path: Path
) -> None:
    install(north=North)
    (tmp_path / "mozdef.toml").write_text(
        '[alerts]\nenabled = ["nrth", "zz*"]\n[alerts.nort]\nseverity = "ERROR"\n'
    )
    config, _ = read(tmp_path / "mozdef.toml", {})
    assert load(config).problems == [
        "alerts.enabled: no rule 'nrth' is installed; did you mean 'north'?",
        "alerts.enabled: 'zz*' matches no installed rule; there is north",
        "alerts.nort: no rule 'nort' is installed; did you mean 'north'?",
    ]


class Pack(RulePack):
    """Rules of a site."""

    @classmethod
    def rules(cls) -> Mapping[str, type[Any]]:
        return {"north": North, "south": North}


@pytest.mark.parametrize(
    ("enabled", "in_force"),
    [
        ('"acme"', {"acme:north", "acme:south"}),
        ('"acme:*"', {"acme:north", "acme:south"}),
        ('"acme:north"', {"acme:north"}),
        ('"*:south"', {"acme:south"}),
        ("", set()),
    ],
)
def test_rules_of_a_pack_are_enabled_by_name_or_pattern(
    configure: Callable[..., Config], install: Callable[..., None], enabled: str, in_force: set[str]
) -> None:
    install(acme=Pack, alone=North)
    loaded = load(configure(f"enabled = [{enabled}]\n"))
    assert not loaded.problems
    assert {rule.name for rule in loaded.rules if rule.in_force} == in_force


def test_a_pack_has_the_rules_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("pack_of_test")
    module.__file__ = str(tmp_path / "pack_of_test.py")
    monkeypatch.setitem(sys.modules, "pack_of_test", module)
    pack = type("Site", (RulePack,), {"__module__": "pack_of_test"})
    with pytest.raises(ConfigError, match="cannot be read"):
        pack.rules()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "doors.yaml").write_text(EVENT)
    assert list(pack.rules()) == ["doors"]
    (tmp_path / "rules" / "bad.yaml").write_text("kind: event\n")
    (tmp_path / "rules" / "other.yaml").write_text(EVENT + "name: doors\n")
    with pytest.raises(ConfigError) as caught:
        pack.rules()
    assert any("bad.yaml:1" in text for text in caught.value.problems)
    assert any("another rule 'doors'" in text for text in caught.value.problems)


def test_a_rule_with_another_hook_is_refused(
    configure: Callable[..., Config], install: Callable[..., None]
) -> None:
    install(north=type("Busy", (North,), {"enrich": lambda self, event: None}))
    (problem, *_) = load(configure('enabled = ["north"]\n')).problems
    assert "enrich" in problem
