"""Splitting: from a request's body to its items, each with the bytes that the sender sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from mozdef_core.errors import InvalidItemError
from mozdef_core.normalise import depth_of, parse_json
from mozdef_core.services.web.policy import Limits, RefusalError

_BLANK: Final = re.compile(r"[ \t\r\n,]*")
_LONG_NUMBER: Final = re.compile(rb"\d{19}")
_KEY_END: Final = re.compile(rb'"\s*:')
_DECODER: Final = json.JSONDecoder(strict=False)
ACTIONS: Final = frozenset({"index", "create", "update", "delete"})


@dataclass(slots=True)
class Sent:
    """One item of a request.

    :param raw: its bytes.
    :param value: what they hold, where that is an object.
    :param refusal: code and reason when it cannot be accepted.
    :param sender_id: what its sender calls it, if anything.
    :param action: the bulk action that it came under, with its metadata.
    """

    raw: bytes
    value: dict[str, Any] | None = None
    refusal: tuple[str, str] | None = None
    sender_id: str | None = None
    action: tuple[str, Mapping[str, Any]] | None = field(default=None)


class Bulk(NamedTuple):
    """The items of a bulk request, and whether it spoke in action lines."""

    items: list[Sent]
    actions: bool


def split(body: bytes, limits: Limits) -> list[Sent]:
    """Return the items of a body: one object, an array, or objects one after the other.

    :raises RefusalError: nothing of it can be read, or there are too many items.
    """
    stripped = body.strip(b" \t\r\n")
    if not stripped:
        raise RefusalError(
            400, "empty-body", "the body is empty; send a JSON object, an array, or one object a line"
        )
    items = _array(stripped, limits) if stripped[:1] == b"[" else _sequence(stripped, limits)
    if len(items) > limits.items:
        raise RefusalError(
            413, "too-large", f"{len(items)} items in one request; at most {limits.items} are allowed"
        )
    if len(items) == 1 and items[0].refusal is not None and items[0].refusal[0] == "invalid-json":
        raise RefusalError(400, *items[0].refusal, raw=body)
    return items


def split_bulk(body: bytes, limits: Limits) -> Bulk:
    """Return the items of a bulk body: action and document lines as Elasticsearch's clients send them, or as above.

    A line is an action only where one is due, and only if it is an object with one of the four action names as its
    only member, whose value is an object.

    :raises RefusalError: as :func:`split`.
    """
    stripped = body.strip(b" \t\r\n")
    if stripped[:1] == b"[":
        return Bulk(split(body, limits), actions=False)
    items: list[Sent] = []
    actions = False
    action: tuple[str, Mapping[str, Any]] | None = None
    for line in _lines(stripped):
        sent = read_item(line, limits)
        if action is None and (found := _action(sent)) is not None:
            actions = True
            if found[0] == "delete":
                items.append(_refused_action(line, found))
            else:
                action = found
            continue
        if action is not None:
            if action[0] == "update":
                sent = _refused_action(line, action)
            sent.action = action
            if action[1].get("_id") is not None:
                sent.sender_id = str(action[1]["_id"])
            action = None
        items.append(sent)
    if action is not None:
        items.append(Sent(b"", refusal=("invalid-json", "the last action has no document"), action=action))
    if not items:
        raise RefusalError(400, "empty-body", "the body is empty; send action and document lines")
    if len(items) > limits.items:
        raise RefusalError(
            413, "too-large", f"{len(items)} items in one request; at most {limits.items} are allowed"
        )
    return Bulk(items, actions)


def _action(sent: Sent) -> tuple[str, Mapping[str, Any]] | None:
    value = sent.value
    if value is None or len(value) != 1:
        return None
    ((name, body),) = value.items()
    return (name, body) if name in ACTIONS and isinstance(body, dict) else None


def _refused_action(line: bytes, action: tuple[str, Mapping[str, Any]]) -> Sent:
    reason = f"the action {action[0]!r} is not supported: events are never changed; use 'index' or 'create'"
    return Sent(line, refusal=("unsupported-action", reason), action=action)


def read_item(raw: bytes, limits: Limits) -> Sent:
    """Return one item, checked as far as it must be understood before it is accepted."""
    if len(raw) > limits.item_bytes:
        reason = f"the item has {len(raw)} bytes, {limits.item_bytes} are allowed"
        return Sent(raw[: limits.item_bytes], refusal=("too-large", reason))
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            value = parse_json(raw)  # bytes that are no UTF-8, and a message with line and column
        except InvalidItemError as error:
            return Sent(raw, refusal=(error.code, error.reason))
    return _checked(raw, value, limits)


def _checked(raw: bytes, value: object, limits: Limits) -> Sent:
    if not isinstance(value, dict):
        return Sent(raw, refusal=("not-an-object", f"the item is {_kind(value)}, an object is required"))
    if raw.count(b"{") + raw.count(b"[") > limits.depth and depth_of(value) > limits.depth:
        return Sent(raw, refusal=("too-deep", f"the item is nested deeper than {limits.depth} levels"))
    sender_id = value.get("event_id")
    return Sent(
        raw, value, sender_id=str(sender_id) if isinstance(sender_id, str | int) and sender_id else None
    )


def _kind(value: object) -> str:
    kinds = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return kinds.get(type(value), "null")


def _lines(body: bytes) -> Iterator[bytes]:
    for line in body.split(b"\n"):
        stripped = line.strip(b" \t\r")
        if stripped:
            yield stripped


def _array(body: bytes, limits: Limits) -> list[Sent]:
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _slices(body, limits)
    if _exact(body, values):
        items = []
        for value in values:
            raw = orjson.dumps(value)
            sent = _checked(raw, value, limits)
            if len(raw) > limits.item_bytes:
                sent = read_item(raw, limits)
            items.append(sent)
        return items
    return _slices(body, limits)


def _exact(body: bytes, values: Any) -> bool:
    """Return whether nothing of the body was lost in parsing: no repeated key, no integer beyond 64 bits."""
    if _LONG_NUMBER.search(body) is not None:
        return False
    keys, level = 0, [values]
    while level:
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                keys += len(node)
                below.extend(child for child in node.values() if isinstance(child, dict | list))
            else:
                below.extend(child for child in node if isinstance(child, dict | list))
        level = below
    return len(_KEY_END.findall(body)) <= keys


def _sequence(body: bytes, limits: Limits) -> list[Sent]:
    """Return objects that stand one after the other: a line each, spread over lines, or without a separator."""
    if body[:1] == b"{":
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
        else:
            return [
                read_item(body, limits) if len(body) > limits.item_bytes else _checked(body, value, limits)
            ]
    lines = [read_item(line, limits) for line in _lines(body)]
    if all(sent.refusal is None or sent.refusal[0] != "invalid-json" for sent in lines):
        return lines
    if body[:1] != b"{":
        return lines
    return _slices(body, limits)


def _slices(body: bytes, limits: Limits) -> list[Sent]:
    """Cut a body at the ends of its values, exactly as they were sent; go on at the next line after nonsense."""
    text = body.decode("utf-8", "surrogateescape")
    position, end = (1, len(text) - 1) if text[:1] == "[" else (0, len(text))
    if text[:1] == "[" and text[-1:] != "]":
        end = len(text)
    items: list[Sent] = []
    while True:
        position = _BLANK.match(text, position).end()  # type: ignore[union-attr]  # it matches nothing, too
        if position >= end or len(items) > limits.items:
            return items
        try:
            _, stop = _DECODER.raw_decode(text, position)
        except RecursionError:
            reason = f"nested deeper than {limits.depth} levels"
            items.append(Sent(_bytes(text[position:]), refusal=("too-deep", reason)))
            return items
        except json.JSONDecodeError as error:
            reason = f"line {error.lineno}, column {error.colno}: {error.msg}"
            line_end = text.find("\n", max(error.pos, position))
            stop = end if line_end < 0 else line_end
            items.append(Sent(_bytes(text[position:stop]), refusal=("invalid-json", reason)))
        else:
            items.append(read_item(_bytes(text[position:stop]), limits))
        position = stop


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
