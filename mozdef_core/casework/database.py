"""The casework database: connections, transactions, and the few statements that dialects spell differently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson
from sqlalchemy import CursorResult, Delete, create_engine, inspect, make_url, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from mozdef_core.casework.migration import upgrade
from mozdef_core.casework.models import Base, CounterRow
from mozdef_core.casework.sqlite import BUSY_TIMEOUT_S, file_of, prepare
from mozdef_core.errors import BookUnavailableError, ConfigError

__all__ = ["Database", "from_json", "next_number", "read_number", "removed", "to_json", "upgrade", "upsert"]

_WRITES: Final = "mozdef_writes"


def to_json(value: object) -> str:
    """Return a value as JSON; what orjson refuses, such as huge integers and lone surrogates, goes the slow way."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, default=str)


def from_json(text: str | bytes) -> Any:
    """Return what :func:`to_json` wrote."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


class Database:
    """The connections of one process. Threads may share it; nothing is opened before the first transaction.

    :param url: an SQLAlchemy URL, such as ``sqlite:////var/lib/mozdef/casework.sqlite``.
    :raises ConfigError: the URL cannot be read, or needs a driver that is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            options: dict[str, Any] = {"pool_size": 4, "max_overflow": 60, "pool_timeout": BUSY_TIMEOUT_S}
            if file_of(parsed) is not None:
                options["connect_args"] = {"timeout": BUSY_TIMEOUT_S}
            elif parsed.get_backend_name() == "sqlite":
                raise ConfigError(["core.database: expected a file, since several processes share it"])
            self._engine = create_engine(
                parsed, json_serializer=to_json, json_deserializer=from_json, **options
            )
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigError([f"core.database: cannot be used as a database URL: {error}"]) from error
        if parsed.get_backend_name() == "sqlite":
            prepare(self._engine, _WRITES)
        self._writer = self._engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one state of the database; what it changes is not kept.

        :raises BookUnavailableError: the database cannot be read at the moment.
        """
        with _reporting(), Session(self._engine, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose changes are all on stable storage when the block ends, or none if it raises.

        :raises BookUnavailableError: nothing was kept; the same work may be tried again.
        """
        with _reporting(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise BookUnavailableError(f"the casework database cannot be used: {reason}") from error


def upsert(
    session: Session,
    table: type[Base],
    rows: Sequence[Mapping[str, Any]],
    replace: Sequence[str] = (),
    unless_newer: str | None = None,
) -> None:
    """Insert rows; where the primary key exists, replace these columns, or leave the row as it is if there are none.

    :param unless_newer: a column; a row that holds a greater value in it stays as it is.
    """
    if not rows:
        return
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    key = [column.name for column in inspect(table).primary_key]
    if not replace:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    else:
        changes = {name: statement.excluded[name] for name in replace}
        older = None
        if unless_newer is not None:
            older = table.__table__.c[unless_newer] <= statement.excluded[unless_newer]
        statement = statement.on_conflict_do_update(index_elements=key, set_=changes, where=older)
    session.connection().execute(statement, [dict(row) for row in rows])


def removed(session: Session, statement: Delete) -> int:
    """Delete rows and return how many there were."""
    found = session.execute(statement.execution_options(synchronize_session=False))
    return found.rowcount if isinstance(found, CursorResult) else 0


def next_number(session: Session, name: str, step: int = 1) -> int:
    """Raise a counter and return its new value; no other transaction gets a number until this one ends."""
    statement = (
        update(CounterRow)
        .where(CounterRow.name == name)
        .values(value=CounterRow.value + step)
        .returning(CounterRow.value)
        .execution_options(synchronize_session=False)
    )
    number = session.execute(statement).scalar_one_or_none()
    if number is not None:
        return number
    upsert(session, CounterRow, [{"name": name, "value": 0}])
    return session.execute(statement).scalar_one()


def read_number(session: Session, name: str) -> int:
    """Return the present value of a counter, zero if it was never raised."""
    row = session.get(CounterRow, name)
    return row.value if row is not None else 0
