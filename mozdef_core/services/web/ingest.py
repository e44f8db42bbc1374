"""Ingest: the HTTP entrances, from a request to the queue and an answer that its sender understands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from mozdef_core.errors import InvalidItemError, QueueError, QueueFullError
from mozdef_core.event import new_ids, now_us
from mozdef_core.normalise import cef
from mozdef_core.ports import Item, Origin, Queue
from mozdef_core.services.web.access import Access, Verify
from mozdef_core.services.web.body import read_body
from mozdef_core.services.web.policy import DEFAULT_POLICIES, EntrancePolicy, RefusalError, WebSettings
from mozdef_core.services.web.split import Sent, read_item, split, split_bulk

JSON: Final = "application/json"
PRODUCT: Final = ("X-Elastic-Product", "Elasticsearch")
"""Elasticsearch's clients talk to nobody who does not say this."""


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Entrance:
    """One entrance as a request meets it.

    :param name: key of its settings.
    :param endpoint: what ``mozdef.input.endpoint`` says.
    :param index: index name in the address, for bulk.
    """

    name: str
    endpoint: str
    index: str | None = None


class Ingest:
    """Takes events in over HTTP. Threads share it; what it answers 200 for is on stable storage.

    :param queue: where accepted items go.
    :param verify: looks a token up; see :data:`mozdef_core.services.web.access.Verify`.
    """

    def __init__(self, queue: Queue, settings: WebSettings, verify: Verify) -> None:
        self._queue = queue
        self._settings = settings
        self._access = Access(settings, verify)
        self.counters: Counter[str] = Counter()

    def take(self, environ: Mapping[str, Any], entrance: Entrance) -> Answer:
        """Take one request and answer it; a bad request is never answered with 5xx, nor with nothing."""
        policy = self._settings.entrances.get(entrance.name, DEFAULT_POLICIES["events"])
        elastic = entrance.name == "bulk"
        try:
            label = self._access.label(environ, policy)
            body = read_body(environ, self._settings.limits.body_bytes)
            origin = Origin(
                name=entrance.name,
                kind="http",
                decoder="cef" if entrance.name == "cef" else "json",
                endpoint=entrance.endpoint,
                index=entrance.index,
                peer=environ.get("REMOTE_ADDR") or None,
                token=label,
            )
            items, elastic = self._split(body, entrance, elastic)
            self._access.charge(label, len(items))
            return self._accept(items, origin, policy, entrance, elastic)
        except RefusalError as error:
            return self._refuse(error, entrance, policy, environ, elastic)
        except QueueError as error:
            return self._hold_back(error, entrance, elastic)

    def _split(self, body: bytes, entrance: Entrance, elastic: bool) -> tuple[list[Sent], bool]:
        limits = self._settings.limits
        if entrance.name == "cef":
            return _cef_items(body, limits), False
        if elastic:
            bulk = split_bulk(body, limits)
            return bulk.items, bulk.actions
        return split(body, limits), False

    def _accept(
        self,
        sent: list[Sent],
        origin: Origin,
        policy: EntrancePolicy,
        entrance: Entrance,
        elastic: bool,
    ) -> Answer:
        """Put the good items into the queue, and the refused ones to be kept as dead letters."""
        received_us = now_us()
        ids = new_ids(received_us, len(sent))
        items = [
            Item(item_id, received_us, _origin_of(one, origin), one.raw, one.sender_id, one.refusal)
            for item_id, one in zip(ids, sent, strict=True)
            if one.refusal is None or (policy.keep_rejected and one.raw)
        ]
        result = self._queue.put(items)
        given = dict(zip((item.id for item in items), result.ids, strict=True))
        final = [
            given.get(item_id) if one.refusal is None else None
            for item_id, one in zip(ids, sent, strict=True)
        ]
        repeated = [known is not None and known != item_id for item_id, known in zip(ids, final, strict=True)]
        rejected = sum(one.refusal is not None for one in sent)
        self.counters[f"{entrance.name}.accepted"] += len(sent) - rejected
        self.counters[f"{entrance.name}.rejected"] += rejected
        self.counters[f"{entrance.name}.duplicates"] += sum(repeated)
        if elastic:
            return _elastic_answer(sent, final, repeated, entrance)
        return _answer(sent, final, sum(repeated), policy)

    def _refuse(
        self,
        error: RefusalError,
        entrance: Entrance,
        policy: EntrancePolicy,
        environ: Mapping[str, Any],
        elastic: bool,
    ) -> Answer:
        """Answer a request of which nothing was accepted; keep what could not be read as a dead letter."""
        self.counters[f"{entrance.name}.refused.{error.code}"] += 1
        if error.raw and policy.keep_rejected:
            received_us = now_us()
            origin = Origin(
                entrance.name, "http", endpoint=entrance.endpoint, peer=environ.get("REMOTE_ADDR")
            )
            raw = error.raw[: self._settings.limits.item_bytes]
            letter = Item(
                new_ids(received_us, 1)[0], received_us, origin, raw, refusal=(error.code, error.reason)
            )
            try:
                self._queue.put([letter])
            except QueueError as full:
                return self._hold_back(full, entrance, elastic)
        status = error.status
        if status == 400 and policy.partial_status == 200 and not elastic:
            status = 200  # a shipper would send the same again for ever, or drop what comes after it
        headers = _retry(error.retry_after_s)
        if error.status == 401:
            headers = [("WWW-Authenticate", "Bearer"), *headers]
        if elastic:
            return _elastic_error(error.status, error.code, error.reason, headers)
        problem = {"index": 0, "code": error.code, "reason": error.reason}
        body = {"accepted": 0, "rejected": 1, "ids": [None], "errors": [problem]}
        return Answer(status, orjson.dumps(body), headers)

    def _hold_back(self, error: QueueError, entrance: Entrance, elastic: bool) -> Answer:
        """Answer that nothing was accepted and when to come back."""
        full = isinstance(error, QueueFullError)
        status, code = (429, "queue-full") if full else (503, "queue-unavailable")
        self.counters[f"{entrance.name}.held_back"] += 1
        headers = _retry(error.retry_after_s)
        if elastic:
            return _elastic_error(status, code, str(error), headers)
        body = {"accepted": 0, "rejected": 0, "ids": [], "errors": [{"code": code, "reason": str(error)}]}
        return Answer(status, orjson.dumps(body), headers)

    def status(self, *, ready: bool) -> Answer:
        """Return whether the service is alive; with ``ready``, whether it would take events now."""
        try:
            depth = self._queue.depth()
        except QueueError as error:
            body = {"status": "unavailable", "service": "mozdef", "reason": str(error)}
            return Answer(503, orjson.dumps(body), _retry(error.retry_after_s))
        full = depth.size_bytes >= depth.limit_bytes
        oldest = depth.oldest_us
        queue = {
            "items": depth.items,
            "size_bytes": depth.size_bytes,
            "limit_bytes": depth.limit_bytes,
            "oldest_s": None if oldest is None else max(0.0, (now_us() - oldest) / 1e6),
        }
        answer: dict[str, Any] = {"status": "full" if full else "ok", "service": "mozdef", "queue": queue}
        return Answer(503 if ready and full else 200, orjson.dumps(answer))


def _origin_of(sent: Sent, origin: Origin) -> Origin:
    index = sent.action[1].get("_index") if sent.action is not None else None
    if not isinstance(index, str) or index == origin.index:
        return origin
    return Origin(origin.name, origin.kind, origin.decoder, origin.endpoint, index, origin.peer, origin.token)


def _cef_items(body: bytes, limits: Any) -> list[Sent]:
    """Return the items of a CEF body: a line each, in CEF, LEEF or JSON."""
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    if not lines:
        raise RefusalError(400, "empty-body", "the body is empty; send CEF or LEEF lines, or JSON objects")
    if lines[0][:1] in (b"{", b"["):
        return split(body, limits)
    items = []
    for line in lines:
        try:
            cef.decode(line)
        except InvalidItemError as error:
            items.append(Sent(line, refusal=(error.code, error.reason)))
        else:
            items.append(read_item(line, limits) if line[:1] == b"{" else Sent(line))
    return items


def _answer(sent: list[Sent], ids: list[str | None], duplicates: int, policy: EntrancePolicy) -> Answer:
    errors = [
        {"index": index, "code": one.refusal[0], "reason": f"item {index}: {one.refusal[1]}"}
        for index, one in enumerate(sent)
        if one.refusal is not None
    ]
    body: dict[str, Any] = {"accepted": len(sent) - len(errors), "rejected": len(errors), "ids": ids}
    if duplicates:
        body["duplicates"] = duplicates
    if errors:
        body["errors"] = errors
    large = errors and all(error["code"] == "too-large" for error in errors)
    status = (
        200 if not errors else policy.partial_status if not large or policy.partial_status == 200 else 413
    )
    return Answer(status, orjson.dumps(body))


def _retry(after_s: float | None) -> list[tuple[str, str]]:
    return [] if after_s is None else [("Retry-After", str(max(1, math.ceil(after_s))))]


def _elastic_answer(
    sent: list[Sent], ids: list[str | None], repeated: list[bool], entrance: Entrance
) -> Answer:
    """Answer in Elasticsearch's form, so that its clients know of each item what became of it."""
    items = []
    for one, event_id, repeat in zip(sent, ids, repeated, strict=True):
        name, meta = one.action or ("index", {})
        place = {"_index": meta.get("_index", entrance.index or "events"), "_id": one.sender_id or event_id}
        if one.refusal is not None:
            code, reason = one.refusal
            status = 413 if code == "too-large" else 400
            items.append({name: {**place, "status": status, "error": {"type": code, "reason": reason}}})
        else:
            result = {"result": "updated", "status": 200} if repeat else {"result": "created", "status": 201}
            shards = {"total": 1, "successful": 1, "failed": 0}
            items.append(
                {
                    name: {
                        **place,
                        "_version": 1,
                        "_shards": shards,
                        "_seq_no": 0,
                        "_primary_term": 1,
                        **result,
                    }
                }
            )
    body = {"took": 0, "errors": any(one.refusal is not None for one in sent), "items": items}
    return Answer(200, orjson.dumps(body), [PRODUCT])


def _elastic_error(status: int, code: str, reason: str, headers: Sequence[tuple[str, str]]) -> Answer:
    body = {
        "error": {"type": code, "reason": reason, "root_cause": [{"type": code, "reason": reason}]},
        "status": status,
    }
    return Answer(status, orjson.dumps(body), [PRODUCT, *headers])
