"""What becomes of findings in the alert book in memory (detections.md A3.4, A3.7 and A3.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from mozdef_core.alert import SUMMARY_LIMIT, Alert, Moment, Occasion, Status, weight
from mozdef_core.drivers.outbox_memory import MemoryOutbox
from mozdef_core.drivers.spans_memory import Spans
from mozdef_core.errors import AlertClosedError
from mozdef_core.event import isoformat

_MICROSECOND: Final = timedelta(microseconds=1)


class MemoryFindings(MemoryOutbox):
    """Stores findings; the span of an alert is from its first event to its last, unless pruning took it away."""

    def __init__(self, repeat: timedelta, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self._repeat_us = repeat // _MICROSECOND
        self._closed_us: dict[str, int] = {}
        self._spans = Spans()
        self._extended_us: dict[str, int] = {}

    def set_status(self, alert_id: str, status: Status, *, verdict: str | None = None) -> None:
        """Give an alert a status and tell the actions of it; the conditions of the state machine are not checked."""
        with self._lock:
            now, alert = self._clock(), self.alerts[alert_id]
            self.alerts[alert_id] = replace(alert, status=status, verdict=verdict)
            if status is Status.CLOSED:
                self._closed_us[alert_id] = now
                self._withdraw(alert_id, Occasion.EXTENDED, Occasion.REPEATED)
                self._note(alert_id, Occasion.CLOSED, now)
            else:
                self._closed_us.pop(alert_id, None)
                if status is Status.ACKNOWLEDGED:
                    self.alerts[alert_id] = replace(alert, status=status, acknowledged_us=now)
                    self._note(alert_id, Occasion.ACKNOWLEDGED, now)

    def _store(self, findings: Sequence[Alert]) -> list[Alert]:
        """Store findings in the order of their events, or none of them.

        :raises AlertClosedError: one extends an alert that is closed.
        """
        for finding in findings:
            if finding.extends and finding.recovered_us is None and not self._consumes(finding):
                self._check_open(finding)
        ids = [
            self._find(finding)
            for finding in sorted(findings, key=lambda finding: (finding.first, finding.last))
        ]
        return [self.alerts[alert_id] for alert_id in dict.fromkeys(ids) if alert_id is not None]

    def _check_open(self, finding: Alert) -> None:
        alert_id = finding.extends
        if alert_id not in self.alerts or alert_id in self._closed_us or alert_id not in self._spans:
            raise AlertClosedError(f"the alert {alert_id} that {finding.rule} extends is not open any more")

    def _keep(self, alert: Alert) -> None:
        self.alerts[alert.id] = alert
        self._spans.put(alert)

    def _near(self, finding: Alert, gap_us: int = 0) -> Iterator[Alert]:
        """Yield the alerts of the same rule and group that are no further from the finding than so long."""
        value = finding.group[1] if finding.group else ""
        around = finding.first.us - gap_us, finding.last.us + gap_us
        for alert_id in self._spans.of_group(finding.rule_key, value, *around):
            yield self.alerts[alert_id]

    def _consumes(self, finding: Alert) -> bool:
        """Return whether a span covers the finding that was not closed before its last event was received."""
        received_us = max((event.received_us for event in finding.events), default=0)
        return any(
            alert.first <= finding.first and finding.last <= alert.last
            for alert in self._near(finding)
            if received_us <= self._closed_us.get(alert.id, received_us)
        )

    def _find(self, finding: Alert) -> str | None:
        now = self._clock()
        if finding.recovered_us is not None:
            return self._recover(finding, finding.recovered_us, now)
        if self._consumes(finding):
            return None
        if finding.extends:
            return self._extend(self.alerts[finding.extends], finding, now)
        near = [
            (distance, alert)
            for alert in self._near(finding, finding.group_for // _MICROSECOND)
            if (distance := self._distance_us(alert, finding)) is not None
        ]
        if near:
            return self._extend(max(near, key=lambda pair: (-pair[0], pair[1].last))[1], finding, now)
        if (known := self.alerts.get(finding.minted_id)) is not None:
            fresh = [event for event in finding.events if Moment.of(event) > known.last]
            if not fresh:
                return None
            count = sum(map(weight, fresh))
            return self._find(replace(finding, first=Moment.of(fresh[0]), events=fresh, count=count))
        return self._raise(finding, now)

    def _raise(self, finding: Alert, now: int) -> str:
        alert = replace(
            finding,
            id=finding.minted_id,
            created_us=finding.created_us or now,
            summary=finding.summary[:SUMMARY_LIMIT],
            events=tuple(finding.events[: finding.samples]),
            extends="",
        )
        self._keep(alert)
        self._rule_details[alert.id] = frozenset(alert.details)
        self._note(alert.id, Occasion.RAISED, now)
        return alert.id

    def _distance_us(self, alert: Alert, finding: Alert) -> int | None:
        if alert.id in self._closed_us or alert.recovered_us is not None:
            return None
        if alert.first <= finding.last and finding.first <= alert.last:
            return -1
        length_us = max(alert.last.us, finding.last.us) - min(alert.first.us, finding.first.us)
        gap_us = max(finding.first.us - alert.last.us, alert.first.us - finding.last.us)
        limit_us = finding.group_for // _MICROSECOND
        if not limit_us or gap_us > limit_us or length_us > finding.group_max // _MICROSECOND:
            return None
        return gap_us

    def _extend(self, alert: Alert, finding: Alert, now: int) -> str:
        inside = [event for event in finding.events if alert.first <= Moment.of(event) <= alert.last]
        new = [event for event in finding.events if event not in inside]
        samples = [*alert.events, *new[: max(0, finding.samples - len(alert.events))]]
        unmuted = not finding.events and alert.notify is False
        grown = replace(
            alert,
            notify=finding.notify if unmuted else alert.notify,
            first=min(alert.first, finding.first),
            last=max(alert.last, finding.last),
            count=alert.count + max(1, finding.count - sum(map(weight, inside))),
            events=tuple(sorted(samples, key=Moment.of)),
        )
        self._keep(grown)
        if not self._waits(alert.id, Occasion.RAISED, Occasion.EXTENDED, Occasion.REPEATED):
            self._tell_again(alert, finding, now)
        return alert.id

    def _tell_again(self, alert: Alert, finding: Alert, now: int) -> None:
        """Tell of an extension at most every ``repeat``; of a silence that lasts, first so long after it was raised."""
        if finding.events:
            due_us = max(now, self._extended_us.get(alert.id, now - self._repeat_us) + self._repeat_us)
            self._extended_us[alert.id] = due_us
            self._note(alert.id, Occasion.EXTENDED, due_us)
        elif finding.notify is False:
            return
        elif alert.notify is False or (
            now >= self._extended_us.get(alert.id, alert.created_us) + self._repeat_us
        ):
            self._extended_us[alert.id] = now
            self._note(alert.id, Occasion.REPEATED, now)

    def _recover(self, finding: Alert, recovered_us: int, now: int) -> str | None:
        """Note that events came back; raise the alert first where the silence has begun and ended in one run."""
        alert_id: str | None = finding.extends or finding.minted_id
        if alert_id not in self.alerts:
            alert_id = None if finding.extends else self._find(replace(finding, recovered_us=None))
        if alert_id is None or self.alerts[alert_id].recovered_us is not None:
            return None
        alert = self.alerts[alert_id]
        recovered = replace(
            alert,
            recovered_us=recovered_us,
            last=max(alert.first, Moment(recovered_us, str(recovered_us))),
            details={**alert.details, "recovered_at": isoformat(recovered_us)},
        )
        self._keep(recovered)
        self._rule_details[alert_id] |= {"recovered_at"}
        self._withdraw(alert_id, Occasion.EXTENDED, Occasion.REPEATED)
        self._note(alert_id, Occasion.RECOVERED, now)
        if alert.status is not Status.CLOSED and alert.acknowledged_us is None:
            self.set_status(alert_id, Status.CLOSED, verdict="benign")
        return alert_id
