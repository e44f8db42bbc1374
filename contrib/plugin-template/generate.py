"""Generate a MozDef plugin: a complete distribution with options, hooks and tests, to be changed into your own.

Usage: python contrib/plugin-template/generate.py NAME [--hook HOOK ...] DEST

It makes DEST/mozdef-NAME. It needs nothing but Python.
"""

# ruff: noqa: INP001  # a program, not a package
from __future__ import annotations

import argparse
import keyword
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

HERE = Path(__file__).parent / "template"
HOOKS = ("on_event", "enrich", "alert_match", "alert_action")
WIDTH = 110


def sections(hook: str) -> dict[str, str]:
    """Return what a hook brings to a plugin, by the headings of its file."""
    found: dict[str, list[str]] = {}
    for line in (HERE / "hooks" / f"{hook}.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            lines = found[line.removeprefix("## ")] = []
        else:
            lines.append(line)
    return {heading: "\n".join(lines).rstrip() for heading, lines in found.items()}


def import_core(names: Iterable[str]) -> str:
    """Return the import of names from the core, folded where it is too long for a line."""
    ordered = sorted(set(names), key=lambda name: (name[0].islower(), name))
    line = f"from mozdef_core import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join(["from mozdef_core import (", *(f"    {name}," for name in ordered), ")"])


def import_standard(parts: Iterable[str]) -> str:
    """Return imports from the standard library, those from one module joined."""
    modules: dict[str, set[str]] = {}
    for line in "\n".join(parts).splitlines():
        form = re.fullmatch(r"from (\S+) import (.+)", line)
        if form is not None and form[1] != "mozdef_core":
            modules.setdefault(form[1], set()).update(form[2].split(", "))
    return "\n".join(
        f"from {module} import {', '.join(sorted(modules[module]))}" for module in sorted(modules)
    )


def joined(parts: Sequence[Mapping[str, str]], heading: str, between: str = "\n") -> str:
    """Return what several hooks have under one heading, each once."""
    return between.join(dict.fromkeys(part[heading] for part in parts if part.get(heading)))


def files(name: str, hooks: Sequence[str]) -> dict[str, str]:
    """Return the files of a plugin by their path."""
    parts = [sections(hook) for hook in hooks]
    words = {
        "name": name,
        "dashed": name.replace("_", "-"),
        "class": "".join(word.capitalize() for word in name.split("_")),
    }
    what = [Template(part["about"]).substitute(words) for part in parts]
    about = what[0] if len(what) == 1 else f"works on the events and alerts of {name}"
    words |= {
        "about": about,
        "sentence": f"{about[0].upper()}{about[1:]}.",
        "settings": joined(parts, "settings"),
    }
    words["what"] = "\n".join(f"- `{hook}` {text}" for hook, text in zip(hooks, what, strict=True))
    applies_to = joined(parts, "applies_to", ",\n        ")
    attributes = [joined(parts, "attributes")]
    if applies_to:
        attributes.append(
            f"    applies_to: ClassVar[Mapping[str, Set[str]]] = {{\n        {applies_to},\n    }}"
        )
    core = import_core(word for part in parts for word in ("Field", "hookimpl", *part["imports"].split()))
    package = {
        "imports": "\n\n".join(
            [
                import_standard(part.get("standard", "") for part in parts),
                f"{core}\nfrom mozdef_core import Options as PluginOptions",
            ]
        ),
        "options": joined(parts, "options"),
        "attributes": "".join(f"{line}\n" for line in attributes if line),
        "methods": joined(parts, "method", "\n\n"),
    }
    standard = import_standard(part.get("test standard", "") for part in parts)
    extra = re.findall(r"^from mozdef_core import (.+)$", joined(parts, "test standard"), re.MULTILINE)
    used = [*joined(parts, "test imports", " ").split(), *", ".join(extra).replace(",", " ").split()]
    test = {
        "imports": "\n\n".join(block for block in (standard, import_core(used)) if block),
        "tests": joined(parts, "test", "\n\n\n"),
    }
    module = f"mozdef_{name}"
    made = {path: filled(path, words) for path in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")}
    made[f"{module}/__init__.py"] = filled("package.py", words, package)
    made[f"{module}/py.typed"] = ""
    made[f"tests/test_{name}.py"] = filled("test.py", words, test)
    return made


def filled(path: str, words: Mapping[str, str], blocks: Mapping[str, str] | None = None) -> str:
    """Return a file of the template with its names filled in, in the blocks put into it as well."""
    text = Template((HERE / path).read_text(encoding="utf-8")).safe_substitute(blocks or {})
    text = Template(text).substitute(words)
    return re.sub(r"\n{3,}(?= )", "\n\n", text).rstrip() + "\n"


def main(arguments: Sequence[str]) -> int:
    """Generate what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate a MozDef plugin.")
    parser.add_argument("name", help="its name: small letters, digits and underscores, such as geoip")
    parser.add_argument("dest", type=Path, help="directory in which mozdef-NAME is made")
    parser.add_argument(
        "--hook",
        action="append",
        choices=HOOKS,
        help="a hook to start with; may be repeated; default: on_event",
    )
    options = parser.parse_args(arguments)
    name: str = options.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name) or name == "core":
        parser.error(
            f"NAME: expected small letters, digits and single underscores, such as 'geoip', got {name!r}"
        )
    target: Path = options.dest / f"mozdef-{name.replace('_', '-')}"
    if target.exists():
        parser.error(f"DEST: {target} exists; remove it or choose another place")
    hooks = [hook for hook in HOOKS if hook in (options.hook or ["on_event"])]
    for path, text in files(name, hooks).items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    sys.stdout.write(f"made {target}; next: pip install -e '{target}[test]' and pytest {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
