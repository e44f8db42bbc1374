"""Imports go down the layers only, and each third-party package has one owner."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "mozdef_core"
SEES_ALL = ("testing", "testing_contracts", "services", "__init__")
LAYERS = (
    ("errors", "markers"),
    ("event", "alert", "query", "options", "notification", "notification_hours"),
    ("hookspecs", "ports", "window", "normalise", "aggregation", "site"),
    (
        "config",
        "settings",
        "environment",
        "problems",
        "notification_settings",
        "setting_values",
        "block_settings",
        "discovery",
        "host",
        "calltable",
        "answers",
        "inflight",
        "health",
        "rules",
        "rulefiles",
        "exemptions",
        "walk",
        "silence",
        "watching",
    ),
    (
        *("pipeline", "detection", "response", "casework"),
        *("notification_routes", "notification_messages"),
    ),
    ("indices",),
    ("drivers",),
)
DRIVERS_SEE = {"ports", "event", "alert", "query", "options", "errors", "drivers", "indices", "normalise"}
OWNERS = {
    "pluggy": ("markers", "host"),
    "stevedore": ("discovery",),
    "tantivy": ("drivers",),
    "celery": ("drivers",),
    "elasticsearch": ("drivers",),
    "elastic_transport": ("drivers",),
    "bottle": ("services",),
    "granian": ("services",),
    "sqlalchemy": ("casework",),
    "alembic": ("casework",),
    "luqum": ("query",),
    "re2": ("query",),
}
FILES = sorted(path for path in ROOT.rglob("*.py"))


def part(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "mozdef_core":
                yield from (f"mozdef_core.{alias.name}" for alias in node.names)


def layer(name):
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_and_what_it_owns(path):
    mine = part(path)
    for name in imported(path):
        head, _, rest = name.partition(".")
        if head in OWNERS:
            assert mine in OWNERS[head] or mine == "testing_contracts", f"{name} is not for {mine}"
        if head != "mozdef_core" or not rest or mine in SEES_ALL:
            continue
        other = rest.split(".")[0]
        assert layer(other) <= layer(mine), f"{mine} lies below {other}"
        if mine in ("drivers", "indices"):
            assert other in DRIVERS_SEE, f"a driver must not know {other}"
