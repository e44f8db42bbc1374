"""The ledger port: which intervals a rule has run over, what it has consumed, and what it remembers.

All times are microseconds since 1970. An interval is half-open and in detection time (detections.md A3.2); that of a
rule about absence is in received time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from mozdef_core.alert import Alert, Consumed


class RunState(StrEnum):
    """How an interval of a rule stands (detections.md A3.9)."""

    RAN = "ran"
    LATE = "late"
    FAILED = "failed"
    SKIPPED = "skipped"
    RERUN = "re-run"
    DEGRADED = "degraded"
    BLIND = "blind"


class Lease(NamedTuple):
    """The right to run one rule, until it ends or somebody else takes it.

    :param rule: the rule's key in the ledger: its name, or ``staged:`` and its name.
    :param fence: rises each time the rule is leased; what carries an older one is refused.
    :param since_us: from when on the rule is responsible: when it was first enabled.
    :param cursor_us: up to where it has run; at first ``since_us``.
    :param journal: number of the arrival journal up to which late events have been looked at.
    :param runs: how many runs have been finished.
    """

    rule: str
    fence: int
    since_us: int
    cursor_us: int
    journal: int
    runs: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A row of the ledger: a span of time of one rule; neighbours that ran clean are one row.

    :param at_us: when it was last run or decided on; ``took_s`` how long that took.
    :param events: how many distinct events were looked at; ``alerts`` how many alerts were raised or extended.
    :param ungrouped: how many events could not be grouped (A3.5), with ``sample`` the id of one.
    :param failures: how often it failed; ``due_us`` when it is tried again, if it is.
    """

    rule: str
    start_us: int
    end_us: int
    state: RunState
    at_us: int
    took_s: float = 0.0
    events: int = 0
    alerts: int = 0
    ungrouped: int = 0
    sample: str = ""
    failures: int = 0
    due_us: int | None = None
    reason: str = ""


_JOINED: Final = (RunState.RAN, RunState.SKIPPED, RunState.BLIND)


def lay(new: Interval, touching: Iterable[Interval]) -> list[Interval]:
    """Return the rows that stand in the ledger once a new one does, in place of those that it touches or adjoins.

    What the new one covers goes, what it covers in part is cut, and neighbours that ran clean become one row; so do
    neighbours that were skipped, or blind, for the same reason. The rows given must not overlap; those returned do
    not, and cover the same time and that of the new one. Of a row that is cut each piece has its share of the events
    and of the time they took, and the first one has all of the alerts, which were raised once.
    """
    if new.start_us >= new.end_us:
        return list(touching)
    pieces = [new]
    for old in touching:
        left = _cut(old, old.start_us, min(old.end_us, new.start_us))
        right = _cut(old, max(old.start_us, new.end_us), old.end_us)
        if left and right:
            right = replace(right, alerts=0)
        pieces.extend(piece for piece in (left, right) if piece)
    rows: list[Interval] = []
    for piece in sorted(pieces, key=lambda piece: piece.start_us):
        if rows and _joins(rows[-1], piece):
            rows[-1] = _joined(rows[-1], piece)
        else:
            rows.append(piece)
    return rows


def _cut(row: Interval, start_us: int, end_us: int) -> Interval | None:
    if start_us >= end_us:
        return None
    if (start_us, end_us) == (row.start_us, row.end_us):
        return row
    share = (end_us - start_us) / (row.end_us - row.start_us)
    return replace(
        row,
        start_us=start_us,
        end_us=end_us,
        took_s=row.took_s * share,
        events=round(row.events * share),
        ungrouped=round(row.ungrouped * share),
    )


def _joins(left: Interval, right: Interval) -> bool:
    same = (left.state, left.reason, left.end_us) == (right.state, right.reason, right.start_us)
    return same and left.state in _JOINED


def _joined(left: Interval, right: Interval) -> Interval:
    return replace(
        left,
        end_us=right.end_us,
        at_us=max(left.at_us, right.at_us),
        took_s=left.took_s + right.took_s,
        events=left.events + right.events,
        alerts=left.alerts + right.alerts,
        ungrouped=left.ungrouped + right.ungrouped,
        sample=right.sample or left.sample,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves, written in one transaction.

    :param interval: what was run, as it shall stand in the ledger; rows that it covers, failed ones too, go.
    :param alerts: the findings, in any order.
    :param cursor_us: the rule's new cursor; None where an interval before it was run again.
    :param journal: the number noted before the store was opened; None leaves it.
    :param state: what the rule remembers from now on; None removes a key.
    :param seen: ids of events that a state rule has dealt with, each with its detection time.
    :param excepted: by exception, how many events it removed.
    """

    interval: Interval
    alerts: Sequence[Alert] = ()
    cursor_us: int | None = None
    journal: int | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    excepted: Mapping[str, int] = field(default_factory=dict)


class Ledger(ABC):
    """The part of the casework database by which scheduled rules neither miss nor repeat anything."""

    @abstractmethod
    def lease(self, rule: str, start_us: int, now_us: int, lease_s: float) -> Lease | None:
        """Take a rule for this process, or return None while another has it.

        A rule that the ledger has never seen begins at ``start_us``, and with the arrival journal as it is then.

        :param lease_s: seconds after which another may take it, since this process must have died.
        """

    @abstractmethod
    def release(self, lease: Lease) -> None:
        """Give a rule back; a lease that was lost already is left alone."""

    @abstractmethod
    def arrivals_since(self, number: int) -> tuple[int, Sequence[int]]:
        """Return the arrival journal's number now, and the minutes since 1970 with a higher one than given, sorted."""

    @abstractmethod
    def consumed(self, rule: str, start_us: int, end_us: int) -> Mapping[str, Sequence[Consumed]]:
        """Return by group value what alerts of a rule have consumed that touches a span, in order of first event."""

    @abstractmethod
    def failed(self, rule: str, now_us: int) -> Sequence[Interval]:
        """Return the intervals set aside as failed that are due again, oldest first."""

    @abstractmethod
    def finish(self, lease: Lease, outcome: Outcome) -> Sequence[Alert]:
        """Write what a run leaves, in one transaction, and return the alerts raised or extended.

        :raises LeaseLostError: another process has taken the rule; nothing was written.
        :raises AlertClosedError: a finding only extends an alert, and that was closed meanwhile; nothing was
            written, and the run is to be made again.
        """

    @abstractmethod
    def set_aside(self, lease: Lease, interval: Interval, cursor_us: int | None = None) -> None:
        """Note an interval that failed or was skipped, and move the cursor past it if one is given.

        :raises LeaseLostError: as :meth:`finish`.
        """

    @abstractmethod
    def skip_time(self, rule: str, start_us: int, end_us: int, reason: str, now_us: int) -> None:
        """Note a span in which a rule was not enabled, up to which its cursor moves.

        What the rule has not run over before the span is set aside as failed, so that it is run. A rule that the
        ledger has never seen begins at the end of the span.
        """

    @abstractmethod
    def retry(self, rule: str) -> None:
        """Make every failed interval of a rule due now: the rule or a plugin has changed."""

    @abstractmethod
    def intervals(self, rule: str, start_us: int, end_us: int) -> Sequence[Interval]:
        """Return the rows of a rule that touch a span, oldest first."""

    @abstractmethod
    def recall(self, rule: str, keys: Collection[str] | None = None, prefix: str = "") -> Mapping[str, Any]:
        """Return what a rule remembers: these keys, or all that begin with a prefix."""

    @abstractmethod
    def seen(self, rule: str, ids: Collection[str]) -> set[str]:
        """Return those events that a state rule has dealt with already."""

    @abstractmethod
    def listened(self, start_us: int, end_us: int) -> Sequence[int]:
        """Return the minutes since 1970 of a span in which an entrance, the queue and a worker were all up, sorted."""

    @abstractmethod
    def watermark(self, now_us: int) -> int:
        """Return up to when everything received is stored: the least that the live workers publish, never falling.

        Without a live worker it stays where it was.
        """
