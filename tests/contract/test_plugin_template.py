"""The plugin template makes distributions that build, install beside the core, and pass their own tests there."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATE = ROOT / "contrib/plugin-template/generate.py"
HOOKS = ("on_event", "enrich", "alert_match", "alert_action")


def run(*command: str | Path, cwd: Path | None = None, status: int = 0) -> str:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("MOZDEF_", "PYTHON"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def generate(name: str, dest: Path, *hooks: str) -> Path:
    run(sys.executable, GENERATE, name, *itertools.chain(*(("--hook", hook) for hook in hooks)), dest)
    return dest / f"mozdef-{name.replace('_', '-')}"


def wheel_of(source: Path, wheels: Path) -> Path:
    """Build a wheel with what is installed, without a network."""
    before = set(wheels.iterdir())
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", wheels, source)
    (wheel,) = set(wheels.iterdir()) - before
    return wheel


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A clean environment with the core's wheel; its dependencies come from the environment that runs this test."""
    scratch = tmp_path_factory.mktemp("template")
    wheels, core, clean = scratch / "wheels", scratch / "core", scratch / "clean"
    wheels.mkdir()
    core.mkdir()
    shutil.copytree(ROOT / "mozdef_core", core / "mozdef_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, core)
    venv.create(clean, with_pip=False, symlinks=True)
    python = clean / "bin/python"
    install(python, wheel_of(core, wheels))
    (site,) = clean.glob("lib/python*/site-packages")
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "zz_dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")
    return python, wheels


def install(python: Path, wheel: Path) -> None:
    """Unpack a wheel into the environment; pip itself stays outside."""
    (site,) = python.parent.parent.glob("lib/python*/site-packages")
    command = ("install", "-q", "--no-index", "--no-deps", "--no-compile", "--target", site, wheel)
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *command)


def test_a_plugin_with_every_hook_is_built_installed_and_passes_its_tests(environment, tmp_path):
    python, wheels = environment
    source = generate("every_hook", tmp_path, *HOOKS)
    install(python, wheel_of(source, wheels))
    places = "import mozdef_core, mozdef_every_hook as made; print(mozdef_core.__file__, made.__file__)"
    where = run(python, "-c", places, cwd=tmp_path)
    assert where.count(str(python.parent.parent)) == 2, "the wheels are what is tested, not a checkout"
    shutil.copytree(source / "tests", tmp_path / "tests")
    output = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=tmp_path)
    assert "10 passed" in output


def test_the_installed_plugin_is_found_and_its_readme_configures_it(environment, tmp_path):
    python, wheels = environment
    source = generate("found", tmp_path, "on_event", "alert_action")
    install(python, wheel_of(source, wheels))
    settings = (source / "README.md").read_text().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "mozdef.toml").write_text(settings)
    mozdef = (python, "-c", "from mozdef_core.services.cli import main; main()")
    listed = run(*mozdef, "plugins", "list", "--enabled", cwd=tmp_path)
    assert "mozdef-found" in listed
    assert "on_event alert_action" in listed
    assert "the configuration is right" in run(*mozdef, "check", cwd=tmp_path)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_plugin_with_one_hook_passes_its_tests(hook, environment, tmp_path):
    python, _ = environment
    source = generate(f"only_{hook}", tmp_path, hook)
    output = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", source, source, cwd=source
    )
    assert " passed" in output
    assert "failed" not in output


def test_what_is_generated_is_of_the_shape_of_our_own_plugins(tmp_path):
    made = generate("shape", tmp_path)
    ours = ROOT / "plugins/mozdef-linux"
    names = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert names == {
        *("setup.cfg", "pyproject.toml", "README.md", "LICENSE"),
        *("mozdef_shape/__init__.py", "mozdef_shape/py.typed", "tests/test_shape.py"),
    }
    assert (made / "pyproject.toml").read_text() == (ours / "pyproject.toml").read_text()
    assert "$" not in "".join(path.read_text() for path in made.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["Geo", "geo-ip", "1geo", "geo__ip", "class", "core", ""])
def test_a_name_that_cannot_be_one_is_refused(name, tmp_path):
    assert "NAME: expected small letters" in run(sys.executable, GENERATE, name, tmp_path, status=2)


def test_nothing_is_overwritten(tmp_path):
    generate("once", tmp_path)
    assert "exists; remove it" in run(sys.executable, GENERATE, "once", tmp_path, status=2)
