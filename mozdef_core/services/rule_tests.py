"""Tests of rules: all examples of installed rules, run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mozdef_core.discovery import RULES, Installed, installed
from mozdef_core.errors import ConfigError
from mozdef_core.problems import suggestion
from mozdef_core.services.examples import SUFFIX, path_of, read
from mozdef_core.services.rule_trial import judge, made_by_name


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a rule's examples.

    :param fires: how many examples fire; ``nearly``, how many nearly do.
    :param problems: what is not as it should be, one sentence each.
    """

    rule: str
    fires: int
    nearly: int
    problems: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether there are examples of both kinds and all are as they say."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "rule": self.rule,
            "passed": self.passed,
            "fires": self.fires,
            "nearly": self.nearly,
            "problems": list(self.problems),
        }


def named(patterns: Sequence[str]) -> Sequence[str]:
    """Return the installed rules that names or patterns stand for; all of them without any.

    :raises ConfigError: one stands for none.
    """
    known = sorted({item.name for item in installed(RULES)})
    found: dict[str, None] = {}
    for pattern in patterns or ("*",):
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching and patterns:
            raise ConfigError([f"no rule {pattern!r} is installed{suggestion(pattern, known)}"])
        found.update(dict.fromkeys(matching))
    return list(found)


def find(patterns: Sequence[str]) -> Sequence[Installed]:
    """Return what is installed under names or patterns, as :func:`named`.

    :raises ConfigError: as :func:`named`.
    """
    wanted = set(named(patterns))
    return [item for item in installed(RULES) if item.name in wanted]


def counts(rule: Installed) -> tuple[int, int]:
    """Return how many examples of a rule fire and how many nearly do, without running any; none of a broken file."""
    path = path_of(rule.target)
    try:
        examples = read(path) if path is not None else None
    except ConfigError:
        return 0, 0
    return (0, 0) if examples is None else (len(examples.fires), len(examples.nearly))


def run(rule: Installed) -> Result:
    """Run the examples of one rule. Nothing that it does gets out of this but its result."""
    path = path_of(rule.target)
    if path is None:
        module = rule.target.partition(":")[0].rpartition(".")[2]
        return Result(rule.name, 0, 0, [f"it has no examples; expected {module}{SUFFIX} beside its module"])
    try:
        examples = read(path)
    except ConfigError as error:
        return Result(rule.name, 0, 0, error.problems)
    make, problems = made_by_name(rule.name), []
    for kind, many in (("fires", examples.fires), ("nearly", examples.nearly)):
        if not many:
            problems.append(f"{path.name}: expected at least one example under '{kind}'")
        for number, example in enumerate(many, 1):
            place = f"{kind} {number}" + (f" ({example.name})" if example.name else "")
            try:
                found = judge(make, examples, example, fires=kind == "fires")
            except ConfigError as error:
                found = list(error.problems)
            problems.extend(f"{place}: {text}" for text in found)
    return Result(rule.name, len(examples.fires), len(examples.nearly), problems)
