"""The site: what the core lends to alert actions, the stored events to be read and the addresses of its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from mozdef_core.alert import Alert
from mozdef_core.event import Event, now_us
from mozdef_core.notification import Digest
from mozdef_core.ports import EventStore
from mozdef_core.query.model import Order, Query, Search

MOST: Final = 1_000
"""A search for an alert gives at most so many events."""


class Site:
    """What a plugin that has a method ``use_site`` is given, once and before its first call of ``alert_action``.

    Searches only read, and always say how far they look back. In a test: ``Site(make_store(events))``.

    :param store: None where no events can be had, as in ``mozdef notify test``; then nothing is found.
    :param web_url: address of the web pages as people reach them, or "".
    """

    def __init__(self, store: EventStore | None = None, web_url: str = "") -> None:
        self._store = store
        self._web_url = web_url.rstrip("/")

    def link(self, alert: Alert) -> str:
        """Return the address of an alert's page, or for a digest that of all alerts; "" where it is not known."""
        if self._web_url and isinstance(alert, Digest):
            return f"{self._web_url}/alerts"
        if not self._web_url or not alert.id:
            return ""
        return f"{self._web_url}/alerts/{quote(alert.id, safe='')}"

    def search(
        self,
        query: Query,
        *,
        within: timedelta,
        until_us: int | None = None,
        size: int = 100,
        order: Order = "newest",
    ) -> Sequence[Event]:
        """Return events that match, by event time.

        :param within: how far before ``until_us`` to look; that is microseconds since 1970, itself included, and
            None is the present.
        :param size: at most so many, and never more than 1,000.
        :raises QueryError: the query has no meaning, or the store cannot answer it exactly.
        :raises QueryTimeoutError: it took too long.
        :raises StoreUnavailableError: the store is away; the action is tried again.
        """
        if self._store is None:
            return ()
        self._store.refresh()
        wanted = Search(query, self._between(within, until_us), order, max(1, min(size, MOST)))
        return self._store.search(wanted).events

    def groups(
        self, field: str, query: Query, *, within: timedelta, until_us: int | None = None
    ) -> Mapping[str, int]:
        """Return how many events that match each value of a field has; the arguments are those of :meth:`search`.

        :raises QueryError, QueryTimeoutError, StoreUnavailableError: as :meth:`search`.
        """
        if self._store is None:
            return {}
        self._store.refresh()
        return self._store.groups(field, query, self._between(within, until_us))

    @staticmethod
    def _between(within: timedelta, until_us: int | None) -> tuple[int, int]:
        end = now_us() if until_us is None else until_us
        return max(0, end - within // timedelta(microseconds=1)), end + 1
