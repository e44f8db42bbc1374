"""What an exception would have hidden: shown before somebody makes it (detections.md A5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from mozdef_core.event import Event, isoformat, now_us
from mozdef_core.ports import EventStore
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.query.lists import Lists, resolve
from mozdef_core.query.model import Query, QueryString, Range, Search

if TYPE_CHECKING:
    from mozdef_core.casework.database import Database

SPAN_US: Final = 30 * 24 * 3_600_000_000
"""How far back is looked."""

SAMPLES: Final = 20


class RulePreview(NamedTuple):
    """A rule whose alerts the exception touches.

    :param alerts: how many hold events that match it, ``hidden`` those of them of which no kept event is left.
    :param events: the kept events of its alerts that match.
    """

    rule: str
    alerts: int
    hidden: int
    events: int


class Preview(NamedTuple):
    """What an exception would have hidden.

    :param since_us: from when on was looked, by time of reception.
    :param matching: how many stored events match the query.
    :param rules: the concerned rules with such events in their alerts, those with most alerts first.
    :param alerts: ids of some of these alerts.
    :param samples: some of the events in them; of those that match where there are none.
    """

    since_us: int
    matching: int
    rules: Sequence[RulePreview]
    alerts: Sequence[str]
    samples: Sequence[Event]


def preview(
    store: EventStore,
    database: Database,
    lists: Lists,
    *,
    scope: str,
    target: str,
    query: str,
    now: int | None = None,
) -> Preview:
    """Return what an exception would have hidden in the last 30 days; changes nothing.

    Alerts keep some samples of their events, and those are looked at: an alert of more events than it keeps may hold
    others that match. The tags are those of the alerts.

    :raises QueryError: the query has no meaning.
    """
    from mozdef_core.casework.exception_alerts import concerned_alerts

    since_us = (now or now_us()) - SPAN_US
    condition = resolve(QueryString(query), lists)
    received: Query = condition & Range("receivedtimestamp", gte=isoformat(since_us))
    matching = store.count(received)
    matches = compile_query(condition)
    counts: dict[str, list[int]] = {}
    alerts: list[str] = []
    samples: dict[str, Event] = {}
    with database.read() as session:
        for alert_id, rule, events in concerned_alerts(session, scope, target, since_us):
            found = [event for event in events if event.received_us >= since_us and matches(event)]
            if not found:
                continue
            number = counts.setdefault(rule, [0, 0, 0])
            number[0] += 1
            number[1] += len(found) == len(events)
            number[2] += len(found)
            if len(alerts) < SAMPLES:
                alerts.append(alert_id)
            for event in found:
                if len(samples) < SAMPLES:
                    samples[event.id] = event
    if not samples and matching:
        samples = {event.id: event for event in store.search(Search(received, size=SAMPLES)).events}
    rules = [RulePreview(rule, *number) for rule, number in counts.items()]
    rules.sort(key=lambda one: (-one.alerts, one.rule))
    return Preview(since_us, matching, rules, alerts, list(samples.values()))
