"""Every form of time of event-format.md section 5.4, and what is no time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.event import isoformat, microseconds
from mozdef_core.normalise.times import TimeReader

RECEIVED = "2026-11-24T10:00:00+00:00"


def read(value, received=RECEIVED, timezone="UTC", formats=()):
    us = microseconds(datetime.fromisoformat(received))
    instant = TimeReader(timezone, formats).read(value, us)
    return None if instant is None else isoformat(instant.us).removesuffix("+00:00")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-29T03:59:58.2+02:00", "2026-03-29T01:59:58.200000"),
        ("2026-03-29 03:59:58,2+0200", "2026-03-29T01:59:58.200000"),
        ("2026-03-29t03:59:58z", "2026-03-29T03:59:58.000000"),
        ("  2026-03-29T03:59:58Z  ", "2026-03-29T03:59:58.000000"),
        ("2026-03-29T03:59:58", "2026-03-29T03:59:58.000000"),
        ("2026-03-29T03:59Z", "2026-03-29T03:59:00.000000"),
        ("2026-03-29T03:59:58.123456789Z", "2026-03-29T03:59:58.123456"),
        ("2026-03-29T03:59:58.999999999Z", "2026-03-29T03:59:58.999999"),
        ("2026-03-29T03:59:58-03", "2026-03-29T06:59:58.000000"),
        ("20260329T035958Z", "2026-03-29T03:59:58.000000"),
        ("20260329T035958.5+0100", "2026-03-29T02:59:58.500000"),
        ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59.999999"),
        ("2026-12-31T23:59:60.5Z", "2026-12-31T23:59:59.999999"),
        ("2026-12-31T24:00:00Z", "2027-01-01T00:00:00.000000"),
        ("2026-03-29T03:59:58 UTC", "2026-03-29T03:59:58.000000"),
        ("2026-07-29 12:00:00 Europe/Lisbon", "2026-07-29T11:00:00.000000"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000000"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999"),
    ],
)
def test_iso_8601(text, utc):
    assert read(text) == utc


@pytest.mark.parametrize(
    ("number", "utc"),
    [
        (1735689599, "2024-12-31T23:59:59.000000"),
        ("1735689599", "2024-12-31T23:59:59.000000"),
        (1735689599.123456, "2024-12-31T23:59:59.123456"),
        ("1735689599.1234569", "2024-12-31T23:59:59.123456"),
        (1795489709.0759578, "2026-11-24T03:08:29.075957"),
        (1735689599123, "2024-12-31T23:59:59.123000"),
        (1735689599123456, "2024-12-31T23:59:59.123456"),
        (1735689599123456789, "2024-12-31T23:59:59.123456"),
        ("1.735689599e9", "2024-12-31T23:59:59.000000"),
        (99999999999, "5138-11-16T09:46:39.000000"),
        (100000000000, "1973-03-03T09:46:40.000000"),
        (99999999999999, "5138-11-16T09:46:39.999000"),
        (100000000000000, "1973-03-03T09:46:40.000000"),
        (1, "1970-01-01T00:00:01.000000"),
    ],
)
def test_epoch_numbers_in_the_unit_that_their_size_tells(number, utc):
    assert read(number) == utc


@pytest.mark.parametrize(
    ("text", "received", "utc"),
    [
        ("Nov 24 09:15:02", RECEIVED, "2026-11-24T09:15:02.000000"),
        ("Nov  4 09:15:02.5", RECEIVED, "2026-11-04T09:15:02.500000"),
        ("nov 24 09:15:02", RECEIVED, "2026-11-24T09:15:02.000000"),
        ("Dec 31 23:59:59", "2027-01-01T00:00:05+00:00", "2026-12-31T23:59:59.000000"),
        ("Jan  1 00:00:01", "2026-12-31T23:59:58+00:00", "2027-01-01T00:00:01.000000"),
        ("Nov 25 10:00:00", RECEIVED, "2026-11-25T10:00:00.000000"),
        ("Nov 25 10:00:01", RECEIVED, "2025-11-25T10:00:01.000000"),
        ("Feb 29 12:00:00", RECEIVED, "2024-02-29T12:00:00.000000"),
        ("Feb 29 12:00:00", "2103-05-01T00:00:00+00:00", "2096-02-29T12:00:00.000000"),
        ("2025 Nov 24 09:15:02", RECEIVED, "2025-11-24T09:15:02.000000"),
        ("Nov 24 2025 09:15:02", RECEIVED, "2025-11-24T09:15:02.000000"),
        ("Nov 24 09:15:02 2025", RECEIVED, "2025-11-24T09:15:02.000000"),
        ("Nov 24 09:15:02 +0100", RECEIVED, "2026-11-24T08:15:02.000000"),
        ("Nov 24 09:15:02 UTC 2025", RECEIVED, "2025-11-24T09:15:02.000000"),
        ("Tue Nov 24 09:15:02 Europe/Berlin 2026", RECEIVED, "2026-11-24T08:15:02.000000"),
    ],
)
def test_rfc_3164_with_and_without_a_year(text, received, utc):
    assert read(text, received) == utc


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000000"),
        ("Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37.000000"),
        ("Sunday, 06-Nov-30 08:49:37 GMT", "2030-11-06T08:49:37.000000"),
        ("Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37.000000"),
        ("Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T15:55:06.000000"),
        ("21 Nov 1997 09:55 -0600 (CST)", "1997-11-21T15:55:00.000000"),
        ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36.000000"),
    ],
)
def test_the_dates_of_http_mail_and_access_logs(text, utc):
    assert read(text) == utc


def test_a_time_without_a_zone_is_in_the_entrance_s():
    assert read("2026-07-29T12:00:00", timezone="Europe/Lisbon") == "2026-07-29T11:00:00.000000"
    assert read("Nov 24 09:15:02", timezone="America/New_York") == "2026-11-24T14:15:02.000000"
    assert read("2026-07-29T12:00:00Z", timezone="Europe/Lisbon") == "2026-07-29T12:00:00.000000"


def test_forms_of_the_entrance_come_last():
    formats = ("%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M:%S %z")
    assert read("24/11/2026 09:15", formats=formats) == "2026-11-24T09:15:00.000000"
    assert read("24.11.2026 09:15:02 +0100", formats=formats) == "2026-11-24T08:15:02.000000"
    assert read("24/11/2026 09:15") is None


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "2026-03-29", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-03-29T25:00:00Z"),
        *(
            "2026-03-29T24:00:01Z",
            "2026-03-29T03:59:61Z",
            "2026-03-29T03:59:58.1234567890Z",
            "x2026-03-29T03:59:58Z",
        ),
        *(
            "2026-03-29T03:59:58Zx",
            "2026-03-29T03:59:58+24:00",
            "2026-03-29T03:59:58 Mars/Olympus",
            "09:15:02",
        ),
        *(
            "Nov 24",
            "Nov 31 09:15:02",
            "Foo 24 09:15:02",
            "\u0662\u0660\u0662\u0666-03-29T03:59:58Z",
            "\u0661\u0662\u0663",
        ),
        *(0, -1, True, False, None, 10**20, float("inf"), float("nan"), 1e300, "0", "-5", "1e400", [], {}),
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-03-29T03:59:58 ../../etc/passwd",
    ],
)
def test_what_is_no_time_is_not_guessed_at(value):
    assert read(value) is None


@given(
    st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001  # the strategy adds the zone
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.timezones(),
    )
)
def test_whatever_python_writes_is_read_back(moment):
    offset = moment.utcoffset()
    if offset is not None and offset.total_seconds() % 60 == 0:
        assert read(moment.isoformat()) == read(moment.astimezone(UTC).isoformat())


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.from_regex(r"[0-9TZ:. +-]{1,30}")))
def test_nothing_makes_it_raise(value):
    read(value)
