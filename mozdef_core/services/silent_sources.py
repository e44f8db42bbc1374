"""Sources that have fallen silent: for longer than they ever were in the last day."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from mozdef_core.detection.received import received_in
from mozdef_core.ports import EventStore
from mozdef_core.query.model import Query

BUCKET_US: Final = 300_000_000
BUCKETS: Final = 288
USUAL: Final = 24
"""A source that was heard of in fewer of the 288 pieces of a day comes and goes, and is not missed."""

LEAST: Final = 6
"""No source is missed that has been silent for half an hour or less."""

_SETTLED_US: Final = 60_000_000
_PIECE: Final = BUCKET_US // 60_000_000


class SilentSources:
    """Knows which sources were heard of in each five minutes of the last day; looks at the store for each piece once.

    :param field: the field that says what a source is.
    """

    def __init__(self, store: EventStore, field: str = "source") -> None:
        self._store = store
        self._field = field
        self._heard: deque[frozenset[str]] = deque(maxlen=BUCKETS)
        self._end = 0

    def __call__(self, now_us: int) -> Mapping[str, tuple[int, int]]:
        """Return by source for how many minutes it has been silent and what its longest gap was, if that is less.

        :raises StoreUnavailableError: what was looked at already is kept.
        """
        end = (now_us - _SETTLED_US) // BUCKET_US
        if self._end < end:
            self._store.refresh()
        self._end = max(self._end, end - BUCKETS)
        while self._end < end:
            self._heard.append(self._look(received_in(self._end * BUCKET_US, (self._end + 1) * BUCKET_US)))
            self._end += 1
        return silent(list(self._heard))

    def _look(self, query: Query) -> frozenset[str]:
        return frozenset(self._store.groups(self._field, query, (None, None)))


def silent(heard: list[frozenset[str]]) -> Mapping[str, tuple[int, int]]:
    """Return the sources that are silent for longer than in any gap before, with both in minutes."""
    found = {}
    for source in frozenset().union(*heard):
        places = [place for place, sources in enumerate(heard) if source in sources]
        if len(places) < USUAL:
            continue
        usual = max((later - earlier - 1 for earlier, later in pairwise(places)), default=0)
        now = len(heard) - 1 - places[-1]
        if now > max(usual, LEAST):
            found[source] = (now * _PIECE, usual * _PIECE)
    return found
