"""From aggregations as the API is asked for them to what a store answers, and from its results to the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat
from mozdef_core.query import aggregations as model
from mozdef_core.services.web.api_aggregations import (
    AggregationAsked,
    CardinalityAnswer,
    DateHistogramAnswer,
    GroupAnswer,
    IntervalAnswer,
    PercentilesAnswer,
    ResultAnswer,
    StatsAnswer,
    TermsAnswer,
    TopHitsAnswer,
)
from mozdef_core.services.web.api_documents import document
from mozdef_core.services.web.api_errors import ApiError, invalid_query

MOST_BUCKETS: Final = 100_000
"""An answer may have at most so many buckets, those inside others counted."""
INTERVALS: Final = 1_000
"""So many a histogram counts for, since how many there will be depends on the events."""
MOST_HITS: Final = 10_000
"""An answer may have at most so many events inside buckets."""


def build(
    asked: Mapping[str, AggregationAsked], where: str = "aggregations", buckets: int = 1
) -> Mapping[str, model.Aggregation]:
    """Return aggregations for the store.

    :param where: the place in the request.
    :param buckets: how many there may be around these.
    :raises ApiError: one of them has no meaning, or the answer might become too large; it says which.
    """
    built: dict[str, model.Aggregation] = {}
    for name, one in asked.items():
        place = f"{where}.{name}.{one.kind}"
        try:
            built[name] = _build(one, place, buckets)
            model.named(built)
        except QueryError as error:
            raise invalid_query(error, place) from None
    return built


def _build(asked: AggregationAsked, place: str, around: int) -> model.Aggregation:
    match asked.kind:
        case "terms":
            terms = asked.terms
            sub = build(
                terms.sub, f"{place}.sub", _checked(around * terms.size, MOST_BUCKETS, "buckets", place)
            )
            return model.TermsAgg(terms.field, terms.size, terms.min_count, terms.order, sub)
        case "date_histogram":
            histogram = asked.date_histogram
            buckets = _checked(around * INTERVALS, MOST_BUCKETS, "buckets", place)
            sub = build(histogram.sub, f"{place}.sub", buckets)
            return model.DateHistogram(histogram.interval, histogram.time_zone, sub)
        case "cardinality":
            return model.Cardinality(asked.cardinality.field)
        case "stats":
            return model.Stats(asked.stats.field)
        case "percentiles":
            return model.Percentiles(asked.percentiles.field, asked.percentiles.percents)
        case _:
            _checked(around * asked.top_hits.size, MOST_HITS, "events", place)
            return model.TopHits(asked.top_hits.size, asked.top_hits.order)


def _checked(number: int, most: int, noun: str, place: str) -> int:
    """Return a number of things that an answer may have.

    :raises ApiError: it is too large.
    """
    if number > most:
        raise ApiError(
            400,
            "too-many-buckets",
            f"{place}: the answer might have {number:,} {noun}, a histogram counted as {INTERVALS:,} intervals; "
            f"at most {most:,} are allowed: give smaller sizes",
            field=place,
        )
    return number


def answers(results: Mapping[str, model.Result], fields: Sequence[str]) -> dict[str, ResultAnswer]:
    """Return results as they are handed out.

    :param fields: which of an event's.
    """
    return {name: _answer(result, fields) for name, result in results.items()}


def _answer(result: model.Result, fields: Sequence[str]) -> ResultAnswer:
    match result:
        case model.Groups():
            groups = [
                GroupAnswer(key=one.key, count=one.count, sub=answers(one.sub, fields))
                for one in result.buckets
            ]
            return TermsAnswer(buckets=groups, others=result.others, total_groups=result.total_groups)
        case model.Histogram():
            return DateHistogramAnswer(
                buckets=[
                    IntervalAnswer(
                        start=isoformat(one.start_us),
                        end=isoformat(one.end_us),
                        count=one.count,
                        sub=answers(one.sub, fields),
                    )
                    for one in result.buckets
                ]
            )
        case model.CardinalityResult():
            return CardinalityAnswer(value=result.value)
        case model.StatsResult():
            return StatsAnswer(
                count=result.count,
                minimum=result.minimum,
                maximum=result.maximum,
                total=result.total,
                mean=result.mean,
            )
        case model.PercentilesResult():
            values = {str(percent): value for percent, value in result.values.items()}
            return PercentilesAnswer(count=result.count, values=values)
        case model.Hits():
            return TopHitsAnswer(items=[document(event, fields) for event in result.events])
