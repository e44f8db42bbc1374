from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat, microseconds
from mozdef_core.query.datemath import is_date_math, resolve

NOW_US = microseconds(datetime(2026, 3, 31, 10, 20, 30, 456_789, tzinfo=UTC))  # a Tuesday


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("now", "2026-03-31T10:20:30.456", "2026-03-31T10:20:30.457"),
        ("now-15m", "2026-03-31T10:05:30.456", "2026-03-31T10:05:30.457"),
        ("now-1M", "2026-02-28T10:20:30.456", "2026-02-28T10:20:30.457"),
        ("now-1y+2d", "2025-04-02T10:20:30.456", "2025-04-02T10:20:30.457"),
        ("now/s", "2026-03-31T10:20:30", "2026-03-31T10:20:31"),
        ("now/m", "2026-03-31T10:20", "2026-03-31T10:21"),
        ("now/h", "2026-03-31T10:00", "2026-03-31T11:00"),
        ("now-1H/H", "2026-03-31T09:00", "2026-03-31T10:00"),
        ("now/d", "2026-03-31T00:00", "2026-04-01T00:00"),
        ("now/w", "2026-03-30T00:00", "2026-04-06T00:00"),
        ("now/M", "2026-03-01T00:00", "2026-04-01T00:00"),
        ("now-1M/M", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("now/y", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("2024-02-29||+1y", "2025-02-28T00:00", "2025-02-28T00:00:00.001"),
        ("2024-01-31T10:00||+1M/d", "2024-02-29T00:00", "2024-03-01T00:00"),
        ("2024-01-31", "2024-01-31T00:00", "2024-02-01T00:00"),
        ("2024-01-31T23:59:59.999Z", "2024-01-31T23:59:59.999", "2024-02-01T00:00"),
    ],
)
def test_an_expression_is_a_span_of_time(text: str, first: str, end: str) -> None:
    found = resolve(text, NOW_US)
    assert (isoformat(found.first), isoformat(found.end)) == tuple(
        isoformat(microseconds(datetime.fromisoformat(moment).replace(tzinfo=UTC))) for moment in (first, end)
    )
    assert found.rounded == ("/" in text)


def test_a_week_may_begin_on_sunday() -> None:
    assert isoformat(resolve("now/w", NOW_US, week_begins_on_sunday=True).first).startswith(
        "2026-03-29T00:00"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yesterday", "ISO 8601"),
        ("now-15", "'-15'"),
        ("now/d-1h", "rounding at the end"),
        ("now-1x", "'-1x'"),
        ("never||/d", "'never'"),
        ("now-9999y", "years 1 to 9999"),
        ("now+99999999d", "years 1 to 9999"),
    ],
)
def test_what_is_no_time_is_refused(text: str, expected: str) -> None:
    with pytest.raises(QueryError, match=expected):
        resolve(text, NOW_US)


def test_only_arithmetic_is_taken_for_it() -> None:
    assert is_date_math("now")
    assert is_date_math("now-1d")
    assert is_date_math("2024-01-01||/d")
    assert not is_date_math("nowhere")
    assert not is_date_math("2024-01-01")


@given(st.integers(631_152_000 * 10**6, 4_102_444_800 * 10**6), st.sampled_from("yMwdhHms"))
def test_a_rounded_time_holds_the_time_and_its_end_begins_the_next_unit(now_us: int, unit: str) -> None:
    found = resolve(f"now/{unit}", now_us)
    assert found.first <= now_us < found.end
    assert resolve(f"now/{unit}", found.end).first == found.end
    assert found.end - found.first <= timedelta(days=366) // timedelta(microseconds=1)
