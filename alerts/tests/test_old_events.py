from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from mozdef_alerts.pipeline.old_events import OldEvents

from mozdef_core import Event, Window
from mozdef_core.query.evaluate import compile as compiled

HOUR_US = 3_600_000_000
NOON_US = int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()) * 1_000_000


class Held(Window):
    """A window over a few events."""

    def __init__(self, events, start_us, end_us):
        super().__init__(start_us, end_us)
        self.events = events

    def search(self, query, *, before=timedelta(0)):
        test = compiled(query)
        first_us = self.start_us - before // timedelta(microseconds=1)
        return (
            event for event in self.events if first_us <= event.detection_us < self.end_us and test(event)
        )

    def __iter__(self):
        return iter(self.events)


@pytest.fixture
def make_old(make_event):
    def make(hour, days=2, **mozdef):
        received = datetime.fromtimestamp((NOON_US + hour * HOUR_US) / 1e6, UTC)
        own = received - timedelta(days=days)
        event = make_event(
            {"utctimestamp": own.isoformat(), "hostname": "db4"}, received=received.isoformat()
        )
        return Event(event.id, {**event.body, "mozdef": {**event.body["mozdef"], **mozdef}})

    return make


@pytest.fixture
def found(make_host):
    def find(events, hours=(0, 24), **options):
        rule = make_host((OldEvents, options)).plugins[0].instance
        window = Held(events, NOON_US + hours[0] * HOUR_US, NOON_US + hours[1] * HOUR_US)
        return [alert.count for alert in rule.alert_match(window)]

    return find


def test_an_event_is_found_in_the_window_in_which_it_was_received_and_in_no_other(make_old, found):
    events = [make_old(0), make_old(5), make_old(6, days=6), make_old(6, days=300)]
    assert found(events, (0, 6)) == [2]
    assert found(events, (6, 12)) == [2]
    assert found(events, (12, 24)) == []


def test_what_is_replayed_is_meant_to_be_old(make_old, found):
    assert found([make_old(0, replayed=True), make_old(1, replayed=False)]) == [1]


def test_one_look_over_a_long_time_tells_bursts_apart_by_when_they_were_received(make_old, found):
    assert found([make_old(hour) for hour in (0, 6, 13)]) == [2, 1]
    assert found([make_old(hour) for hour in (0, 6, 13)], group_for="7h") == [3]
    assert found([make_old(hour) for hour in (0, 6, 13)], window="1h") == [1, 1, 1]
    assert found([make_old(hour) for hour in (0, 6, 12, 18, 24, 30)], (0, 48)) == [5, 1]
