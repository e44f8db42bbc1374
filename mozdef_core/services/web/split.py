"""Splitting: from a request's body to its items, each with the bytes that the sender sent."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from mozdef_core.errors import InvalidItemError
from mozdef_core.normalise import cef, depth_of, not_an_object, parse_json
from mozdef_core.services.web.cutting import Cutter
from mozdef_core.services.web.policy import MEBIBYTE, Limits, RefusalError

LINE: Final = re.compile(rb"\S[^\n]*")
"""A line that is not blank, from its first character on; the blank ones are passed over at no cost."""
_BOM: Final = b"\xef\xbb\xbf"
_WHOLE_BYTES: Final = 4 * MEBIBYTE
"""Larger arrays are cut piece by piece: parsed as a whole they take twenty times their size."""
_ID_LENGTH: Final = 512


@dataclass(slots=True)
class Sent:
    """One item of a request.

    :param raw: its bytes.
    :param refusal: code and reason when it cannot be accepted; the reason's subject is "the item".
    :param sender_id: what its sender calls it, if anything.
    :param action: the bulk action that it came under, with its metadata.
    """

    raw: bytes
    refusal: tuple[str, str] | None = None
    sender_id: str | None = None
    action: tuple[str, Mapping[str, Any]] | None = None


def split(body: bytes, limits: Limits) -> list[Sent]:
    """Return the items of a body: one object, an array, or objects one after the other.

    :raises RefusalError: nothing of it can be read, or there are too many items.
    """
    stripped = strip(body)
    items = collect(_array(stripped, limits) if stripped[:1] == b"[" else _sequence(stripped, limits), limits)
    if not items and b"".join(stripped.split()) != b"[]":  # an empty array holds nothing and is no mistake
        raise RefusalError(400, "invalid-json", "line 1, column 1: there is no value", raw=body)
    if len(items) == 1 and items[0].refusal is not None and items[0].refusal[0] == "invalid-json":
        raise RefusalError(400, *items[0].refusal, raw=body)
    return items


def split_cef(body: bytes, limits: Limits) -> list[Sent]:
    """Return the items of a CEF body: a line each, in CEF, LEEF or JSON; or JSON as :func:`split` takes it.

    :raises RefusalError: nothing of it can be read, or there are too many items.
    """
    stripped = strip(body)
    if stripped[:1] in (b"{", b"["):
        return split(body, limits)
    return collect((_cef_line(line, limits) for line in lines(stripped)), limits)


def strip(body: bytes) -> bytes:
    """Return a body without what may stand around it: blanks, and a byte order mark.

    :raises RefusalError: nothing is left.
    """
    stripped = body.removeprefix(_BOM).strip()
    if not stripped:
        raise RefusalError(
            400, "empty-body", "the body is empty; send a JSON object, an array, or one object a line"
        )
    return stripped


def collect(items: Iterable[Sent], limits: Limits) -> list[Sent]:
    """Return the items, of which no more are made than are allowed.

    :raises RefusalError: there are too many.
    """
    found = list(itertools.islice(items, limits.items + 1))
    if len(found) > limits.items:
        raise _too_many(limits)
    return found


def _too_many(limits: Limits) -> RefusalError:
    return RefusalError(413, "too-large", f"more than {limits.items} items in one request, the limit")


def lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines of a body that are not blank, without the blanks around them."""
    for line in LINE.finditer(body):
        yield line[0].rstrip()


def read_item(raw: bytes, limits: Limits) -> Sent:
    """Return one item, checked as far as it must be understood before it is accepted; a typical one takes 2 us."""
    if len(raw) > limits.item_bytes:
        reason = f"the item has {len(raw)} bytes, {limits.item_bytes} are allowed"
        return Sent(raw[: limits.item_bytes], ("too-large", reason))
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            value = parse_json(raw)  # bytes that are no UTF-8, and a message with line and column
        except InvalidItemError as error:
            return Sent(raw, (error.code, error.reason))
    return _checked(raw, value, limits)


def _checked(raw: bytes, value: object, limits: Limits) -> Sent:
    if not isinstance(value, dict):
        return Sent(raw, not_an_object(value))
    if raw.count(b"{") + raw.count(b"[") > limits.depth and depth_of(value) > limits.depth:
        return Sent(raw, ("too-deep", f"the item is nested deeper than {limits.depth} levels"))
    return Sent(raw, None, sender_id_of(value.get("event_id")))


def sender_id_of(value: object) -> str | None:
    """Return what a sender calls an item, where that is a text or a number; a long one is kept as its hash."""
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        return None
    text = str(value)
    if len(text) <= _ID_LENGTH:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _cef_line(line: bytes, limits: Limits) -> Sent:
    if len(line) > limits.item_bytes or line[:1] == b"{":
        return read_item(line, limits)
    try:
        cef.decode(line)
    except InvalidItemError as error:
        return Sent(line, (error.code, error.reason))
    return Sent(line)


def _array(body: bytes, limits: Limits) -> Iterator[Sent]:
    """Yield the elements of an array, exactly as they were sent."""
    if len(body) <= _WHOLE_BYTES:
        try:
            values = orjson.loads(body)
        except orjson.JSONDecodeError:
            values = None
        if isinstance(values, list):
            if len(values) > limits.items:
                raise _too_many(limits)
            pieces = _compact(body, values)
            if pieces is not None:
                return (
                    _checked(raw, value, limits) if len(raw) <= limits.item_bytes else read_item(raw, limits)
                    for raw, value in zip(pieces, values, strict=True)
                )
    return _cut(body, 0, limits)


def _compact(body: bytes, values: list[Any]) -> list[bytes] | None:
    """Return the bytes of each element of an array whose elements are written as orjson would write them.

    What is equal byte for byte has lost nothing, neither a repeated key nor a digit. None when one is not.
    """
    pieces = []
    position = 1
    for value in values:
        try:
            raw = orjson.dumps(value)
        except TypeError:  # nested deeper than it writes
            return None
        while body[position] <= 32:
            position += 1
        if not body.startswith(raw, position):
            return None
        pieces.append(raw)
        position += len(raw)
        while body[position] <= 32:
            position += 1
        position += 1  # the comma, or the end: the whole is known to be an array
    return pieces


def _sequence(body: bytes, limits: Limits) -> Iterator[Sent]:
    """Yield objects that stand one after the other: a line each, spread over lines, or without a separator."""
    if len(body) <= limits.item_bytes and b"\n" in body:
        try:
            value = orjson.loads(body)  # one object over several lines
        except orjson.JSONDecodeError:
            pass
        else:
            yield _checked(body, value, limits)
            return
    for line in LINE.finditer(body):
        raw = line[0].rstrip()
        sent = read_item(raw, limits)
        if len(raw) > limits.item_bytes or (sent.refusal is not None and sent.refusal[0] == "invalid-json"):
            yield from _cut(body, line.start(), limits)  # it may be several, or the beginning of one
            return
        yield sent


def _cut(body: bytes, start: int, limits: Limits) -> Iterator[Sent]:
    for raw, problem in Cutter(body, start, limits.item_bytes):
        yield read_item(raw, limits) if problem is None else Sent(raw, problem)
