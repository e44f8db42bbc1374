"""A rule on a schedule, and what it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from mozdef_core.detection.traits import Traits, traits_of
from mozdef_core.host import Plugin
from mozdef_core.ports.book import CATCH_UP_MAX


@dataclass(frozen=True, slots=True)
class Budget:
    """What a rule may take.

    :param time_limit_s: a run that takes longer is too slow; what it found counts all the same.
    :param catch_up_max: what is older when a rule runs at last is skipped.
    """

    time_limit_s: float = 60.0
    catch_up_max: timedelta = CATCH_UP_MAX


class Scheduled(NamedTuple):
    """A rule on a schedule.

    :param due_after: when it is due next after a moment, microseconds since 1970.
    :param calendar: it is due at times of the clock, and not whenever it is run.
    """

    plugin: Plugin
    traits: Traits
    due_after: Callable[[int], int]
    calendar: bool = False

    @classmethod
    def of(cls, plugin: Plugin, due_after: Callable[[int], int], *, calendar: bool = False) -> Scheduled:
        """Return a rule with what it says about itself."""
        return cls(plugin, traits_of(plugin), due_after, calendar)

    @property
    def key(self) -> str:
        """What it is called in the ledger."""
        return f"staged:{self.plugin.name}" if self.staged else self.plugin.name

    @property
    def staged(self) -> bool:
        """Whether it is being tried out."""
        return self.traits.mode == "staged"

    def late_after(self, start_us: int) -> int:
        """Return after which moment a run from another one on comes more than one time of the schedule too late."""
        return self.due_after(self.due_after(start_us))
