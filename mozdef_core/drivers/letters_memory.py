"""Which dead letters the alert book in memory lets go next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, NamedTuple

from mozdef_core.ports import PRUNE_STEP, DeadLetter, Keep

_MICROSECOND: Final = timedelta(microseconds=1)


class Due(NamedTuple):
    """Letters that may go: those somebody has dealt with, and open ones, which are lost by it."""

    settled: list[DeadLetter]
    open: list[DeadLetter]


def before(now_us: int, kept: timedelta | None) -> int:
    """Return the time before which everything may go; None keeps all that came since 1970."""
    return 0 if kept is None else now_us - kept // _MICROSECOND


def due(letters: Iterable[DeadLetter], keep: Keep, now_us: int) -> Due:
    """Return letters that have been kept long enough, else the oldest of those that take too much."""
    in_order = sorted(letters, key=lambda letter: (letter.received_us, letter.id))
    settled = [letter for letter in in_order if letter.status != "open"]
    still_open = [letter for letter in in_order if letter.status == "open"]
    old = _received_before(settled, before(now_us, keep.settled_letters))
    old_open = _received_before(still_open, before(now_us, keep.open_letters))
    if old or old_open:
        return Due(old, old_open)
    excess = sum(map(_size, in_order)) - keep.letters_bytes
    chosen = []
    for letter in (settled or still_open)[:PRUNE_STEP]:
        if excess <= 0:
            break
        chosen.append(letter)
        excess -= _size(letter)
    return Due(chosen, []) if settled else Due([], chosen)


def _received_before(letters: Iterable[DeadLetter], time_us: int) -> list[DeadLetter]:
    return [letter for letter in letters if letter.received_us < time_us][:PRUNE_STEP]


def _size(letter: DeadLetter) -> int:
    return len(letter.raw) + len(letter.reason)
