"""Something is wrong with MozDef itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from pydantic import field_validator

from mozdef_core import Alert, Event, EventRule, Field, Query, RuleOptions, Severity, Term, Terms

CHECKS: Final = (
    "queue-age", "dead-letters", "disk", "blind", "suspended", "quarantined-rule", "late-rule", "invalid-rule",
    "silent-source",
)  # fmt: skip


class MozdefHealth(EventRule["MozdefHealth.Options"]):
    """A queue that waits, dead letters, a full disk, rules or plugins that do not work, time unheard, silent sources.

    MozDef puts an event about each into its own queue every minute while it lasts; one alert tells of all that are
    about the same thing.
    """

    class Options(RuleOptions):
        """Options in the table ``[alerts.mozdef_health]``."""

        ignore: list[str] = Field([], description=f"checks that are not told of: {', '.join(CHECKS)}")

        @field_validator("ignore")
        @classmethod
        def _known(cls, value: list[str]) -> list[str]:
            for check in value:
                if check not in CHECKS:
                    raise ValueError(f"expected some of {', '.join(CHECKS)}, got {check!r}")
            return value

    severity: ClassVar[Severity] = Severity.ERROR
    category: ClassVar[str] = "mozdef"
    tags: ClassVar[Sequence[str]] = ("mozdef", "health")
    attack: ClassVar[Sequence[str]] = ("T1562.001",)
    group_for: ClassVar[timedelta] = timedelta(hours=1)

    def condition(self) -> Query:
        """An event that MozDef wrote about itself; no sender can use the name of its entrance."""
        query = Term("mozdef.input.name", "mozdef") & Term("source", "health")
        ignored = self.options.ignore
        return query & ~Terms("details.check", ignored) if ignored else query

    def summary(self, event: Event) -> str:
        """What is wrong."""
        return self.value(event, "summary")

    def details(self, event: Event) -> Mapping[str, Any]:
        """Which check has found what."""
        return {name: event.get(f"details.{name}") for name in ("check", "subject", "value")}

    def _alert(self, event: Event) -> Alert:
        about = f"{self.value(event, 'details.check')} {self.value(event, 'details.subject')}"
        return replace(super()._alert(event), group=("details.check,details.subject", about))
