from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat, microseconds
from mozdef_core.query.calendar import MOST_BUCKETS, edges, read_interval, read_zone

ZONES = [
    "UTC",
    "Europe/Madrid",
    "Asia/Kathmandu",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Pacific/Apia",
]
HOUR_US = 3_600_000_000


def us(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


def shown(interval: str, zone: str, first: str, end: str) -> list[str]:
    return [isoformat(edge)[:16] for edge in edges(interval, zone, us(first), us(end))]


def hours(interval: str, zone: str, first: str, end: str) -> list[float]:
    found = edges(interval, zone, us(first), us(end))
    return [(second - first) / HOUR_US for first, second in pairwise(found)]


def test_a_day_has_23_or_25_hours_when_clocks_change() -> None:
    spring = ("2026-03-28T00:00+01:00", "2026-03-31T00:00+02:00")
    autumn = ("2026-10-24T00:00+02:00", "2026-10-27T00:00+01:00")
    assert hours("day", "Europe/Madrid", *spring) == [24, 23, 24]
    assert hours("day", "Europe/Madrid", *autumn) == [24, 25, 24]
    assert hours("day", "UTC", *spring) == [24] * 4
    assert hours("week", "Europe/Madrid", *spring) == [167, 168]
    assert hours("1d", "Europe/Madrid", *spring) == [24] * 3


@pytest.mark.parametrize(("day", "number"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_every_hour_of_such_a_day_is_there_once(day: str, number: int) -> None:
    zone = ZoneInfo("Europe/Madrid")
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = start + timedelta(days=1)
    found = edges("hour", "Europe/Madrid", microseconds(start), microseconds(end))
    assert [second - first for first, second in pairwise(found)] == [HOUR_US] * number


def test_weeks_begin_on_monday_and_quarters_in_january() -> None:
    span = ("2026-04-05T12:00+00:00", "2026-04-13T00:00:00.000001+00:00")
    assert shown("week", "UTC", *span) == [
        "2026-03-30T00:00",
        "2026-04-06T00:00",
        "2026-04-13T00:00",
        "2026-04-20T00:00",
    ]
    year = ("2026-02-28T00:00+00:00", "2026-07-01T00:00+00:00")
    assert shown("quarter", "UTC", *year) == ["2026-01-01T00:00", "2026-04-01T00:00", "2026-07-01T00:00"]
    assert shown("month", "UTC", *year)[:3] == ["2026-02-01T00:00", "2026-03-01T00:00", "2026-04-01T00:00"]
    assert shown("year", "Asia/Kathmandu", *year) == ["2025-12-31T18:15", "2026-12-31T18:15"]


def test_a_day_begins_when_the_clock_that_skips_midnight_does() -> None:
    # Toronto went from 23:30 to 00:30 on 30 March 1919; Havana from 00:00 to 01:00 on 29 March 2026.
    assert shown("day", "America/Toronto", "1919-03-31T00:00+00:00", "1919-03-31T12:00+00:00") == [
        "1919-03-30T05:00",
        "1919-03-31T04:30",
        "1919-04-01T04:00",
    ]
    assert hours("day", "America/Havana", "2026-03-08T05:00+00:00", "2026-03-09T04:00+00:00") == [23]


def test_a_midnight_that_comes_twice_begins_the_day_the_first_time() -> None:
    # Havana went from 01:00 back to 00:00 on 1 November 2026.
    assert shown("day", "America/Havana", "2026-11-01T04:30+00:00", "2026-11-02T05:00+00:00") == [
        "2026-11-01T04:00",
        "2026-11-02T05:00",
    ]


def test_a_day_that_a_zone_skipped_is_no_interval() -> None:
    assert hours("day", "Pacific/Apia", "2011-12-29T10:00+00:00", "2011-12-31T10:00+00:00") == [24, 24]


def test_an_hour_with_half_an_hour_more_is_cut_where_the_clock_is_put_back() -> None:
    assert hours("hour", "Australia/Lord_Howe", "2026-04-04T14:00+00:00", "2026-04-04T16:30+00:00") == [
        1,
        0.5,
        1,
    ]


def test_a_fixed_length_is_counted_from_midnight_by_the_clock_of_the_zone() -> None:
    assert shown("6h", "Asia/Kathmandu", "2026-04-04T14:00+00:00", "2026-04-04T19:00+00:00") == [
        "2026-04-04T12:15",
        "2026-04-04T18:15",
        "2026-04-05T00:15",
    ]
    assert shown("15m", "UTC", "2026-04-04T14:14:59+00:00", "2026-04-04T14:15:00+00:00") == [
        "2026-04-04T14:00",
        "2026-04-04T14:15",
    ]


@given(
    st.sampled_from(["minute", "hour", "day", "week", "month", "quarter", "year", "7m", "5h", "3d"]),
    st.sampled_from(ZONES),
    st.integers(us("1990-01-01T00:00+00:00"), us("2035-01-01T00:00+00:00")),
    st.integers(1, 48 * HOUR_US),
)
def test_edges_rise_and_cover_the_span_closely_and_begin_where_the_clock_does(
    interval: str, zone: str, first_us: int, length_us: int
) -> None:
    found = edges(interval, zone, first_us, first_us + length_us)
    assert all(second > first for first, second in pairwise(found))
    assert found[0] <= first_us < found[1]
    assert found[-2] < first_us + length_us <= found[-1]
    if interval in ("day", "week", "month", "quarter", "year"):
        for edge in found:
            before, at = (
                (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(
                    read_zone(zone)
                )
                for moment in (edge - 1, edge)
            )
            assert before.date() < at.date()
            assert interval != "week" or at.weekday() == 0
            assert interval not in ("month", "quarter", "year") or at.day == 1


@given(
    st.sampled_from(["day", "hour", "2h"]),
    st.sampled_from(ZONES[:4]),
    st.integers(0, 400 * 24),
    st.integers(1, 60),
)
def test_an_edge_does_not_depend_on_where_a_span_begins(
    interval: str, zone: str, hour: int, further: int
) -> None:
    start = us("2026-01-01T00:00+00:00")
    first = edges(interval, zone, start + hour * HOUR_US, start + (hour + further) * HOUR_US)
    if interval == "2h" and zone in ("Europe/Madrid", "America/New_York"):
        return  # a fixed length follows the clock of the first moment
    second = edges(interval, zone, start + (hour + further - 1) * HOUR_US, start + (hour + further) * HOUR_US)
    assert first[-len(second) :] == second


def test_an_empty_span_has_no_edges() -> None:
    assert edges("hour", "UTC", 5, 5) == edges("1s", "UTC", 6, 5) == []


def test_too_many_intervals_are_refused_and_just_as_many_are_not() -> None:
    assert len(edges("1s", "UTC", 0, MOST_BUCKETS * 1_000_000)) == MOST_BUCKETS + 1
    assert len(edges("minute", "UTC", 0, MOST_BUCKETS * 60_000_000)) == MOST_BUCKETS + 1
    for interval, step in (("1s", 1_000_000), ("minute", 60_000_000)):
        with pytest.raises(
            QueryError, match=rf"interval: {interval} from 1970.* makes more than 10,000 intervals"
        ):
            edges(interval, "UTC", 0, MOST_BUCKETS * step + 1)


@pytest.mark.parametrize(
    "span", [(-(2**63), 0), (0, 2**63 - 1), (us("9999-12-01T00:00+00:00"), us("9999-12-29T00:00+00:00"))]
)
def test_times_without_a_date_are_refused(span: tuple[int, int]) -> None:
    with pytest.raises(QueryError, match=r"beyond the years? "):
        edges("year", "Europe/Madrid", *span)


@pytest.mark.parametrize(
    "interval", ["", "h", "0h", "1w", "1.5h", "hours", "-1h", " 1h", "1000000000s", 5, None]
)
def test_an_interval_without_meaning_is_refused(interval: Any) -> None:
    with pytest.raises(
        QueryError, match="interval: expected a length such as 30s, 15m, 6h, 7d or one of minute"
    ):
        read_interval(interval)


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "Europe", "../../etc/passwd", "/etc/localtime", "utc\x00", 5, None]
)
def test_a_zone_that_is_none_is_refused(zone: Any) -> None:
    with pytest.raises(QueryError, match="time zone: expected a name such as UTC or Europe/Madrid"):
        read_zone(zone)
