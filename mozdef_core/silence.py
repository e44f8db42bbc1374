"""The silence: a span in which MozDef was listening and nothing matched, found whatever the times of the runs (C2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

_MINUTE_US: Final = 60_000_000
_MARGIN_US: Final = 2 * _MINUTE_US
"""What is counted for good ends so long before a run, since whoever is up says so some seconds later."""


class Matches(Protocol):
    """When events were received that match, all in microseconds since 1970."""

    def last(self, since_us: int, before_us: int) -> int | None:
        """Return when the last one of a half-open span was received, or None."""

    def first(self, since_us: int, before_us: int) -> int | None:
        """Return when the first one was."""


class Listening:
    """Counts the time in which MozDef was listening, and had listened for a while.

    :param listened: returns the minutes since 1970 of a span in which it was.
    :param settle_us: how long after a gap nothing counts, since what was held back comes in.
    """

    def __init__(self, listened: Callable[[int, int], Sequence[int]], settle_us: int) -> None:
        self._listened = listened
        self._settle = -(-settle_us // _MINUTE_US)
        self._span: tuple[int, int] | None = None
        self._minutes: set[int] = set()

    def counted(self, start_us: int, end_us: int) -> int:
        """Return how many microseconds of a span count."""
        return sum(stop - start for start, stop in self._parts(start_us, end_us))

    def exceeded(self, start_us: int, end_us: int, limit_us: int) -> int | None:
        """Return the last moment from a start on at which no more than so much has counted; None if none has more."""
        total = 0
        for start, stop in self._parts(start_us, end_us):
            if total + stop - start > limit_us:
                return start + limit_us - total
            total += stop - start
        return None

    def _parts(self, start_us: int, end_us: int) -> Iterator[tuple[int, int]]:
        first, end = start_us // _MINUTE_US, -(-end_us // _MINUTE_US)
        self._look(first - self._settle, end)
        unbroken = 0
        for minute in range(first - self._settle, end):
            unbroken = unbroken + 1 if minute in self._minutes else 0
            if minute >= first and unbroken > self._settle:
                yield max(start_us, minute * _MINUTE_US), min(end_us, (minute + 1) * _MINUTE_US)

    def _look(self, first: int, end: int) -> None:
        """Learn of minutes, with one question for all that are asked about the same time."""
        known = self._span
        if known is not None and known[0] <= first and end <= known[1]:
            return
        if known is not None:
            first, end = min(first, known[0]), max(end, known[1])
        self._minutes = set(self._listened(first * _MINUTE_US, end * _MINUTE_US))
        self._span = first, end


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of one thing that is waited for.

    :param start_us: when it was last met, or since when it is waited for.
    :param met: whether it was ever met.
    :param until_us: up to where it has been judged.
    :param counted_us: how much has counted from ``start_us`` to ``seen_us``.
    :param silent_us: the moment after which it had been silent for too long; None while it has not.
    """

    start_us: int
    met: bool
    until_us: int
    seen_us: int
    counted_us: int = 0
    silent_us: int | None = None

    @classmethod
    def since(cls, us: int, *, met: bool) -> Watch:
        """Return what is known at the beginning."""
        return cls(us, met, us, us)


class Silence(NamedTuple):
    """A silence: from when, until when it lasts at least, and when it ended, if it has.

    :param met: whether it began with a match, and not with the wait for one.
    """

    start_us: int
    until_us: int
    ended_us: int | None
    met: bool


def judge(
    watch: Watch, end_us: int, limit_us: int, matches: Matches, listening: Listening, *, from_us: int = 0
) -> tuple[list[Silence], Watch]:
    """Return the silences longer than a limit that last, or have ended since, and what is known now.

    It goes from match to match in steps as long as the limit, so it asks little however many there are.

    :param end_us: everything received before is stored.
    :param from_us: of silences that ended before, only one that was known is returned.
    """
    found: list[Silence] = []
    known = watch.silent_us is not None
    while True:
        silent_us = _silent_from(watch, end_us, limit_us, listening)
        near_us = end_us if silent_us is None else silent_us + 1
        met_us = matches.last(watch.start_us + 1, near_us)
        ended_us = met_us
        if met_us is None and silent_us is not None:
            met_us = ended_us = matches.first(near_us, end_us)
            if ended_us is None or known or ended_us >= from_us:
                until_us = end_us if ended_us is None else ended_us
                found.append(Silence(watch.start_us, until_us, ended_us, watch.met))
        elif met_us is not None and known:  # found later inside a silence
            found.append(Silence(watch.start_us, met_us, met_us, watch.met))
        if met_us is None:
            return found, _counted(replace(watch, silent_us=silent_us), end_us, listening)
        watch, known = Watch.since(met_us, met=True), False


def _silent_from(watch: Watch, end_us: int, limit_us: int, listening: Listening) -> int | None:
    if watch.silent_us is not None:
        return watch.silent_us
    return listening.exceeded(watch.seen_us, end_us, limit_us - watch.counted_us)


def _counted(watch: Watch, end_us: int, listening: Listening) -> Watch:
    """Return the same with what has counted by now, so that the next run need not look that far back."""
    watch = replace(watch, until_us=max(watch.until_us, end_us))
    seen_us = (end_us - _MARGIN_US) // _MINUTE_US * _MINUTE_US
    if watch.silent_us is not None or seen_us <= watch.seen_us:
        return watch
    counted_us = watch.counted_us + listening.counted(watch.seen_us, seen_us)
    return replace(watch, seen_us=seen_us, counted_us=counted_us)
