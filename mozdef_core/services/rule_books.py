"""What people keep and rules obey: the lists, exceptions and watch list of one process, as the database has them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from mozdef_core.detection.traits import traits_of
from mozdef_core.errors import BookUnavailableError, QueryError
from mozdef_core.event import now_us
from mozdef_core.exemptions import Exemptions
from mozdef_core.query.members import Members
from mozdef_core.watching import WatchList

if TYPE_CHECKING:
    from mozdef_core.casework.book import SqlBook
    from mozdef_core.casework.database import Database
    from mozdef_core.casework.list_book import ListBook
    from mozdef_core.host import Host

log = logging.getLogger(__name__)

EXPIRE: Final = timedelta(minutes=1)
_UNAVAILABLE: Final = "the list @{name} cannot be looked up now: {error}"


class LazyLists:
    """The lists for queries that seldom name one: the database is opened with the first that does.

    :param open_database: opens it.
    """

    def __init__(self, open_database: Callable[[], Database]) -> None:
        self._open_database = open_database
        self._lock = threading.Lock()
        self._book: ListBook | None = None

    @property
    def version(self) -> int:
        """A number that is another one after any list that was asked for has changed."""
        return 0 if self._book is None else self._book.version

    def members(self, name: str) -> Members | None:
        """Return what a list holds now; None when there is no such list.

        :raises QueryError: the database is away, and the list was never asked for.
        """
        try:
            return self._opened().members(name)
        except BookUnavailableError as error:
            raise QueryError(_UNAVAILABLE.format(name=name, error=error)) from error

    def names(self) -> Collection[str]:
        """Return the names of all lists."""
        return self._opened().names()

    def _opened(self) -> ListBook:
        from mozdef_core.casework.list_book import ListBook

        with self._lock:
            if self._book is None:
                self._book = ListBook(self._open_database())
            return self._book


class RuleBooks:
    """The lists, exceptions and the watch list for the rules of a process, looked at every second.

    :param host: whose rules they are.
    """

    def __init__(self, book: SqlBook, host: Host) -> None:
        from mozdef_core.casework.exceptions import ExceptionBook
        from mozdef_core.casework.list_book import ListBook
        from mozdef_core.casework.watch import WatchBook

        self._database = book.database
        self.lists = ListBook(book.database, also=self._refresh)
        self.exemptions = Exemptions(self.lists)
        self._exceptions = ExceptionBook(book.database, self.exemptions)
        self.watch = WatchList(self.lists)
        self._watch = WatchBook(book.database, self.watch)
        self.renew(host)

    def renew(self, host: Host) -> None:
        """Serve the rules of another host from now on."""
        rules = host.table("alert_match").plugins
        silences = [plugin.name for plugin in rules if traits_of(plugin).absence]
        self.exemptions.renew(tags_of_rules(host), silences)
        for plugin in rules:
            use = getattr(plugin.instance, "use_watch_list", None)
            if use is not None:
                use(self.watch)

    def __enter__(self) -> RuleBooks:
        self._refresh()
        self.lists.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.lists.close()
        try:
            self._refresh()
        except BookUnavailableError as error:
            log.warning("what exceptions removed and the watch list met last is not counted: %s", error)

    def _refresh(self) -> None:
        self._exceptions.refresh()
        self._watch.refresh()

    def expire(self) -> None:
        """Delete what has ended in lists and the watch list an hour ago, and report exceptions that have ended.

        :raises BookUnavailableError: it is done the next time.
        """
        from mozdef_core.casework import exceptions, lists, watch

        now = now_us()
        with self._database.read() as session:
            due = any(each.something_expired(session, now) for each in (lists, exceptions, watch))
        if not due:
            return
        with self._database.write() as session:
            gone = lists.expire(session, now) + watch.expire(session, now)
            ended = exceptions.report_expired(session, now)
        if gone:
            log.info("%d entries of lists or the watch list have expired and are deleted", gone)
        for one in ended:
            target = f" {one.target}" if one.target else ""
            log.warning(
                "the exception %s for %s%s of %s has expired after %d events; its rules alert again",
                one.id, one.scope, target, one.owner, one.hits,
            )  # fmt: skip


def tags_of_rules(host: Host) -> dict[str, Collection[str]]:
    """Return the tags that each rule puts on its alerts, by its name."""
    found: dict[str, Collection[str]] = {}
    for plugin in host.table("alert_match").plugins:
        rule: Any = plugin.instance
        added = getattr(getattr(rule, "options", None), "tags_add", ())
        found[plugin.name] = frozenset((*getattr(rule, "tags", ()), *added))
    return found
