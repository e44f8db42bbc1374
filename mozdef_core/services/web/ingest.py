"""Ingest: the HTTP entrances, from a request to the queue and an answer that its sender understands."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from mozdef_core.errors import QueueError, QueueFullError, QueueUnavailableError
from mozdef_core.event import new_ids, now_us
from mozdef_core.ports import Item, Origin, Queue
from mozdef_core.services.web.access import Access, Verify
from mozdef_core.services.web.answers import PRODUCT, Answer, answer_of, hold_back, refusal_body, retry_after
from mozdef_core.services.web.body import read_body
from mozdef_core.services.web.bulk import bulk_error, split_bulk
from mozdef_core.services.web.counts import Counts
from mozdef_core.services.web.policy import DEFAULT_POLICIES, EntrancePolicy, RefusalError, WebSettings
from mozdef_core.services.web.readiness import Condition, Readiness
from mozdef_core.services.web.split import Sent, split, split_cef

_HELD_BACK: Final = (429, 503)


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
    :param readiness: knows how the parts behind the queue do; without it only the queue is looked at.
    """

    def __init__(
        self, queue: Queue, settings: WebSettings, verify: Verify, readiness: Readiness | None = None
    ) -> None:
        self._queue = queue
        self._readiness = readiness
        self._settings = settings
        self._access = Access(settings, verify)
        self._held: tuple[float, QueueError] | None = None  # until when, on the monotonic clock, and why
        self.counts = Counts()

    def take(self, environ: Mapping[str, Any], entrance: Entrance) -> Answer:
        """Take one request and answer it; a bad request is never answered with 5xx, nor with nothing."""
        policy = self._settings.entrances.get(entrance.name, DEFAULT_POLICIES["events"])
        elastic = entrance.name == "bulk"
        try:
            try:
                return self._accept(environ, entrance, policy)
            except RefusalError as error:
                self.counts.add(entrance.name, {f"refused.{error.code}": 1})
                if error.status in _HELD_BACK:
                    return hold_back(
                        environ, error.status, error.code, error.reason, error.retry_after_s, elastic=elastic
                    )
                return self._refuse(error, entrance, policy, environ, elastic=elastic)
        except QueueError as error:
            full = isinstance(error, QueueFullError)
            status, code = (429, "queue-full") if full else (503, "queue-unavailable")
            self.counts.add(entrance.name, {f"refused.{code}": 1})
            self._held = (time.monotonic() + error.retry_after_s, error)
            return hold_back(environ, status, code, str(error), error.retry_after_s, elastic=elastic)

    def _accept(self, environ: Mapping[str, Any], entrance: Entrance, policy: EntrancePolicy) -> Answer:
        label = self._access.label(environ, policy)
        body = read_body(environ, self._settings.limits.body_bytes)
        sent, elastic = self._split(body, entrance)
        self._access.charge(entrance.name, policy, label, environ.get("REMOTE_ADDR"), len(sent))
        outcome = self._put(sent, _origin(environ, entrance, label), policy)
        self._count(entrance, sent, outcome, len(body))
        return answer_of(sent, outcome, policy, entrance.index, elastic=elastic)

    def _split(self, body: bytes, entrance: Entrance) -> tuple[list[Sent], bool]:
        """Return the items, and whether they came in Elasticsearch's dialect."""
        limits = self._settings.limits
        if entrance.name == "cef":
            return split_cef(body, limits), False
        if entrance.name == "bulk":
            return split_bulk(body, limits)
        return split(body, limits), False

    def _put(
        self, sent: Sequence[Sent], origin: Origin, policy: EntrancePolicy
    ) -> list[tuple[str, bool] | None]:
        """Put the good items into the queue, and the refused ones to be kept as dead letters.

        :returns: for each item its id and whether it is a repeat; None where it was refused.
        """
        received_us = now_us()
        items = []
        kept: list[bool] = []
        for item_id, one in zip(new_ids(received_us, len(sent)), sent, strict=True):
            good = one.refusal is None
            kept.append(good or (policy.keep_rejected and bool(one.raw)))
            if kept[-1]:
                # A refused item's id is not taken: the sender may send it again, put right, under the same.
                sender_id = one.sender_id if good else None
                items.append(Item(item_id, received_us, _of(one, origin), one.raw, sender_id, one.refusal))
        given = self._queue.put(items).ids if items else ()
        results = iter(zip(items, given, strict=True))
        outcome: list[tuple[str, bool] | None] = []
        for one, was_kept in zip(sent, kept, strict=True):
            item, known = next(results) if was_kept else (None, "")
            outcome.append((known, item.id != known) if item is not None and one.refusal is None else None)
        return outcome

    def _count(
        self,
        entrance: Entrance,
        sent: Sequence[Sent],
        outcome: Sequence[tuple[str, bool] | None],
        size_bytes: int,
    ) -> None:
        numbers = Counter(f"rejected.{one.refusal[0]}" for one in sent if one.refusal is not None)
        accepted = sum(one is not None for one in outcome)
        numbers.update(
            requests=1, accepted=accepted, rejected=len(sent) - accepted, bytes=size_bytes,
            duplicates=sum(one is not None and one[1] for one in outcome),
        )  # fmt: skip
        self.counts.add(entrance.name, numbers)

    def _refuse(
        self,
        error: RefusalError,
        entrance: Entrance,
        policy: EntrancePolicy,
        environ: Mapping[str, Any],
        *,
        elastic: bool,
    ) -> Answer:
        """Answer a request of which nothing was accepted; keep what could not be read as a dead letter."""
        kept = bool(error.raw) and policy.keep_rejected
        if kept:
            sent = Sent(error.raw[: self._settings.limits.item_bytes], (error.code, error.reason))
            self._put([sent], _origin(environ, entrance, None), policy)
        headers = [("WWW-Authenticate", "Bearer")] if error.status == 401 else []
        if kept and policy.partial_status == 200:
            # A shipper would send the same again for ever, or drop what comes after it.
            return Answer(200, refusal_body(error), [PRODUCT] if elastic else headers)
        if elastic:
            return Answer(
                error.status, bulk_error(error.status, error.code, error.reason), [PRODUCT, *headers]
            )
        return Answer(error.status, refusal_body(error), headers)

    def status(self, *, ready: bool) -> Answer:
        """Return how the service does; with ``ready``, whether it would accept events now.

        ``status`` is ``ok``, or ``degraded`` when events are accepted and kept but something behind the queue does
        not work: the worker is silent, or cannot use the store or the casework database. It is ``full`` while the
        queue takes no more, and ``unavailable`` when the queue cannot be written, or tokens are needed and the
        database that has them is away. Only with ``full`` and ``unavailable`` is the service not ready, since only
        then are senders held back: the answer to ``ready`` is 503, and 200 otherwise. Without ``ready`` only a queue
        that is out of reach is answered with 503.
        """
        held = self._held
        recent = held is not None and time.monotonic() < held[0]
        condition = Condition() if self._readiness is None else self._readiness.look()
        known: dict[str, Any] = {"service": "mozdef", "refused": self.counts.refused(), **condition.parts}
        if condition.degraded:
            known["degraded"] = list(condition.degraded)
        try:
            if recent and held is not None and isinstance(held[1], QueueUnavailableError):
                raise held[1]
            depth = self._queue.depth()
        except QueueError as error:
            body = {"status": "unavailable", "reason": str(error), **known}
            return Answer(503, orjson.dumps(body), retry_after(error.retry_after_s))
        oldest = depth.oldest_us
        known["queue"] = {
            "items": depth.items,
            "size_bytes": depth.size_bytes,
            "limit_bytes": depth.limit_bytes,
            "oldest_s": None if oldest is None else max(0.0, (now_us() - oldest) / 1e6),
        }
        if condition.refusing is not None:
            body = {"status": "unavailable", "reason": condition.refusing, **known}
            return Answer(503 if ready else 200, orjson.dumps(body), retry_after(None) if ready else ())
        full = recent or depth.size_bytes >= depth.limit_bytes
        status = "full" if full else "degraded" if condition.degraded else "ok"
        held_back = ready and full
        return Answer(
            503 if held_back else 200,
            orjson.dumps({"status": status, **known}),
            retry_after(None) if held_back else (),
        )


def _origin(environ: Mapping[str, Any], entrance: Entrance, label: str | None) -> Origin:
    return Origin(
        name=entrance.name,
        kind="http",
        decoder="cef" if entrance.name == "cef" else "json",
        endpoint=entrance.endpoint,
        index=entrance.index,
        peer=environ.get("REMOTE_ADDR") or None,
        token=label,
    )


def _of(sent: Sent, origin: Origin) -> Origin:
    """Return an item's origin, which names the index that its action names."""
    index = sent.action[1].get("_index") if sent.action is not None else None
    return origin if not isinstance(index, str) or index == origin.index else replace(origin, index=index)
