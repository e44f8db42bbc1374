"""What operations on the casework database are given, and how what they refuse is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from pydantic import BeforeValidator, Field

from mozdef_core.errors import BookUnavailableError, NotFoundError
from mozdef_core.event import isoformat
from mozdef_core.ports import EventStore
from mozdef_core.query.lists import Lists
from mozdef_core.services.list_csv import read_expiry
from mozdef_core.services.web.api_errors import ApiError

if TYPE_CHECKING:
    from mozdef_core.casework.audit import Actor
    from mozdef_core.casework.database import Database
    from mozdef_core.services.web.api_store import LazyStore

RETRY_S: Final = 5


class Casework(NamedTuple):
    """The casework database, what its lists hold, the events, and who asks."""

    database: Database
    lists: Lists
    events: LazyStore
    actor: Actor

    @property
    def store(self) -> EventStore:
        """The event store, opened when it is asked for."""
        return self.events.get()


@contextmanager
def refusing(field: str | None = None) -> Iterator[None]:
    """Turn what a service of the casework database raises into what the API answers.

    :param field: what a wrong value is called; None to take it from the sentence.
    """
    try:
        yield
    except NotFoundError as error:
        raise ApiError(404, "not-found", str(error), field="name") from None
    except ValueError as error:
        name = str(error).partition(":")[0]
        place = field or (name if name.isidentifier() else None)
        raise ApiError(400, "invalid-value", str(error), field=place) from None
    except BookUnavailableError as error:
        raise ApiError(503, "unavailable", str(error), retry_after_s=RETRY_S) from None


def _until(text: object) -> object:
    if isinstance(text, str):
        read_expiry(text)
    return text


Until = Annotated[
    str,
    BeforeValidator(_until),
    Field(max_length=64, description="a span from now such as 30d, or an ISO time"),
]
"""When something ends, as it is asked for."""


def shown(us: int | None) -> str | None:
    """Return a time as it is handed out."""
    return None if us is None else isoformat(us)
