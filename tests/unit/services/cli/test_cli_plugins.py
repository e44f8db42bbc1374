"""``mozdef plugins`` and ``mozdef check``: what an operator sees before anything starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mozdef_core.services.cli import main

SOURCE = """
from datetime import timedelta
from mozdef_core import Duration, Field, Options, Secret, Severity, hookimpl
class Thing:
    '''Does something.

    And more.'''
    order = 7
    applies_to = {"category": {"x"}}
    class Options(Options):
        database: str = Field(description="the file")
        retries: int = Field(default=3, description="how often")
        wait: Duration = Field(default=timedelta(minutes=2), description="how long")
        names: list[str] = Field(default=["a"], description="which")
        level: Severity | None = Field(default=None, description="how bad")
        key: Secret | None = Field(default=None, description="who we are")
        password: str = Field(default="hunter2", description="old style")
    def __init__(self, options):
        self.options = options
    @hookimpl
    def enrich(self, event):
        return None
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A working directory, and a directory on the path with two plugins: one to use, one that breaks on import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    site = tmp_path / "site"
    for name, source in (("zzthing", SOURCE), ("zzbroken", "raise RuntimeError('imported')")):
        info = site / f"mozdef_{name}-1.5.dist-info"
        info.mkdir(parents=True)
        (site / f"mozdef_{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mozdef-{name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[mozdef.plugins]\n{name} = mozdef_{name}:Thing\n")
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in ("mozdef_zzthing", "mozdef_zzbroken"):
        sys.modules.pop(name, None)


def configure(text: str) -> None:
    Path("mozdef.toml").write_text(text)


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == status, result.output
    return result.output


def listed(*arguments: str) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(run("plugins", "list", "--json", *arguments))["installed"]}


def test_the_list_imports_nothing_that_is_not_enabled(site):
    row = listed()["zzthing"]
    assert (row["kind"], row["distribution"], row["version"]) == ("plugin", "mozdef-zzthing", "1.5")
    assert (row["enabled"], row["hooks"], row["about"]) == (False, [], "")
    assert "mozdef_zzthing" not in sys.modules
    assert "mozdef_zzbroken" not in sys.modules


def test_the_list_says_what_an_enabled_plugin_does_and_why_another_cannot(site):
    configure('plugins = ["zzthing", "zzbroken"]')
    rows = listed("--kind", "plugin", "--enabled")
    assert set(rows) == {"zzthing", "zzbroken"}
    assert (rows["zzthing"]["hooks"], rows["zzthing"]["about"]) == (["enrich"], "Does something.")
    assert "RuntimeError: imported" in rows["zzbroken"]["problem"]
    text = run("plugins", "list", "--kind", "plugin", "--enabled")
    assert "Does something." in text
    assert "RuntimeError: imported" in " ".join(text.split())


def test_drivers_are_listed_with_the_one_that_is_used(site):
    rows = json.loads(run("plugins", "list", "--json", "--kind", "store"))["installed"]
    shown = {row["name"]: row["enabled"] for row in rows}
    assert {"memory", "tantivy", "elasticsearch"} <= set(shown)
    assert [name for name, enabled in shown.items() if enabled] == ["tantivy"]


def test_options_are_shown_with_their_types_defaults_and_present_values(site, monkeypatch):
    monkeypatch.setenv("THE_KEY", "hunter2")
    configure(
        'plugins = ["zzthing"]\n[plugin.zzthing]\ndatabase = "d.mmdb"\nwait = "5m"\nkey = "env:THE_KEY"\norder = 2'
    )
    output = run("plugins", "show", "zzthing", "--json")
    assert "hunter2" not in output
    shown = json.loads(output)
    assert (shown["enabled"], shown["order"], shown["applies_to"]) == (True, 7, {"category": ["x"]})
    assert shown["about"] == "Does something.\n\nAnd more."
    options = {option.pop("name"): option for option in shown["options"]}
    assert options["database"] == {
        "type": "text",
        "required": True,
        "default": None,
        "value": "d.mmdb",
        "set": True,
        "description": "the file",
    }
    assert (options["retries"]["type"], options["retries"]["value"]) == ("whole number", 3)
    assert (options["wait"]["type"], options["wait"]["default"], options["wait"]["value"]) == (
        "duration",
        "120s",
        "300s",
    )
    assert (options["names"]["type"], options["names"]["value"]) == ("list of text", ["a"])
    assert options["level"]["type"].startswith("EMERGENCY | ALERT")
    assert (options["key"]["type"], options["key"]["default"], options["key"]["value"]) == (
        "secret",
        None,
        "***",
    )
    assert (options["password"]["type"], options["password"]["value"]) == ("secret", "***")
    assert shown["problems"] == []
    text = run("plugins", "show", "zzthing")
    assert "hunter2" not in text
    assert "(required)" in text


def test_wrong_options_are_said_beside_the_right_ones(site):
    configure('plugins = ["zzthing"]\n[plugin.zzthing]\nretries = "4x"')
    shown = json.loads(run("plugins", "show", "zzthing", "--json"))
    assert shown["problems"] == [
        "plugin.zzthing.database: required, but not set (the file)",
        "plugin.zzthing.retries: expected a whole number, got '4x'",
    ]


def test_a_plugin_that_is_not_enabled_may_lack_what_it_requires(site):
    assert json.loads(run("plugins", "show", "zzthing", "--json"))["problems"] == []


def test_a_name_that_is_not_installed_or_not_alone_is_explained(site):
    assert "did you mean 'zzthing'?" in run("plugins", "show", "zzthin", status=1)
    assert "add --kind" in run("plugins", "show", "memory", status=1)
    assert json.loads(run("plugins", "show", "memory", "--kind", "store", "--json"))["kind"] == "store"
    assert "there is no kind 'plug'" in run("plugins", "list", "--kind", "plug", status=1)


def test_check_says_everything_that_is_wrong_and_ends_with_1(site):
    configure('plugins = ["zzthing", "zzthin", "zzbroken"]\n[core]\nstore = "tantvy"\n[web]\nlisten = "x"')
    output = run("check", status=1)
    for problem in (
        "web.listen: expected host:port",
        "plugins: no plugin 'zzthin' is installed; did you mean 'zzthing'?",
        "plugin.zzthing.database: required, but not set (the file)",
        "plugin.zzbroken: cannot be imported",
        "core.store: no store 'tantvy' is installed; did you mean 'tantivy'?",
    ):
        assert problem in output
    document = json.loads(run("check", "--json", status=1))
    assert document["ok"] is False
    assert len(document["problems"]) == 5


def test_check_says_what_is_enabled_and_ends_with_0(site):
    configure('plugins = ["zzthing"]\n[plugin.zzthing]\ndatabase = "d"')
    assert "plugins: zzthing" in run("check")
    document = json.loads(run("check", "--json"))
    assert (document["ok"], document["problems"], document["enabled"]["plugins"]) == (True, [], ["zzthing"])
