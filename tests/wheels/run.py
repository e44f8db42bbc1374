"""Build the core, the rules and every plugin as wheels, and test each where nothing else is installed.

Usage: python tests/wheels/run.py [NAME ...], the names of directories under plugins/, or "alerts"; none means all.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command and let its failure end this program."""
    subprocess.run([str(part) for part in command], cwd=cwd, check=True)


def build(source: Path, wheels: Path) -> Path:
    """Build one wheel from a copy of its source, so that no build directory is left behind, and return it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "source"
        ignore = shutil.ignore_patterns(".git", ".tox", ".venv", "build", "dist", "*.egg-info", "var")
        shutil.copytree(source, copy, ignore=ignore)
        before = set(wheels.iterdir())
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, copy)
    (wheel,) = set(wheels.iterdir()) - before
    return wheel


def main(names: list[str]) -> int:
    """Test each distribution in an environment of its own; return how many failed."""
    sources = [path.parent for path in sorted(ROOT.glob("plugins/*/setup.cfg"))]
    sources += [ROOT / "alerts"] if (ROOT / "alerts/setup.cfg").exists() else []
    sources = [source for source in sources if not names or source.name in names]
    with tempfile.TemporaryDirectory() as scratch:
        wheels, clean = Path(scratch) / "wheels", Path(scratch) / "clean"
        wheels.mkdir()
        core = build(ROOT, wheels)
        venv.create(clean, with_pip=True)
        run(clean / "bin/python", "-m", "pip", "install", "--quiet", f"{core}[test]")
        failed = []
        for source in sources:
            wheel = build(source, wheels)
            here = Path(scratch) / source.name
            run("cp", "-a", clean, here)  # an environment with the core's wheel and nothing else of ours
            python = here / "bin/python"
            extra = f"{wheel}[test]"
            run(python, "-m", "pip", "install", "--quiet", "--find-links", wheels, extra)
            shutil.copytree(source / "tests", here / "their/tests")
            for examples in source.glob("*/**/examples"):
                shutil.copytree(examples, here / "their" / examples.relative_to(source), dirs_exist_ok=True)
            print(f"--- {wheel.name}", flush=True)
            result = subprocess.run(
                [python, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "tests"],
                cwd=here / "their",
                check=False,
            )
            if result.returncode:
                failed.append(source.name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
