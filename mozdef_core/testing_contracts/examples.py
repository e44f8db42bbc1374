"""The examples of rules as tests: pytest collects every file ``<module>.examples.yaml``, one test for each example."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mozdef_core.errors import ConfigError
from mozdef_core.services.examples import Example, Examples, read, rule_of
from mozdef_core.services.rule_trial import judge, made_by_name


class ExampleFailedError(Exception):
    """An example is not as it says; or its file or rule is not fit for use."""


class ExamplesFile(pytest.File):
    """One file of examples."""

    def collect(self) -> Iterable[pytest.Item]:
        """Yield a test for each example, and one for what the file as a whole must have."""
        try:
            examples = read(self.path)
            rule = rule_of(self.path, examples)
        except ConfigError as error:
            raise self.CollectError(str(error)) from None
        yield BothKindsItem.from_parent(self, name="both-kinds", examples=examples)
        for kind in ("fires", "nearly"):
            for number, example in enumerate(getattr(examples, kind), 1):
                name = f"{kind}-{number}" + (f"-{example.name}" if example.name else "")
                yield ExampleItem.from_parent(
                    self, name=name, rule=rule, examples=examples, example=example, fires=kind == "fires"
                )


class _Item(pytest.Item):
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong, without a traceback through MozDef."""
        if isinstance(excinfo.value, ExampleFailedError | ConfigError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the test stands."""
        return self.path, None, f"{self.path.name}: {self.name}"


class BothKindsItem(_Item):
    """A rule without both kinds of examples is not tested."""

    def __init__(self, *, examples: Examples, **rest: Any) -> None:
        super().__init__(**rest)
        self._examples = examples

    def runtest(self) -> None:
        """Check that there is an example that fires and one that nearly does."""
        for kind in ("fires", "nearly"):
            if not getattr(self._examples, kind):
                raise ExampleFailedError(f"{self.path}: expected at least one example under '{kind}'")


class ExampleItem(_Item):
    """One example."""

    def __init__(self, *, rule: str, examples: Examples, example: Example, fires: bool, **rest: Any) -> None:
        super().__init__(**rest)
        self._rule = rule
        self._examples = examples
        self._example = example
        self._fires = fires

    def runtest(self) -> None:
        """Lead it through everything and compare."""
        found = judge(made_by_name(self._rule), self._examples, self._example, fires=self._fires)
        if found:
            raise ExampleFailedError("\n".join([f"rule {self._rule}:", *found]))
