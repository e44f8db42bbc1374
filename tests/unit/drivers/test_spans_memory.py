"""Where alerts lie: found by rule, group and time, at a cost that does not grow with all there are."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.alert import Alert, Moment
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.spans_memory import Spans
from mozdef_core.ports import BatchRecord
from mozdef_core.testing_contracts.book_alerts import Clock, event_at, finding

RULES = GROUPS = ("a", "b")
MOMENTS = st.builds(Moment, st.integers(0, 40), st.sampled_from("xyz"))


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Return an alert; some of the ids come again, as of one that has moved."""
    first, last = sorted((draw(MOMENTS), draw(MOMENTS)))
    rule, group = draw(st.sampled_from(RULES)), draw(st.sampled_from(GROUPS))
    number = draw(st.integers(0, 15))
    return Alert(rule, "seen", first, last, group=("user", group), id=f"{rule}{group}{number}")


@given(st.lists(alerts(), max_size=40), st.sets(st.integers(0, 15)), st.integers(-5, 45), st.integers(0, 20))
def test_what_touches_a_time_is_what_looking_at_every_alert_would_find(
    put: Sequence[Alert], gone: set[int], first_us: int, length_us: int
) -> None:
    spans, kept = Spans(), {}
    for alert in put:
        spans.put(alert)
        kept[alert.id] = alert
    for alert_id in [each for each in kept if int(each[2:]) in gone]:
        spans.remove(alert_id)
        del kept[alert_id]
    last_us = first_us + length_us
    for rule in RULES:
        touching = {
            alert.id: alert
            for alert in kept.values()
            if alert.rule == rule and alert.first.us <= last_us and alert.last.us >= first_us
        }
        assert set(spans.of_rule(rule, first_us, last_us)) == touching.keys()
        for group in GROUPS:
            mine = {each for each, alert in touching.items() if alert.group == ("user", group)}
            assert set(spans.of_group(rule, group, first_us, last_us)) == mine
    assert all((alert.id in spans) == (alert.id in kept) for alert in put)


def looked_at(number: int, *, group_s: float) -> int:
    """Return at how many alerts the book looks to store so many findings, each an alert of its own, and run on."""
    book = MemoryBook(clock=Clock())
    for ordinal in range(number):
        event = event_at(ordinal, user="ines")
        book.record(BatchRecord(alerts=[finding(event, group_s=group_s)]))
        if ordinal % 100 == 0:
            book.consumed("rule", event.detection_us - 2_000_000, event.detection_us + 1)
    assert len(book.alerts) == number
    return book._spans.looked


def test_to_store_a_finding_does_not_look_at_all_alerts() -> None:
    for group_s in (0, 0.5, 0.999_999):
        assert looked_at(2_000, group_s=group_s) <= 2 * 2_000  # looking at all would be some millions
