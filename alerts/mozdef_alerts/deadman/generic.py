"""Searches that must find something again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final

from mozdef_core import Awaited, DeadmanRule, Field, QueryString, Severity

UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_NEEDED: Final = ("description", "search_query", "time_window", "time_window_type")
_KNOWN: Final = (*_NEEDED, "tags", "severity")


class DeadmanGeneric(DeadmanRule["DeadmanGeneric.Options"]):
    """A search that somebody has configured has found nothing for as long as it says."""

    class Options(DeadmanRule.Options):
        """Options in the table ``[alerts.deadman_generic]``."""

        alerts: list[dict[str, Any]] = Field(
            [],
            description="what must be found: tables with description, search_query, time_window, time_window_type "
            "(seconds, minutes, hours or days), tags, and severity if it is another one; a bad one is reported and "
            "does not stop the others",
        )

    by = "description"
    attack: ClassVar[Sequence[str]] = ("T1562",)

    @property
    def inactive(self) -> str | None:
        """Without a search there is nothing to find."""
        return None if self.options.alerts else "no search is named in 'alerts'"

    def awaited(self) -> Iterator[Awaited]:
        """A match of each search; of an entry that is wrong it is said why."""
        for number, entry in enumerate(self.options.alerts, 1):
            try:
                yield read(entry)
            except ValueError as error:
                self.refuse(
                    f"entry {number} ({entry.get('description', 'without a description')!r}): {error}"
                )

    def summary(self, awaited: Awaited, window: timedelta, last_us: int | None) -> str:
        """What was to be found, for how long it was not, and when it was last."""
        return f"{awaited.description}: nothing found for {self.span(window)}, last seen {self.seen(last_us)}"


def read(entry: Mapping[str, Any]) -> Awaited:
    """Return what an entry says is to be found.

    :raises ValueError: with what is wrong and what would be right.
    """
    for name in _NEEDED:
        if not str(entry.get(name, "")).strip():
            raise ValueError(f"{name}: expected a value, got none")
    for name in entry:
        if name not in _KNOWN:
            raise ValueError(f"{name!r} is unknown; expected one of {', '.join(_KNOWN)}")
    unit = UNITS.get(str(entry["time_window_type"]))
    if unit is None:
        raise ValueError(f"time_window_type: expected {', '.join(UNITS)}, got {entry['time_window_type']!r}")
    tags = entry.get("tags", [])
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError(f"tags: expected a list of texts, got {tags!r}")
    return Awaited(
        key=str(entry["description"]),
        query=QueryString(str(entry["search_query"])),
        window=_span(entry["time_window"], unit),
        description=str(entry["description"]),
        severity=_severity(entry.get("severity")),
        tags=tuple(tags),
    )


def _span(value: object, unit: int) -> timedelta:
    try:
        window = timedelta(seconds=float(str(value)) * unit)
    except (ValueError, OverflowError):
        window = timedelta(0)
    if window <= timedelta(0):
        raise ValueError(f"time_window: expected a number above zero, got {value!r}")
    return window


def _severity(value: object) -> Severity | None:
    if value is None:
        return None
    try:
        return Severity(str(value).upper())
    except ValueError:
        raise ValueError(f"severity: expected one of {', '.join(Severity)}, got {value!r}") from None
