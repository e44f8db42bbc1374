"""Where the first events in an order of time are likely to be found, so that not all that match are looked at.

tantivy looks at every event that a query finds to return the newest fifty, 20 ms for a hundred thousand. Those of the
last minutes cost a fraction of that, and when they fill the page nothing else can be on it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tantivy import Order as Direction
from tantivy import Query

from mozdef_core.drivers.tantivy_catalogue import Marks
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.query.model import Order

FEWEST_EVENTS: Final = 50_000
"""A partition with fewer is searched as a whole at once."""

_MARKED: Final = 4_096
_GROWTH: Final = 32
_SPARE: Final = 2
_WORTHWHILE: Final = 4
_MOST_EVENTS: Final = 2_000


class Window(NamedTuple):
    """The first part of a span in the order asked for.

    :param first: where it begins (inclusive), None for where the span does.
    :param end: where it ends (exclusive), None for where the span does.
    :param width_us: its width, as far as it holds events.
    """

    first: int | None
    end: int | None
    width_us: int


class Windows:
    """Proposes windows for one search in a partition; what they hold is found out by looking.

    :param view: the snapshot to search in.
    :param order: of the search; windows begin where it does.
    """

    def __init__(self, view: View, order: Order) -> None:
        self._newest = order == "newest"
        self._marks = marks_of(view)

    def first(self, start: int | None, stop: int | None, events: int) -> Window | None:
        """Return a window of some thousand events, or None when that is nearly all of the span or is not known.

        :param start: first moment of the span, None for open.
        :param stop: the moment behind it, None for open.
        :param events: how many are wanted.
        """
        marks = self._marks
        if marks is None or events > _MOST_EVENTS:
            return None
        width_us = max(0, marks.late_us - marks.early_us) * _MARKED // marks.number + 1
        if self._newest:
            from_us = marks.late_us if stop is None or stop > marks.late_us else stop - width_us
            window = Window(from_us, stop, width_us)
        else:
            to_us = marks.early_us if start is None or start < marks.early_us else start + width_us
            window = Window(start, to_us, width_us)
        return window if self._saves(window, start, stop) else None

    def wider(
        self, window: Window, start: int | None, stop: int | None, found: int, events: int
    ) -> Window | None:
        """Return a window that probably holds as many events as are wanted, judged by how many the last one did.

        None is for when that would be a large part of the span.
        """
        if not found:
            return None
        more_us = window.width_us * (_SPARE * events // found + 1)
        if window.first is not None and self._newest:
            wider = Window(window.first - more_us, window.end, window.width_us + more_us)
        elif window.end is not None and not self._newest:
            wider = Window(window.first, window.end + more_us, window.width_us + more_us)
        else:
            return None
        return wider if self._saves(wider, start, stop) else None

    def _saves(self, window: Window, start: int | None, stop: int | None) -> bool:
        """Return whether a window is a small part of a span, as far as there are events in it."""
        assert self._marks is not None
        first = self._marks.early_us if start is None else max(start, self._marks.early_us)
        end = self._marks.late_us if stop is None else min(stop, self._marks.late_us)
        return window.width_us * _WORTHWHILE < end - first


def marks_of(view: View) -> Marks | None:
    """Return the marks of a partition, looked up anew when it has grown by some percent: 20 ms; None if it is small."""
    number = view.searcher.num_docs
    if number < FEWEST_EVENTS:
        return None
    known = view.catalogue.marks
    if known is None or not known.number <= number <= known.number + known.number // _GROWTH:
        known = view.catalogue.marks = Marks(number, _mark(view, Direction.Asc), _mark(view, Direction.Desc))
    return known


def _mark(view: View, direction: Direction) -> int:
    hits = view.searcher.search(
        Query.all_query(), limit=_MARKED, count=False, order_by_field="us", order=direction
    ).hits
    us: int = hits[-1][0]
    return us
