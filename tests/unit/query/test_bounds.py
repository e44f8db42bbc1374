from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat, microseconds
from mozdef_core.query.bounds import AddressBounds, NumberBounds, TextBounds, TimeBounds, bounds, read_time
from mozdef_core.query.model import Range

NOON = microseconds(datetime(2026, 3, 29, 12, tzinfo=UTC))
DAY = 86_400_000_000
FIRST, LAST = datetime.fromisoformat("0001-01-02"), datetime.fromisoformat("9999-12-30")


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (Range("f", gte=1, lt=2.5), NumberBounds),
        (Range("f", gte="1", lt=2), NumberBounds),
        (Range("f", gte="2026"), NumberBounds),
        (Range("utctimestamp", gte="2026"), TimeBounds),
        (Range("f", gte="2026-03-29", lt="2026-04"), TimeBounds),
        (Range("f", gte="10.0.0.1"), AddressBounds),
        (Range("details.ipaddress", gte="10.0.0.1"), AddressBounds),
        (Range("f", gte="a", lt="b"), TextBounds),
        (Range("f", gte="1", lt="b"), TextBounds),
        (Range("f", gte="2026-13-01"), TextBounds),
    ],
)
def test_field_and_bounds_decide_what_is_compared(query: Range, kind: type) -> None:
    assert isinstance(bounds(query), kind)


@pytest.mark.parametrize(
    "query",
    [
        Range("utctimestamp", gte="soon"),
        Range("utctimestamp", gte=1),
        Range("receivedtimestamp", lt="2026-13-01"),
        Range("details.sourceipaddress", gte=1),
        Range("details.sourceipaddress", gte="10.0.0.0/8"),
        Range("details.sourceipaddress", gte="10.0.0.1", lt="::1"),
        Range("f", gte=1, lt="b"),
    ],
)
def test_bounds_of_the_wrong_kind_are_refused(query: Range) -> None:
    with pytest.raises(QueryError, match=query.field):
        bounds(query)


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2026-03-29", NOON - DAY // 2, NOON + DAY // 2),
        ("2026-03-29T12", NOON, NOON + 3_600_000_000),
        ("2026-03-29T12:00", NOON, NOON + 60_000_000),
        ("2026-03-29T12:00:00", NOON, NOON + 1),
        ("2026-03-29 12:00:00Z", NOON, NOON + 1),
        ("2026-03-29T14:00:00+02:00", NOON, NOON + 1),
        ("2026-03-29T14:00:00+0200", NOON, NOON + 1),
        ("2026-03-29T12:00:00.25", NOON + 250_000, NOON + 250_001),
        ("2026-03-29T12:00:00,123456789Z", NOON + 123_456, NOON + 123_457),
        (
            "2026-12",
            microseconds(datetime(2026, 12, 1, tzinfo=UTC)),
            microseconds(datetime(2027, 1, 1, tzinfo=UTC)),
        ),
        (
            "2024-02",
            microseconds(datetime(2024, 2, 1, tzinfo=UTC)),
            microseconds(datetime(2024, 3, 1, tzinfo=UTC)),
        ),
    ],
)
def test_a_time_spans_what_it_leaves_open(text: str, first: int, end: int) -> None:
    assert read_time(text) == (first, end)


@pytest.mark.parametrize(
    "text", ["", "2026", "20260329", "2026-3-29", "2026-02-30", "2026-03-29T25:00", "x2026-03-29"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert read_time(text) is None


@given(st.datetimes(FIRST, LAST), st.integers(-1439, 1439))
def test_a_time_is_read_exactly_in_every_zone(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    first = microseconds(aware)
    assert read_time(isoformat(first)) == (first, first + 1)
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    local = (moment + timedelta(minutes=minutes)).isoformat(timespec="microseconds")
    assert read_time(f"{local}{sign}{hours:02d}:{rest:02d}") == (first, first + 1)


numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers, numbers)
def test_numbers_compare_exactly_also_as_text(low: float, high: float, value: float) -> None:
    within = bounds(Range("f", gte=low, lt=high))
    expected = low <= value < high
    assert within.contains(value) == expected
    assert within.contains(str(value)) == expected
    assert bounds(Range("f", gte=str(low), lt=str(high))).contains(value) == expected
    assert bounds(Range("f", gt=low, lte=high)).contains(value) == (low < value <= high)


@pytest.mark.parametrize("value", [True, None, "large", "", "1 ", "0x1", "１"])
def test_only_numbers_lie_between_numbers(value: Any) -> None:
    assert not bounds(Range("f", gte=-10)).contains(value)


def test_a_whole_day_is_meant_by_its_date() -> None:
    last_moment, next_day = "2026-03-29T23:59:59.999999+00:00", "2026-03-30T00:00:00+00:00"
    for query, expected in (
        (Range("utctimestamp", lte="2026-03-29"), (True, False)),
        (Range("utctimestamp", lt="2026-03-29"), (False, False)),
        (Range("utctimestamp", gt="2026-03-29"), (False, True)),
        (Range("utctimestamp", gte="2026-03-29"), (True, True)),
        (Range("utctimestamp", lte="2026"), (True, True)),
        (Range("utctimestamp", gt="2026"), (False, False)),
    ):
        within = bounds(query)
        assert (within.contains(last_moment), within.contains(next_day)) == expected, query
