"""The Python on the pages runs, and the tests that stand on them pass."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mozdef_core
from mozdef_core import hookspecs
from mozdef_core.host import HOOKS

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = ("plugins", "rules", "query")


def blocks(page):
    return FENCE.findall((ROOT / f"docs/{page}.md").read_text())


def written(page):
    """Return the blocks of a page and where they stand, with a name for each test."""
    text = (ROOT / f"docs/{page}.md").read_text()
    for block in FENCE.finditer(text):
        # As many empty lines before it that a traceback names the line of the page.
        yield "\n" * text.count("\n", 0, block.start(1)) + block[1]


def run(page):
    """Run the blocks of a page one after the other, in one module."""
    names = {"__name__": f"docs_{page}", "__file__": str(ROOT / f"docs/{page}.md")}
    sys.modules.setdefault(f"docs_{page}", type(sys)(f"docs_{page}")).__dict__.update(names)
    module = sys.modules[f"docs_{page}"]
    tests = {}
    for code in written(page):
        exec(compile(code, names["__file__"], "exec"), module.__dict__)
        found = re.findall(r"^def (test_\w+)", code, re.MULTILINE)
        tests.update({name: getattr(module, name) for name in found})
    return tests


TESTS = [
    (page, name)
    for page in PAGES
    for name in re.findall(r"^def (test_\w+)", "\n".join(blocks(page)), re.MULTILINE)
]


@pytest.mark.parametrize(("page", "name"), TESTS)
def test_a_test_on_a_page_passes(page, name, request):
    function = run(page)[name]
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    function(**{argument: request.getfixturevalue(argument) for argument in wanted})


@pytest.mark.parametrize("page", PAGES)
def test_examples_import_only_what_is_public(page):
    for code in blocks(page):
        for node in ast.parse(code).body:
            if isinstance(node, ast.ImportFrom) and node.module == "mozdef_core":
                assert {alias.name for alias in node.names} <= set(mozdef_core.__all__)
            elif isinstance(node, ast.ImportFrom):
                assert not node.module.startswith("mozdef_core")


def test_the_page_on_plugins_names_every_hook_with_its_arguments_and_shows_one_of_each():
    text = (ROOT / "docs/plugins.md").read_text()
    for hook in HOOKS:
        arguments = [name for name in getattr(hookspecs, hook).__annotations__ if name != "return"]
        assert f"`{hook}({', '.join(arguments)})`" in text
        assert f"    def {hook}(self, " in text


def test_the_commands_that_make_a_plugin_make_one(tmp_path):
    text = (ROOT / "docs/plugins.md").read_text()
    command = re.search(r"^python (contrib/plugin-template/generate.py .*) DEST$", text, re.MULTILINE)[
        1
    ].split()
    subprocess.run([sys.executable, *command, str(tmp_path)], check=True, cwd=ROOT, capture_output=True)
    made = tmp_path / "mozdef-vaultd"
    assert "vaultd = mozdef_vaultd:Vaultd" in (made / "setup.cfg").read_text()
    assert "key: str" in (made / "mozdef_vaultd/__init__.py").read_text()
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(made)],
        capture_output=True, text=True, check=False, cwd=made, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{made}:{ROOT}"},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
