"""Requests for searching: what is asked of the indices, and what an answer means."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from mozdef_core.errors import QueryError, QueryTimeoutError, StoreUnavailableError
from mozdef_core.event import Event
from mozdef_core.indices.engine import Answer, Engine, describe, json_body, json_lines, reason, unavailable
from mozdef_core.indices.names import Names
from mozdef_core.ports.store import took_too_long
from mozdef_core.query.dsl.clauses import Clause

_LENIENT: Final = {"ignore_unavailable": "true", "allow_no_indices": "true"}
_KEEP_ALIVE: Final = "2m"
_SEARCHES_AT_ONCE: Final = 50


class Gone(Exception):  # noqa: N818  # not an error of the caller: the reader opens another one
    """The snapshot has expired."""


class Clock:
    """The time that one answer may take."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._deadline_s = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """Seconds until it is up, negative behind."""
        return self._deadline_s - time.monotonic()

    @property
    def up(self) -> bool:
        """Whether it is over."""
        return self.left_s <= 0

    def check(self) -> None:
        """Go on only while there is time.

        :raises QueryTimeoutError: there is none.
        """
        if self.up:
            raise QueryTimeoutError(took_too_long(self.limit_s))

    def body(self, query: Clause, **members: Any) -> dict[str, Any]:
        """Return the body of a search that the engine itself ends in time."""
        return {"query": query, "timeout": f"{max(1, int(self.left_s * 1000))}ms", **members}


class Requests:
    """Searches in all indices of one MozDef."""

    def __init__(self, engine: Engine, names: Names) -> None:
        self._engine = engine
        self._names = names
        self._params = {**_LENIENT, "preference": f"mozdef{secrets.token_hex(4)}"}  # pages come from one copy

    def search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Run one search, over all indices or over a snapshot that it names.

        :raises QueryError: the engine cannot run it.
        :raises StoreUnavailableError: not now, or not over all shards.
        :raises Gone: the snapshot has expired.
        """
        if "pit" in body:
            answer = self._engine.perform("POST", "/_search", body=json_body(body))
        else:
            answer = self._engine.perform(
                "POST", f"/{self._names.pattern}/_search", self._params, json_body(body)
            )
        return _checked(answer, snapshot="pit" in body)

    def search_many(
        self, bodies: Sequence[Mapping[str, Any]], indices: Sequence[Sequence[str]] | None = None
    ) -> list[dict[str, Any]]:
        """Run several searches in few requests.

        :param indices: for each the names or patterns of indices; all when None.
        :raises QueryError, StoreUnavailableError: as :meth:`search`, for any of them.
        """
        answers: list[dict[str, Any]] = []
        for start in range(0, len(bodies), _SEARCHES_AT_ONCE):
            lines: list[object] = []
            for place, body in enumerate(bodies[start : start + _SEARCHES_AT_ONCE], start):
                where = [self._names.pattern] if indices is None else list(indices[place])
                lines += [{"index": where, "ignore_unavailable": True, "allow_no_indices": True}, body]
            answer = self._engine.perform("POST", "/_msearch", body=json_lines(lines))
            if not answer.ok:
                raise unavailable("the events cannot be searched", answer)
            answers += [_checked(Answer(one["status"], one)) for one in answer.body["responses"]]
        return answers

    def open_snapshot(self) -> str | None:
        """Open a point in time over all indices and return its name; None when there are no indices.

        :raises StoreUnavailableError: it cannot be opened now.
        """
        dialect = self._engine.dialect
        params = {"keep_alive": _KEEP_ALIVE, **self._params}
        answer = self._engine.perform(
            "POST", f"/{quote(self._names.pattern, safe='*')}{dialect.snapshot_path}", params
        )
        if answer.ok:
            return str(answer.body[dialect.snapshot_id])
        if answer.status == 404 or "invalid id: [null]" in reason(answer):  # how OpenSearch says so
            return None
        raise unavailable("a point in time cannot be opened", answer)

    def close_snapshot(self, name: str) -> None:
        """Close a point in time; one that is gone is closed."""
        dialect = self._engine.dialect
        body = {dialect.snapshot_id: [name] if dialect.close_many else name}
        try:
            self._engine.perform("DELETE", dialect.close_path, body=json_body(body))
        except StoreUnavailableError:
            return  # it ends by itself


def pit(name: str) -> dict[str, Any]:
    """Return the member of a search's body that names a snapshot."""
    return {"pit": {"id": name, "keep_alive": _KEEP_ALIVE}}


def _checked(answer: Answer, *, snapshot: bool = False) -> dict[str, Any]:
    body = answer.body
    if answer.status == 404 and snapshot:
        raise Gone
    if answer.status == 400:
        raise QueryError(f"the cluster cannot run this query: {reason(answer)}")
    if not answer.ok or not isinstance(body, dict):
        raise unavailable("the events cannot be searched", answer)
    shards = body["_shards"]
    if shards["failed"]:
        failure = shards["failures"][0]["reason"]
        if snapshot and failure.get("type") in (
            "search_context_missing_exception",
            "index_not_found_exception",
        ):
            raise Gone
        raise StoreUnavailableError(f"{shards['failed']} shards cannot be searched: {describe(failure)}")
    return body


def event_of(hit: Mapping[str, Any]) -> Event:
    """Return the event of a hit."""
    return Event(hit["_id"], hit["_source"]["event"])


def total(answer: Mapping[str, Any], clock: Clock) -> int:
    """Return how many events a search with ``track_total_hits`` found.

    :raises QueryTimeoutError: the engine gave up.
    """
    complete(answer, clock)
    return int(answer["hits"]["total"]["value"])


def complete(answer: Mapping[str, Any], clock: Clock) -> None:
    """Refuse an answer that the engine has cut short.

    :raises QueryTimeoutError: it has.
    """
    if answer["timed_out"]:
        raise QueryTimeoutError(took_too_long(clock.limit_s))


def counting(clock: Clock, query: Clause, **members: Any) -> dict[str, Any]:
    """Return the body of a search that only counts."""
    return clock.body(query, size=0, track_total_hits=True, **members)
