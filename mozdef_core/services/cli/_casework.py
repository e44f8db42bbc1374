"""The casework database on the command line: opening it, and the times that it holds as people read them."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mozdef_core.services.terminal import configured, fail

if TYPE_CHECKING:
    from mozdef_core.casework.audit import Actor
    from mozdef_core.casework.database import Database
    from mozdef_core.config import Config


class Opened(NamedTuple):
    """The database while it is open, and who works on it."""

    settings: Config
    database: Database
    actor: Actor


@contextmanager
def opened(config: Path | None) -> Iterator[Opened]:
    """Open the casework database; what a service refuses ends the command."""
    from mozdef_core.casework.audit import Actor
    from mozdef_core.errors import BookUnavailableError, NotFoundError, QueryError
    from mozdef_core.services.compose import open_book

    settings = configured(config)
    try:
        with closing(open_book(settings)) as book:
            yield Opened(settings, book.database, Actor(getpass.getuser()))
    except (ValueError, NotFoundError, QueryError, BookUnavailableError) as error:
        fail(str(error))


def when(us: int | None) -> str:
    """Return a time, microseconds since 1970, to the minute; None is never."""
    from mozdef_core.event import isoformat

    return "never" if us is None else isoformat(us)[:16]
