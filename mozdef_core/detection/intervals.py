"""Intervals: what a rule on a schedule has to be run over now, worked out from where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from mozdef_core.event import LATE_HORIZON_S
from mozdef_core.ports import Interval

PIECE_US: Final = 3_600_000_000
"""What has to be caught up with is run in pieces of at most an hour."""

_MINUTE_US: Final = 60_000_000
_HORIZON_US: Final = LATE_HORIZON_S * 1_000_000


class Span(NamedTuple):
    """A half-open span of detection time, microseconds since 1970."""

    start_us: int
    end_us: int


class Kind(StrEnum):
    """Why a piece is run."""

    DUE = "due"
    REOPENED = "re-opened"
    FAILED = "failed"


class Piece(NamedTuple):
    """A span to run a rule over.

    :param failures: how often it has failed, for one that had been set aside.
    """

    start_us: int
    end_us: int
    kind: Kind
    failures: int = 0

    @property
    def span(self) -> Span:
        """The span itself."""
        return Span(self.start_us, self.end_us)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands.

    :param since_us: from when on it is responsible.
    :param cursor_us: up to where it has run.
    :param end_us: up to where it can be run now.
    :param changed: minutes since 1970 in which events have arrived since the journal was last looked at.
    :param look_back_us: how far behind the start of an interval its events can matter.
    :param failed: intervals that had been set aside and are due again.
    :param aside: spans that late events do not open, since they are to be run again anyway.
    """

    since_us: int
    cursor_us: int
    end_us: int
    changed: Sequence[int]
    look_back_us: int
    failed: Sequence[Interval] = ()
    aside: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about it.

    :param skipped: what is too old to be caught up with.
    :param pieces: what to run, in this order; no two overlap but with a failed one.
    :param later: re-opened spans that would keep what is due waiting; they are noted, and run bit by bit.
    :param late: for a rule that remembers, the spans before the cursor in which events have arrived.
    """

    skipped: Span | None
    pieces: Sequence[Piece]
    later: Sequence[Span]
    late: Sequence[Span]


def plan(standing: Standing, catch_up_us: int, *, remembers: bool = False, piece_us: int = PIECE_US) -> Plan:
    """Return what to run: what is due, what late events have re-opened, and what had failed.

    Late events re-open the span that they can influence: from their minute to the look-back behind it, as far as the
    rule has been run. Where that adjoins what is due both are one. A rule that remembers is not run again over what
    it knows: it is given the late events by themselves.

    :param catch_up_us: what is older than this before the end is skipped.
    :param piece_us: no piece is longer.
    """
    cursor_us, end_us = standing.cursor_us, standing.end_us
    oldest_us = end_us - catch_up_us
    skipped = Span(cursor_us, oldest_us) if cursor_us < oldest_us else None
    start_us = max(cursor_us, oldest_us)
    reach_us = 0 if remembers else standing.look_back_us
    late = list(_reopened(standing, reach_us, start_us - _HORIZON_US))
    failed = list(_cut(_merged(map(_span, standing.failed)), piece_us))
    pieces = [_failed(span, standing.failed) for span in failed]
    if remembers:
        return Plan(skipped, [*_due(Span(start_us, end_us), cursor_us, piece_us), *pieces], (), late)
    adjoining = late and late[-1].end_us == cursor_us and late[-1].start_us >= cursor_us - piece_us
    if adjoining and start_us == cursor_us < end_us:
        start_us = late.pop().start_us
    due = _due(Span(start_us, end_us), cursor_us, piece_us)
    if sum(span.end_us - span.start_us for span in late) > piece_us:
        return Plan(skipped, [*due, *pieces], late, ())
    reopened = [Piece(*span, Kind.REOPENED) for span in late]
    return Plan(skipped, [*reopened, *due, *pieces], (), ())


def _due(span: Span, cursor_us: int, piece_us: int) -> Iterator[Piece]:
    for start_us, end_us in _cut([span], piece_us):
        yield Piece(start_us, end_us, Kind.DUE if end_us > cursor_us else Kind.REOPENED)


def _reopened(standing: Standing, reach_us: int, oldest_us: int) -> Iterator[Span]:
    """Yield the spans before the cursor that the changed minutes can influence, merged.

    :param oldest_us: events further back re-open nothing (A3.9).
    """
    since_us, cursor_us = standing.since_us, standing.cursor_us
    minutes = (minute * _MINUTE_US for minute in standing.changed)
    opened = _merged(
        Span(max(first_us, since_us), min(first_us + _MINUTE_US + reach_us, cursor_us))
        for first_us in minutes
        if first_us + _MINUTE_US > oldest_us
    )
    aside = list(_merged(standing.aside))
    for span in opened:
        yield from _without(span, aside)


def _span(interval: Interval) -> Span:
    return Span(interval.start_us, interval.end_us)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans in order, those that overlap or adjoin as one."""
    present: Span | None = None
    for span in sorted(span for span in spans if span.start_us < span.end_us):
        if present is None:
            present = span
        elif span.start_us <= present.end_us:
            present = Span(present.start_us, max(present.end_us, span.end_us))
        else:
            yield present
            present = span
    if present is not None:
        yield present


def _without(span: Span, others: Iterable[Span]) -> Iterator[Span]:
    """Yield what is left of a span when others are taken out of it; they are in order and do not overlap."""
    start_us, end_us = span
    for other in others:
        if other.start_us < end_us and other.end_us > start_us:
            if other.start_us > start_us:
                yield Span(start_us, other.start_us)
            start_us = other.end_us
    if start_us < end_us:
        yield Span(start_us, end_us)


def _cut(spans: Iterable[Span], piece_us: int) -> Iterator[Span]:
    """Yield spans in pieces that are not longer than allowed."""
    for start_us, end_us in spans:
        while start_us < end_us:
            yield Span(start_us, min(start_us + piece_us, end_us))
            start_us += piece_us


def _failed(span: Span, intervals: Iterable[Interval]) -> Piece:
    touching = (row for row in intervals if row.start_us < span.end_us and row.end_us > span.start_us)
    return Piece(*span, Kind.FAILED, max(row.failures for row in touching))
