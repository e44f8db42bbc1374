"""New-value rules as the runner runs them, against a brute force over all events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.alert import Alert, Moment, Status
from mozdef_core.detection import Runner, Scheduled
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.event import Event
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.ports import BatchRecord
from mozdef_core.query.model import Exists
from mozdef_core.rules import NewValueRule, new_value
from mozdef_core.testing_contracts.book_alerts import MINUTE, START_US, Clock, event_at

SPAN = 30


class NewCountry(NewValueRule[NewValueRule.Options]):
    """A user comes from a country for the first time in a while."""

    query = Exists("details.username")
    by = "details.username"
    value_of = "details.country"
    span = timedelta(minutes=SPAN)

    def summary(self, event: Event, entity: str, value: str) -> str:
        return f"{entity} from {value}"


class Site:
    """A runner over the rule; the rule is responsible from the start of the test on."""

    def __init__(self, *history: Event) -> None:
        self.clock = Clock()
        self.plugin = Plugin("new", NewCountry(NewCountry.Options()))
        self.book = MemoryBook(clock=self.clock)
        self.store = MemoryStore()
        self.store.write(history)
        self.scheduled = Scheduled.of(self.plugin, lambda us: us + MINUTE)
        self.start()
        self.runner.run(self.scheduled)

    def start(self) -> None:
        self.runner = Runner(Host([self.plugin], Health()), self.store, self.book, clock=self.clock)

    def run(self, minute: float) -> None:
        self.clock.us = max(self.clock.us, START_US + int(minute * MINUTE))
        self.book.report("worker", "w", {"worker": {"watermark_us": self.clock.us}}, self.clock.us)
        while self.runner.run(self.scheduled) == timedelta(0):
            pass

    def arrive(self, *events: Event) -> None:
        self.store.write(events)
        minutes = [event.detection_us // MINUTE for event in events]
        self.book.record(BatchRecord(arrivals=dict.fromkeys(minutes, 1)))

    @property
    def alerts(self) -> Sequence[Alert]:
        return sorted(self.book.alerts.values(), key=lambda alert: alert.first)


def login(number: int, minute: float, user: str, country: str, *, received: float | None = None) -> Event:
    came = None if received is None else received * 60
    return event_at(minute * 60, received=came, name=f"{number:04d}", username=user, country=country)


OLD = event_at(-86_400, nothing="of interest")


def brute(events: Sequence[Event], since_us: int = START_US) -> set[tuple[str, str]]:
    """Each event against all before it."""
    found, ordered = set(), sorted(events, key=Moment.of)
    for number, event in enumerate(ordered):
        pair = f"{event.get('details.username')} | {event.get('details.country')}"
        same = [
            other
            for other in ordered[:number]
            if pair == f"{other.get('details.username')} | {other.get('details.country')}"
            and event.detection_us - other.detection_us <= SPAN * MINUTE
        ]
        if not same and event.detection_us >= since_us:
            found.add((pair, event.id))
    return found


MINUTES = st.integers(0, 2_000).map(lambda number: number / 10)
LOGINS = st.lists(
    st.tuples(MINUTES, st.sampled_from(["ines", "joe"]), st.sampled_from(["DE", "FR"])), max_size=25
)


@settings(max_examples=80, deadline=None)
@given(
    logins=LOGINS,
    history=st.lists(
        st.tuples(st.integers(-60, -1), st.sampled_from(["ines", "joe"]), st.sampled_from(["DE", "FR"])),
        max_size=8,
    ),
    runs=st.lists(MINUTES, max_size=6),
    patience=st.sampled_from([-1.0, 10.0]),
)
def test_what_comes_in_order_is_new_when_nothing_like_it_was_there_for_the_span(
    logins: list[tuple[float, str, str]],
    history: list[tuple[int, str, str]],
    runs: list[float],
    patience: float,
) -> None:
    past = [login(number, *row) for number, row in enumerate(history, 100)]
    events = [login(number, *row) for number, row in enumerate(logins)]
    site = Site(OLD, *past)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(new_value, "WARM_UP_S", patience)  # a chunk of one event in each run, or all at once
        patch.setattr(new_value, "_AT_ONCE", 1 if patience < 0 else 500)
        for number in range(12):
            site.run(number / 10_000)
        for number, minute in enumerate(sorted(runs)):
            before = [event for event in events if event.detection_us < START_US + minute * MINUTE]
            site.arrive(
                *(event for event in before if event.id not in {each.id for each in site_events(site)})
            )
            if number % 2:
                site.start()
            site.run(minute)
        known = {event.id for event in site_events(site)}
        site.arrive(*(event for event in events if event.id not in known))
        site.run(201)
        site.run(202)
    found = {(alert.group[1], alert.first.id) for alert in site.alerts if alert.group}
    assert len(site.alerts) == len(found)
    expected = brute([*past, *events])
    early = {event.id for event in events if event.detection_us <= START_US + MINUTE // 100}
    assert {one for one in found if one[1] not in early} == {one for one in expected if one[1] not in early}
    assert not any(alert.staged for alert in site.alerts if alert.first.id not in early)


def site_events(site: Site) -> Sequence[Event]:
    from mozdef_core.query.model import All, Search

    return site.store.search(Search(All(), size=10_000)).events


@settings(max_examples=80, deadline=None)
@given(logins=LOGINS, data=st.data())
def test_of_what_comes_late_every_alert_overlaps_one_and_none_is_raised_twice(
    logins: list[tuple[float, str, str]], data: st.DataObject
) -> None:
    events = []
    for number, (minute, user, country) in enumerate(logins):
        delay = data.draw(st.sampled_from([0, 0, 1, 20, 45, 100]))
        events.append(login(number, minute, user, country, received=minute + delay))
    site = Site(OLD)
    waiting = sorted(events, key=lambda event: event.received_us)
    for minute in range(0, 320, 10):  # the last login may arrive at minute 300
        due = [event for event in waiting if event.received_us < START_US + minute * MINUTE]
        site.arrive(*due)
        waiting = [event for event in waiting if event not in due]
        site.run(minute)
    moments = {event.id: Moment.of(event) for event in events}
    for pair, event_id in brute(events):
        assert any(
            alert.group and alert.group[1] == pair and alert.first <= moments[event_id] <= alert.last
            for alert in site.alerts
        )
    assert len({(alert.group, alert.first.id) for alert in site.alerts}) == len(site.alerts)


def test_until_history_covers_the_span_nobody_is_told() -> None:
    site = Site(login(1, -10, "ines", "DE"))
    site.arrive(login(2, 5, "ines", "FR"))
    site.run(6)
    assert [alert.staged for alert in site.alerts] == [True]
    site.arrive(login(3, 25, "ines", "PL"), login(4, 25, "ines", "DE"))
    site.run(26)
    assert [(alert.summary, alert.staged) for alert in site.alerts] == [
        ("ines from FR", True),
        ("ines from DE", False),
        ("ines from PL", False),
    ] or [(alert.summary, alert.staged) for alert in site.alerts] == [
        ("ines from FR", True),
        ("ines from PL", False),
        ("ines from DE", False),
    ]


def test_an_alert_that_was_closed_is_not_raised_again_by_what_comes_late() -> None:
    site = Site(OLD)
    site.arrive(login(1, 20, "ines", "FR"))
    site.run(21)
    (alert,) = site.alerts
    site.book.set_status(alert.id, Status.CLOSED)
    site.arrive(login(2, 10, "ines", "FR", received=22))
    site.run(23)
    assert [one.id for one in site.alerts] == [alert.id]
    assert max(row.end_us for row in site.book.intervals("new", 0, 10**17)) == START_US + 23 * MINUTE


def test_just_the_span_later_it_is_not_new_and_a_moment_after_that_it_is() -> None:
    site = Site(OLD)
    site.arrive(login(1, 1, "ines", "FR"), login(2, 1 + SPAN, "ines", "FR"))
    site.run(40)
    assert len(site.alerts) == 1
    site.arrive(event_at((1 + 2 * SPAN) * 60 + 0.001, name="x", username="ines", country="FR"))
    site.run(70)
    assert len(site.alerts) == 2


def test_what_was_not_seen_for_long_is_forgotten() -> None:
    site = Site(OLD)
    site.arrive(*(login(number, 1, f"user{number}", "DE") for number in range(20)))
    site.run(2)
    assert len(site.book.recall("new", prefix="seen:")) == 20
    for minute in range(256):
        site.run(10 * 1_440 + minute)
    assert len(site.book.recall("new", prefix="seen:")) == 0
