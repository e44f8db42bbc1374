"""What rules about guessed passwords have in common: options that say how many within how many minutes."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from mozdef_core import AggregationOptions, AggregationRule, Field


class GuessingOptions(AggregationOptions):
    """What these rules accept besides what all aggregation rules do."""

    threshold_count: int = Field(
        1,
        ge=1,
        description="failures that make an alert, in production 5 to 10; 'threshold' takes its place if set",
    )
    search_depth_min: int = Field(
        60, ge=1, description="minutes within which they lie; 'window' takes its place if set"
    )


GuessingOptionsType = TypeVar("GuessingOptionsType", bound=GuessingOptions)


class GuessingRule(AggregationRule[GuessingOptionsType]):
    """So many failures of one group within so many minutes."""

    class Options(GuessingOptions):
        """Options of a rule about guessed passwords: subclass it, and name there what the rule has of its own."""

    def __init__(self, options: GuessingOptionsType) -> None:
        self.threshold = options.threshold_count
        self.window = timedelta(minutes=options.search_depth_min)
        super().__init__(options)
