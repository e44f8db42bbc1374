from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_alerts.ssh.expected import DAYS, Span, is_expected
from mozdef_alerts.ssh.session_opened import SessionOpenedSensitiveUser

from mozdef_core import ConfigError

WEEK = datetime(2026, 3, 23, tzinfo=UTC)  # a Monday; Lisbon changes its clocks at its end
SECONDS = st.integers(0, 86_399)


def of_day(second):
    return (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).time()


@given(start=SECONDS, end=SECONDS, second=st.integers(0, 7 * 86_400 - 1), days=st.sets(st.sampled_from(DAYS)))
def test_a_moment_is_expected_if_a_span_that_begins_on_one_of_the_days_holds_it(start, end, second, days):
    length = (end - start) % 86_400
    begins = (day * 86_400 + start for day in range(-1, 7) if DAYS[day % 7] in days)
    truth = any(begin <= second <= begin + length for begin in begins)
    us = int(WEEK.timestamp() + second) * 1_000_000 + 999_999
    assert is_expected(us, [Span(start=of_day(start), end=of_day(end))], UTC, days) is truth


@pytest.mark.parametrize(("moment", "expected"), [("2026-03-28T08:30", False), ("2026-03-29T08:30", True)])
def test_the_clock_of_the_zone_counts_in_summer_and_in_winter(moment, expected):
    us = int(datetime.fromisoformat(f"{moment}+00:00").timestamp()) * 1_000_000
    span = Span(start=time(9), end=time(17))
    assert is_expected(us, [span], ZoneInfo("Europe/Lisbon"), DAYS) is expected


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"timezone": "Europe/Lisboa"}, "expected a time zone"),
        ({"timezone": "../etc/passwd"}, "expected a time zone"),
        ({"weekdays": ["monday"]}, "weekdays"),
        ({"expected": [{"start": "25:00:00", "end": "26:00:00"}]}, "expected"),
    ],
)
def test_hours_that_cannot_be_are_refused(make_host, option, said):
    with pytest.raises(ConfigError, match=said):
        make_host((SessionOpenedSensitiveUser, {"users": ["ines"], **option}))
