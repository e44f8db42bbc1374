"""The alert: what a rule raises, what an action is given, and what a plugin may add to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from mozdef_core.event import Event, isoformat

SUMMARY_LIMIT: Final = 2_000

COUNT_LIMIT: Final = 1 << 62
"""No count of occurrences is larger, since a column of the casework database must hold it."""


class Severity(StrEnum):
    """The eight levels of RFC 5424, most urgent first."""

    EMERGENCY = "EMERGENCY"
    ALERT = "ALERT"
    CRITICAL = "CRITICAL"
    ERROR = "ERROR"
    WARNING = "WARNING"
    NOTICE = "NOTICE"
    INFO = "INFO"
    DEBUG = "DEBUG"


class Status(StrEnum):
    """Where an alert stands (investigate.md section 2.2); ``manual`` is shown as "new"."""

    MANUAL = "manual"
    IN_PROGRESS = "inProgress"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"
    CLOSED = "closed"


class Occasion(StrEnum):
    """What happened to an alert, so that actions run (detections.md part F)."""

    RAISED = "raised"
    EXTENDED = "extended"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"
    RECOVERED = "recovered"
    REPEATED = "repeated"


class Moment(NamedTuple):
    """A point in the order in which rules look at events: detection time (microseconds since 1970), then id."""

    us: int
    id: str

    @classmethod
    def of(cls, event: Event) -> Moment:
        """Return where an event stands in that order."""
        return cls(event.detection_us, event.id)


def weight(event: Event) -> int:
    """Return how many occurrences an event stands for: ``details.repeated``, at least one (detections.md A3.3)."""
    repeated = event.get("details.repeated")
    return min(repeated, COUNT_LIMIT) if type(repeated) is int and repeated > 1 else 1


class Consumed(NamedTuple):
    """What one alert has consumed of its group: every matching event from first to last, both included.

    :param closed_us: when the alert was closed; it does not consume what was received after that (A3.8).
    """

    alert_id: str
    first: Moment
    last: Moment
    closed_us: int | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert (detections.md part D1).

    A rule makes it with :meth:`Rule.alert <mozdef_core.rules.Rule.alert>` from the events that it is about. The
    fields from ``status`` on belong to the casework database: a rule leaves them alone, an action reads them.

    :param rule: name of the rule.
    :param summary: one line for people; cut at 2,000 characters.
    :param events: the samples kept with the alert, oldest first; not necessarily all events.
    :param samples: of a finding: how many events the alert keeps, those of earlier findings among them.
    :param count: how many events it stands for, samples or not.
    :param group: grouping field and value, or None.
    :param first: the earliest event consumed; with rule and group it makes the id.
    :param last: the latest event consumed.
    :param group_for: how long after ``last`` further matches extend this alert; zero for never.
    :param notify: whether notifiers should send it; None lets the rule of D2 decide.
    :param extends: id of the alert that a finding only adds to, since it would not have been one by itself.
    :param staged: the rule is being tried out: the alert is shown on the rule's page only, and nobody is told.
    :param recovered_us: of a rule about absence: when events came back, microseconds since 1970.
    """

    rule: str
    summary: str
    first: Moment
    last: Moment
    rule_version: str = "1"
    severity: Severity = Severity.NOTICE
    category: str = ""
    tags: Sequence[str] = ()
    attack: Sequence[str] = ()
    events: Sequence[Event] = field(default=(), repr=False)
    samples: int = 10
    count: int = 1
    group: tuple[str, str] | None = None
    group_for: timedelta = timedelta(0)
    group_max: timedelta = timedelta(hours=24)
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    url: str = ""
    channel: str = ""
    notify: bool | None = None
    extends: str = ""
    staged: bool = False
    recovered_us: int | None = None
    id: str = ""
    created_us: int = 0
    status: Status = Status.MANUAL
    acknowledged_us: int | None = None
    acknowledged_by: str | None = None
    assignee: str | None = None
    verdict: str | None = None
    errors: Sequence[str] = ()

    @property
    def rule_key(self) -> str:
        """What the rule is called in the ledger and at its spans: ``staged:`` and its name while it is tried out."""
        return f"staged:{self.rule}" if self.staged else self.rule

    @property
    def minted_id(self) -> str:
        """The id that this alert has if it is the first of its kind (detections.md A3.7): 26 characters."""
        value = self.group[1] if self.group else ""
        text = "\x1f".join((self.rule_key, value, self.first.id))
        return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=13).hexdigest()

    @property
    def notifies(self) -> bool:
        """Whether notifiers should send it (detections.md D2)."""
        if self.notify is not None:
            return self.notify
        return bool(self.channel) or self.severity not in (Severity.DEBUG, Severity.INFO)

    def to_dict(self) -> dict[str, Any]:
        """Return the alert as a JSON document with the names of detections.md D1."""
        return {
            "id": self.id or self.minted_id,
            "rule": self.rule,
            "rule_version": self.rule_version,
            "classname": self.rule,
            "utctimestamp": isoformat(self.created_us),
            "first_seen": isoformat(self.first.us),
            "last_seen": isoformat(self.last.us),
            "severity": self.severity.value,
            "category": self.category,
            "summary": self.summary,
            "tags": list(self.tags),
            "attack": list(self.attack),
            "events": [
                {
                    "documentid": event.id,
                    "documentindex": event.body.get("receivedtimestamp", "")[:10],
                    "documentsource": event.to_dict(),
                }
                for event in self.events
            ],
            "count": self.count,
            "group": {"field": self.group[0], "value": self.group[1]} if self.group else None,
            "details": dict(self.details),
            "url": self.url,
            "channel": self.channel,
            "notify_mozdefbot": self.notifies,
            "status": self.status.value,
            "acknowledged": isoformat(self.acknowledged_us) if self.acknowledged_us is not None else None,
            "acknowledgedby": self.acknowledged_by,
            "assignee": self.assignee,
            "verdict": self.verdict,
            "errors": list(self.errors),
        }


@dataclass(frozen=True, slots=True)
class Block:
    """What an action asks for: an address on the IP block list, whose safety checks all hold.

    What they refuse is not blocked, and the alert's history says why. The entry refers to the alert.

    :param address: an address or network.
    :param duration: one of ``1hr``, ``12hr``, ``1d``, ``2d``, ``3d``, ``1w``, ``30d``; it never shortens a block.
    :param max_per_hour: so many new entries may actions make within an hour; beyond it this is refused.
    :param dry_run: the checks are made and their result noted, and nothing is blocked.
    """

    address: str
    duration: str = "1d"
    comment: str = "Automatic Block"
    creator: str = "MozDef"
    max_per_hour: int = 50
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What an action plugin adds to an alert or has done; the core applies and signs it.

    :param details: members for ``details``; one that the rule has set is not overwritten.
    :param summary_suffix: text appended to the summary after ``; ``.
    :param severity: the new severity, or None to leave it.
    :param note: what was done, or why nothing was, for the alert's history.
    :param skipped: nothing was done; then only ``note`` counts.
    :param block: an address for the IP block list, or None.
    """

    details: Mapping[str, Any] = field(default_factory=dict)
    summary_suffix: str = ""
    severity: Severity | None = None
    note: str = ""
    skipped: bool = False
    block: Block | None = None
