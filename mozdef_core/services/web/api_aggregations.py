"""Aggregations in the API: the models by which they are asked for and answered."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mozdef_core.services.web.api_documents import EventDocument, FieldName
from mozdef_core.services.web.api_requests import Asked
from mozdef_core.services.web.api_times import Moment

Number = int | float
AggregationName = Annotated[str, Field(min_length=1, max_length=100)]
_ABSENT: Final[Any] = Field(default=None)


class TermsAsked(Asked):
    """How many events belong to each group by a field."""

    field: FieldName
    size: int = Field(10, ge=1, le=10_000, description="at most so many groups are returned")
    min_count: int = Field(1, ge=1, le=2**53, description="groups with fewer events are left out")
    order: Literal["count", "key"] = Field("count", description="largest first, or by name")
    sub: dict[AggregationName, AggregationAsked] = Field(
        {}, max_length=20, description="over each group's events"
    )


class DateHistogramAsked(Asked):
    """How many events fell into each interval of event time."""

    interval: str = Field(
        "hour", max_length=32, description="30s, 15m, 1h, 7d, or minute, hour, day, week, month ..."
    )
    time_zone: str = Field("UTC", max_length=64, description="whose calendar, such as Europe/Madrid")
    sub: dict[AggregationName, AggregationAsked] = Field(
        {}, max_length=20, description="over each interval's events"
    )


class CardinalityAsked(Asked):
    """How many distinct values a field has."""

    field: FieldName


class StatsAsked(Asked):
    """Count, minimum, maximum, total and mean of the numbers under a field."""

    field: FieldName


class PercentilesAsked(Asked):
    """The values below which so many percent of the numbers under a field lie."""

    field: FieldName
    percents: list[Annotated[Number, Field(ge=0, le=100)]] = Field([50, 95, 99], min_length=1, max_length=100)


class TopHitsAsked(Asked):
    """The newest or oldest events."""

    size: int = Field(1, ge=1, le=100)
    order: Literal["newest", "oldest"] = "newest"


class AggregationAsked(Asked):
    """One aggregation, under the name of its kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    terms: TermsAsked = _ABSENT
    date_histogram: DateHistogramAsked = _ABSENT
    cardinality: CardinalityAsked = _ABSENT
    stats: StatsAsked = _ABSENT
    percentiles: PercentilesAsked = _ABSENT
    top_hits: TopHitsAsked = _ABSENT

    @model_validator(mode="after")
    def _check_one(self) -> AggregationAsked:
        if len(self.model_fields_set) != 1:
            raise ValueError(
                f"expected one of {', '.join(type(self).model_fields)}, got {len(self.model_fields_set)}"
            )
        return self

    @property
    def kind(self) -> str:
        """The name that it stands under."""
        return next(iter(self.model_fields_set))


class Answered(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class GroupAnswer(Answered):
    """One group."""

    key: str
    count: int
    sub: dict[str, ResultAnswer]


class TermsAnswer(Answered):
    """The groups that were asked for, how many there are, and how many times events belong to the others."""

    buckets: list[GroupAnswer]
    others: int
    total_groups: int


class IntervalAnswer(Answered):
    """One interval: from its start to before its end."""

    start: Moment
    end: Moment
    count: int
    sub: dict[str, ResultAnswer]


class DateHistogramAnswer(Answered):
    """Every interval, in order, also those without events."""

    buckets: list[IntervalAnswer]


class CardinalityAnswer(Answered):
    """How many there are."""

    value: int


class StatsAnswer(Answered):
    """The figures; null but for the count when there is no number."""

    count: int
    minimum: Number | None
    maximum: Number | None
    total: Number | None
    mean: Number | None


class PercentilesAnswer(Answered):
    """The values by percent; null when there is no number."""

    count: int
    values: dict[str, Number | None]


class TopHitsAnswer(Answered):
    """The events."""

    items: list[EventDocument]


ResultAnswer = (
    TermsAnswer | DateHistogramAnswer | CardinalityAnswer | StatsAnswer | PercentilesAnswer | TopHitsAnswer
)
