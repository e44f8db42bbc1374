"""Bulk: Elasticsearch's dialect, read from action and document lines and answered item by item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from mozdef_core.services.web.policy import Limits
from mozdef_core.services.web.split import Sent, collect, lines, read_item, sender_id_of, split, strip

ACTIONS: Final = frozenset({"index", "create", "update", "delete"})
_LONGEST_ACTION: Final = 4096
Action: TypeAlias = tuple[str, Mapping[str, Any]]


class Bulk(NamedTuple):
    """The items of a bulk request, and whether it spoke in action lines."""

    items: list[Sent]
    actions: bool


def split_bulk(body: bytes, limits: Limits) -> Bulk:
    """Return the items of a bulk body: action and document lines, or whatever else :func:`split` takes.

    A line is an action only where one is due, and only if it is an object with one of the four action names as
    its only member, whose value is an object. So an event that has a field ``index`` is an event.

    :raises RefusalError: nothing of it can be read, or there are too many items.
    """
    stripped = strip(body)
    first = read_item(next(lines(stripped)), limits)
    if stripped[:1] == b"[" or (first.refusal is not None and first.refusal[0] == "invalid-json"):
        return Bulk(split(body, limits), actions=False)
    items = collect(_items(stripped, limits), limits)
    return Bulk(items, any(sent.action is not None for sent in items))


def _items(body: bytes, limits: Limits) -> Iterator[Sent]:
    action: Action | None = None
    last: tuple[bytes, Action | None] = (b"", None)
    for line in lines(body):
        if action is None:
            if line != last[0]:  # most requests repeat one action line
                last = (line, _action(line))
            action = last[1]
            if action is None:
                yield read_item(line, limits)
            elif action[0] == "delete":
                yield _unsupported(line, action)
                action = None
            continue
        yield _unsupported(line, action) if action[0] == "update" else _document(line, action, limits)
        action = None
    if action is not None:
        yield Sent(b"", ("missing-document", "the last action has no document"), action=action)


def _action(line: bytes) -> Action | None:
    if len(line) > _LONGEST_ACTION:
        return None
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((name, meta),) = value.items()
    return (name, meta) if name in ACTIONS and isinstance(meta, dict) else None


def _document(line: bytes, action: Action, limits: Limits) -> Sent:
    sent = read_item(line, limits)
    sent.action = action
    sent.sender_id = sender_id_of(action[1].get("_id")) or sent.sender_id
    return sent


def _unsupported(line: bytes, action: Action) -> Sent:
    reason = f"the action {action[0]!r} is not supported: events are never changed; use 'index' or 'create'"
    return Sent(line, ("unsupported-action", reason), action=action)


def bulk_answer(
    sent: Sequence[Sent], ids: Sequence[str | None], repeated: Sequence[bool], index: str | None
) -> bytes:
    """Return the answer in Elasticsearch's form, so that its clients know of each item what became of it.

    :param ids: id of each event, None where the item was refused.
    :param repeated: whether an item was known already, which is a success.
    :param index: index name in the address.
    """
    items = []
    for one, event_id, repeat in zip(sent, ids, repeated, strict=True):
        name, meta = one.action or ("index", {})
        place = {"_index": meta.get("_index", index or "events"), "_id": meta.get("_id") or event_id}
        items.append({name: {**place, **(_refused(one.refusal) if one.refusal else _stored(repeat=repeat))}})
    failed = any(one.refusal is not None for one in sent)
    return orjson.dumps({"took": 0, "errors": failed, "items": items})


def _refused(refusal: tuple[str, str]) -> dict[str, Any]:
    code, reason = refusal
    return {"status": 413 if code == "too-large" else 400, "error": {"type": code, "reason": reason}}


def _stored(*, repeat: bool) -> dict[str, Any]:
    result = {"result": "updated", "status": 200} if repeat else {"result": "created", "status": 201}
    shards = {"total": 1, "successful": 1, "failed": 0}
    return {"_version": 1, "_shards": shards, "_seq_no": 0, "_primary_term": 1, **result}


def bulk_error(status: int, code: str, reason: str) -> bytes:
    """Return the answer to a request that was refused as a whole, in the form that these clients show."""
    problem = {"type": code, "reason": reason}
    return orjson.dumps({"error": {**problem, "root_cause": [problem]}, "status": status})
