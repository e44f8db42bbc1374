"""The engine: the little that a store needs of a client, so that Elasticsearch and OpenSearch share the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from mozdef_core.errors import StoreUnavailableError


class Answer(NamedTuple):
    """What a node answered.

    :param status: of HTTP.
    :param body: the JSON document, text when it was none.
    """

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Dialect:
    """In what the two engines differ.

    :param name: of the engine, as the health page shows it.
    :param versions: the major versions that the driver speaks to.
    :param snapshot_path: where a point in time is opened, behind the names of the indices.
    :param snapshot_id: the member of the answer that names it.
    :param close_path: where it is closed.
    :param close_many: whether it is closed as a list, under the same name.
    :param other: what to say when the version is the other engine's.
    """

    name: str
    versions: tuple[int, ...]
    snapshot_path: str
    snapshot_id: str
    close_path: str
    close_many: bool
    other: str


class Engine(Protocol):
    """A client of one cluster, used from several threads."""

    @property
    def dialect(self) -> Dialect:
        """Which engine it speaks to."""

    def perform(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send one request to a node that lives, another one where it does not connect.

        Requests may be sent twice, so only such are made that do the same when they are.

        :param body: JSON, or lines of JSON for ``_bulk`` and ``_msearch``.
        :returns: the answer, whatever its status; an error of HTTP is not raised.
        :raises StoreUnavailableError: no node answered; it says which were asked and what went wrong.
        """

    def close(self) -> None:
        """Close the connections."""


def json_body(document: object) -> bytes:
    """Return a document as the body of a request."""
    return orjson.dumps(document)


def json_lines(documents: Iterable[object]) -> bytes:
    """Return documents as lines, for ``_bulk`` and ``_msearch``."""
    return b"".join(orjson.dumps(document) + b"\n" for document in documents)


def reason(answer: Answer) -> str:
    """Return why a request failed, in one line."""
    body = answer.body
    error = body.get("error") if isinstance(body, dict) else body
    return f"{answer.status}: {describe(error)}"[:600]


def describe(error: object) -> str:
    """Return an error of the engine in one line, with what caused it."""
    if not isinstance(error, dict):
        return " ".join(str(error).split())
    parts: list[str] = []
    while isinstance(error, dict) and len(parts) < 4:
        text = f"{error.get('type', 'error')}: {error.get('reason')}"
        if text not in parts:
            parts.append(text)
        failed = error.get("failed_shards")
        cause = error.get("caused_by")
        if cause is None and isinstance(failed, list) and failed and isinstance(failed[0], dict):
            cause = failed[0].get("reason")
        error = cause
    return " ".join("; ".join(parts).split())


def error_types(error: object) -> Sequence[str]:
    """Return the types of an error and of what caused it."""
    found: list[str] = []
    waiting = [error]
    while waiting and len(found) < 20:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("type"), str):
                found.append(one["type"])
            waiting.extend(one[name] for name in ("caused_by", "reason") if isinstance(one.get(name), dict))
            for name in ("root_cause", "failed_shards"):
                waiting.extend(one.get(name) or ())
    return found


def unavailable(what: str, answer: Answer) -> StoreUnavailableError:
    """Return the error for an answer without which nothing can be done now."""
    return StoreUnavailableError(f"{what}: {hint(answer) or reason(answer)}")


def hint(answer: Answer) -> str | None:
    """Return what an operator should do about an answer, where that is known."""
    if answer.status == 401:
        return "the cluster refuses the credentials (401); check the API key, or the user name and password"
    if answer.status == 403:
        return (
            f"the credentials lack a privilege ({reason(answer)}); docs/operate.md names those that are needed: "
            "monitor and manage_index_templates on the cluster, all on the indices of the prefix"
        )
    text = reason(answer)
    if "maximum" in text and "shards" in text:
        return f"the cluster may hold no more shards ({text}); remove old indices or raise cluster.max_shards_per_node"
    if "flood" in text or "read-only" in text or "read_only" in text:
        return f"the indices are closed for writing ({text}); most often the disk is full: free space on the nodes"
    return None
