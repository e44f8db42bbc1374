"""Discovery: what is installed, what is imported and what is not, and every way in which that can go wrong."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from mozdef_core import discovery
from mozdef_core.config import load
from mozdef_core.discovery import (
    find_plugins,
    installed,
    load_driver,
    load_inputs,
    load_plugins,
    options_of,
)
from mozdef_core.environment import EnvironmentText
from mozdef_core.errors import ConfigError
from mozdef_core.options import Secret

MAPPER = """
from mozdef_core import Field, Options, Secret, hookimpl
class Thing:
    order = 7
    applies_to = {"category": {"x"}}
    class Options(Options):
        database: str = Field(default="d", description="the file")
        retries: int = 3
        key: Secret | None = None
    def __init__(self, options):
        self.options = options
        self.closed = False
    def close(self):
        self.closed = True
    @hookimpl
    def on_event(self, event):
        return None
"""


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    """stevedore may not see or leave anything in the cache of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory on the path into which distributions can be put; their modules are forgotten afterwards."""
    before = set(sys.modules)
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    yield directory
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(directory) in str(sys.modules[name].__file__):
            del sys.modules[name]


def put(site: Path, name: str, source: str = MAPPER, group: str = "mozdef.plugins", **points: str) -> None:
    """Put a distribution ``mozdef-<name>`` with a module ``mozdef_<name>`` there, as pip would."""
    (site / f"mozdef_{name}.py").write_text(source)
    info = site / f"mozdef_{name}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mozdef-{name}\nVersion: 1.5\n")
    lines = [f"{point} = {target}" for point, target in (points or {name: f"mozdef_{name}:Thing"}).items()]
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(lines) + "\n")


def config_of(tmp_path: Path, text: str):
    path = tmp_path / "mozdef.toml"
    path.write_text(text)
    return load(path, {})


def problems_of(loader, *arguments) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loader(*arguments)
    return caught.value.problems


def test_what_is_installed_is_known_with_its_version_and_not_imported(site):
    put(site, "alpha")
    found = {item.name: item for item in installed("mozdef.plugins")}
    assert found["alpha"].version == "1.5"
    assert found["alpha"].distribution == "mozdef-alpha"
    assert found["alpha"].target == "mozdef_alpha:Thing"
    assert "mozdef_alpha" not in sys.modules


def test_only_what_is_enabled_is_imported(site, tmp_path):
    put(site, "alpha")
    put(site, "beta", source="raise RuntimeError('imported although it is not enabled')")
    (plugin,) = load_plugins(config_of(tmp_path, 'plugins = ["alpha"]'))
    assert "mozdef_beta" not in sys.modules
    assert (plugin.name, plugin.version, plugin.order, plugin.stage) == ("alpha", "1.5", 7, "action")
    assert plugin.applies_to == {"category": {"x"}}


def test_plugins_come_in_the_operators_order(site, tmp_path):
    for name in ("alpha", "beta", "gamma"):
        put(site, name)
    plugins = load_plugins(config_of(tmp_path, 'plugins = ["gamma", "alpha", "beta"]'))
    assert [plugin.name for plugin in plugins] == ["gamma", "alpha", "beta"]


def test_a_plugin_installed_a_moment_ago_is_found_although_stevedores_cache_misses_it(site, tmp_path):
    """stevedore would answer from a list made before; this seeds that list and shows that it is not asked."""
    from stevedore.extension import ExtensionManager

    assert "late" not in ExtensionManager("mozdef.plugins").names()
    put(site, "late")
    assert "late" not in [point.name for point in ExtensionManager("mozdef.plugins").list_entry_points()]
    (plugin,) = load_plugins(config_of(tmp_path, 'plugins = ["late"]'))
    assert plugin.version == "1.5"


def test_the_cache_on_disk_is_neither_read_nor_written(site, tmp_path):
    put(site, "alpha")
    config = 'plugins = ["alpha"]'
    load_plugins(config_of(tmp_path, config))
    assert not (tmp_path / "cache").exists()


def test_two_distributions_that_claim_one_name_are_an_error_and_neither_is_imported(site, tmp_path):
    put(site, "alpha")
    put(site, "rival", alpha="mozdef_rival:Thing")
    (problem,) = problems_of(load_plugins, config_of(tmp_path, 'plugins = ["alpha"]'))
    assert problem.startswith("plugin.alpha: mozdef-")
    assert "mozdef-alpha 1.5" in problem
    assert "mozdef-rival 1.5" in problem
    assert problem.endswith("both bring a plugin 'alpha'; uninstall one")
    assert not {"mozdef_alpha", "mozdef_rival"} & set(sys.modules)


def test_two_claims_on_a_name_that_is_not_enabled_do_no_harm(site, tmp_path):
    put(site, "alpha")
    put(site, "rival", alpha="mozdef_rival:Thing", other="mozdef_rival:Thing")
    assert [plugin.name for plugin in load_plugins(config_of(tmp_path, 'plugins = ["other"]'))] == ["other"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("raise AssertionError('no')", "AssertionError: no"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_reported_once_with_the_reason(site, tmp_path, source, reason):
    put(site, "broken", source=source)
    put(site, "alpha")
    plugins, problems = find_plugins(config_of(tmp_path, 'plugins = ["broken", "alpha"]'))
    assert [plugin.name for plugin in plugins] == ["alpha"]
    (problem,) = problems
    assert problem.startswith(
        "plugin.broken: cannot be imported from mozdef_broken:Thing (mozdef-broken 1.5): "
    )
    assert reason in problem


def test_a_driver_that_cannot_be_imported_is_not_called_missing(site):
    put(site, "broken", source="import nothing_of_this_name", group="mozdef.stores")
    (problem,) = problems_of(load_driver, "mozdef.stores", "broken")
    assert problem == (
        "core.store: 'broken' cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"
    )


def test_a_driver_whose_objects_are_falsy_is_a_class_that_makes_objects(site):
    put(site, "empty", source="class Thing:\n    def __len__(self): return 0\n", group="mozdef.queues")
    driver = load_driver("mozdef.queues", "empty")
    assert driver.__name__ == "Thing"
    assert not isinstance(driver(), type)


def test_a_misspelt_driver_gets_a_suggestion_and_a_doubled_one_is_refused(site):
    put(site, "alpha", group="mozdef.stores", same="mozdef_alpha:Thing")
    put(site, "beta", group="mozdef.stores", same="mozdef_beta:Thing")
    (problem,) = problems_of(load_driver, "mozdef.stores", "tantvy")
    assert problem == "core.store: no store 'tantvy' is installed; did you mean 'tantivy'?"
    (problem,) = problems_of(load_driver, "mozdef.stores", "same")
    assert (
        problem == "core.store: mozdef-alpha 1.5 and mozdef-beta 1.5 both bring a store 'same'; uninstall one"
    )


def test_a_driver_that_is_not_a_class_is_refused(site):
    put(site, "func", source="def Thing(): pass", group="mozdef.stores")
    assert problems_of(load_driver, "mozdef.stores", "func") == (
        "core.store: mozdef_func:Thing is not a class",
    )


def test_every_problem_of_every_plugin_is_reported_at_once(site, tmp_path):
    put(site, "alpha")
    put(
        site,
        "beta",
        source=MAPPER.replace("self.closed = False", "raise OSError(2, 'No such file', 'city.mmdb')"),
    )
    put(site, "gamma", source=MAPPER.replace("def on_event(self, event)", "def on_evnet(self, event)"))
    put(site, "delta", source="Thing = 3")
    put(site, "rule", group="mozdef.alerts")
    problems = problems_of(
        load_plugins,
        config_of(
            tmp_path,
            """
            plugins = ["alpha", "beta", "gamma", "delta", "alpah", "rule"]
            [plugin.alpha]
            databse = "x"
            retries = "4x"
            key = "hunter2"
            [plugin.bta]
            [plugin.alpah]
            """,
        ),
    )
    assert "plugin.alpha: unknown option 'databse'; did you mean 'database'?" in problems
    assert "plugin.alpha.retries: expected a whole number, got '4x'" in problems
    assert (
        "plugin.alpha.key: a secret is written as 'env:NAME' or 'file:/path', never as the value itself"
        in problems
    )
    assert "plugin.beta: cannot start: FileNotFoundError: [Errno 2] No such file: 'city.mmdb'" in problems
    assert "plugin.gamma: unknown hook 'on_evnet'; did you mean 'on_event'?" in problems
    assert "plugin.delta: mozdef_delta:Thing is not a class" in problems
    assert "plugins: no plugin 'alpah' is installed; did you mean 'alpha'?" in problems
    assert "plugins: no plugin 'rule' is installed; it is a rule and belongs in alerts.enabled" in problems
    assert "plugin.bta: no plugin 'bta' is installed; did you mean 'beta'?" in problems
    assert len(problems) == 9


@pytest.mark.parametrize("raised", ["SystemExit(1)", "ValueError('x')", "MemoryError()"])
def test_a_plugin_that_cannot_start_is_a_problem_whatever_it_raises(site, tmp_path, raised):
    put(site, "alpha", source=MAPPER.replace("self.closed = False", f"raise {raised}"))
    (problem,) = problems_of(load_plugins, config_of(tmp_path, 'plugins = ["alpha"]'))
    assert problem.startswith("plugin.alpha: cannot start: ")


def test_what_had_been_made_is_closed_when_something_is_wrong(site, tmp_path, monkeypatch):
    put(site, "alpha")
    closed = []
    monkeypatch.setattr(discovery, "close_plugin", lambda plugin: closed.append(plugin.name))
    problems_of(load_plugins, config_of(tmp_path, 'plugins = ["alpha", "nope"]'))
    assert closed == ["alpha"]


def test_the_operator_may_override_the_order(site, tmp_path):
    put(site, "alpha")
    (plugin,) = load_plugins(config_of(tmp_path, 'plugins = ["alpha"]\n[plugin.alpha]\norder = 3'))
    assert plugin.order == 3
    (problem,) = problems_of(
        load_plugins, config_of(tmp_path, 'plugins = ["alpha"]\n[plugin.alpha]\norder = "x"')
    )
    assert problem == "plugin.alpha.order: expected a whole number, got 'x'"


def test_an_option_of_the_plugin_called_order_is_the_plugins(site, tmp_path):
    put(site, "alpha", source=MAPPER.replace("retries: int = 3", "retries: int = 3\n        order: str = ''"))
    (plugin,) = load_plugins(config_of(tmp_path, 'plugins = ["alpha"]\n[plugin.alpha]\norder = "asc"'))
    assert (plugin.order, plugin.instance.options.order) == (7, "asc")


def test_a_plugin_without_options_takes_none(site, tmp_path):
    source = "from mozdef_core import hookimpl\nclass Thing:\n    def __init__(self, options): ...\n"
    put(site, "bare", source=source + "    @hookimpl\n    def enrich(self, event): ...\n")
    assert len(load_plugins(config_of(tmp_path, 'plugins = ["bare"]'))) == 1
    (problem,) = problems_of(load_plugins, config_of(tmp_path, 'plugins = ["bare"]\n[plugin.bare]\nx = 1'))
    assert problem == "plugin.bare: unknown option 'x'; there is none"


RULE = """
from mozdef_core import Options, hookimpl
class Thing:
    class Options(Options):
        threshold: int = 1
    def __init__(self, options):
        self.options = options
    @hookimpl
    def alert_match(self, window):
        return None
"""


def loaded_rules(config):
    from mozdef_core.services.rulebook import RuleLoader

    return RuleLoader(config).load({})


def test_rules_are_enabled_by_name_or_pattern(site, tmp_path):
    target = "mozdef_rules:Thing"
    put(site, "rules", RULE, "mozdef.alerts", zz_root=target, zz_brute=target, yy_other=target)
    loaded = loaded_rules(
        config_of(
            tmp_path, '[alerts]\nenabled = ["yy_other", "zz_*", "zz_root"]\n[alerts.zz_root]\nthreshold = 5'
        )
    )
    rules = {rule.name: rule for rule in loaded.rules if rule.enabled}
    assert list(rules) == ["yy_other", "zz_brute", "zz_root"]
    assert rules["zz_root"].plugin.instance.options.threshold == 5


def test_misspelt_rules_patterns_and_options_are_reported(site, tmp_path):
    put(site, "rules", RULE, "mozdef.alerts", zz_root="mozdef_rules:Thing")
    text = (
        '[alerts]\nenabled = ["zz_rot", "qq_*", "zz_root"]\n[alerts.zz_root]\ntreshold = 5\n[alerts.zz_rood]'
    )
    problems = loaded_rules(config_of(tmp_path, text)).problems
    assert "alerts.enabled: no rule 'zz_rot' is installed; did you mean 'zz_root'?" in problems
    assert any(problem.startswith("alerts.enabled: 'qq_*' matches no installed rule") for problem in problems)
    assert "alerts.zz_root: unknown option 'treshold'; did you mean 'threshold'?" in problems
    assert "alerts.zz_rood: no rule 'zz_rood' is installed; did you mean 'zz_root'?" in problems
    assert len(problems) == 4


INPUT = """
from mozdef_core import Input, Options
class Thing(Input):
    kind = "test"
    class Options(Options):
        port: int = 1
    def run(self, intake, stop): ...
class Other:
    def __init__(self, options): ...
"""


def test_inputs_are_made_by_name(site, tmp_path):
    put(site, "inputs", INPUT, "mozdef.inputs", tail="mozdef_inputs:Thing", wrong="mozdef_inputs:Other")
    inputs = load_inputs(config_of(tmp_path, 'inputs = ["tail"]\n[input.tail]\nport = 9'))
    assert inputs["tail"].options.port == 9
    (problem,) = problems_of(load_inputs, config_of(tmp_path, 'inputs = ["wrong"]'))
    assert problem == "input.wrong: mozdef_inputs:Other is not a mozdef_core.Input"
    (problem,) = problems_of(load_inputs, config_of(tmp_path, 'inputs = ["tial"]'))
    assert problem == "inputs: no input 'tial' is installed; did you mean 'tail'?"


def test_several_inputs_of_one_kind_are_made_each_with_its_own_options(site, tmp_path):
    put(site, "inputs", INPUT, "mozdef.inputs", tail="mozdef_inputs:Thing")
    config = config_of(
        tmp_path,
        'inputs = ["tail", "office", "plant"]\n[input.office]\nkind = "tail"\nport = 2\n'
        '[input.plant]\nkind = "tail"\nport = 3',
    )
    inputs = load_inputs(config)
    assert {name: source.options.port for name, source in inputs.items()} == {
        "tail": 1,
        "office": 2,
        "plant": 3,
    }
    assert discovery.enabled(config, "mozdef.inputs") == ("tail",)


def test_a_kind_that_is_not_installed_is_named_with_its_place(site, tmp_path):
    put(site, "inputs", INPUT, "mozdef.inputs", tail="mozdef_inputs:Thing")
    text = "inputs = [{}]\n[input.office]\nkind = {}"
    (problem,) = problems_of(load_inputs, config_of(tmp_path, text.format('"office"', '"tial"')))
    assert problem == "input.office.kind: no input 'tial' is installed; did you mean 'tail'?"
    (problem,) = problems_of(load_inputs, config_of(tmp_path, text.format('"office"', "5")))
    assert problem.startswith("input.office.kind: no input '5' is installed; there are ")
    assert "office" not in problem.partition(";")[2]
    (problem,) = problems_of(load_inputs, config_of(tmp_path, text.format("", '"tial"')))
    assert problem == "input.office: no input 'tial' is installed; did you mean 'tail'?"
    (problem,) = problems_of(load_inputs, config_of(tmp_path, text.format('"offcie"', '"tail"')))
    assert problem == "inputs: no input 'offcie' is installed; did you mean 'office'?"


def test_a_table_of_an_input_that_is_not_enabled_may_say_its_kind(site, tmp_path):
    put(site, "inputs", INPUT, "mozdef.inputs", tail="mozdef_inputs:Thing")
    assert load_inputs(config_of(tmp_path, 'inputs = []\n[input.office]\nkind = "tail"')) == {}


def test_options_from_the_environment_are_typed_and_named(site, tmp_path):
    put(site, "alpha")
    cls = importlib.metadata.entry_points(group="mozdef.plugins")["alpha"].load()
    table = {"retries": EnvironmentText("9", "V"), "key": EnvironmentText("hunter2", "W")}
    options = options_of(cls, table, "plugin.alpha")
    assert (options.retries, options.key) == (9, Secret("hunter2"))
    (problem,) = problems_of(options_of, cls, {"retries": EnvironmentText("9x", "V")}, "plugin.alpha")
    assert problem == "plugin.alpha.retries: expected a whole number, got '9x' (from V)"


def test_a_process_that_only_loads_a_store_imports_no_plugin_and_no_other_driver(tmp_path):
    """Runs in a process of its own, since this one has imported much."""
    code = (
        "import sys; import mozdef_core.discovery as d; d.installed('mozdef.stores');"
        "print(sorted(m for m in sys.modules if m.startswith(('mozdef_core.drivers.', 'sqlalchemy', 'tantivy'))))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
