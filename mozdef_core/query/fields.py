"""Looking at the values under a field, quickly: the part of evaluation that runs for every event and term.

What is found is what :meth:`Event.values` and :meth:`Event.exists` find; names of up to three parts, nearly all
there are, are looked up without going through those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mozdef_core.event import Event, split_path
from mozdef_core.query.model import TEXT_FIELDS

Test: TypeAlias = Callable[[Event], bool]
Check: TypeAlias = Callable[[Any], bool]
TextCheck: TypeAlias = Callable[[str], bool]


def never(_value: object) -> bool:
    """Return False: the check for values of a kind that cannot match."""
    return False


def any_value(field: str, on_text: TextCheck, on_other: Check = never) -> Test:
    """Return a test: does any value under the field pass?

    :param on_text: the check for strings.
    :param on_other: the check for numbers and booleans.
    """

    def accept(node: Any) -> bool:
        if isinstance(node, str):
            return on_text(node)
        if isinstance(node, list):
            for element in node:  # noqa: SIM110  # any() over a generator costs three times as much
                if accept(element):
                    return True
            return False
        return node is not None and not isinstance(node, dict) and on_other(node)

    def walk(event: Event) -> bool:
        return any(accept(value) for value in event.values(field))

    parts = split_path(field)
    if len(parts) == 1:
        return _one(field, on_text, accept)
    if len(parts) == 2:
        return _two(parts[0], parts[1], on_text, accept, walk)
    return _three(*parts, accept=accept, walk=walk) if len(parts) == 3 else walk


def _one(name: str, on_text: TextCheck, accept: Check) -> Test:
    def test(event: Event) -> bool:
        node = event.body.get(name)
        if isinstance(node, str):
            return on_text(node)
        return node is not None and accept(node)

    return test


def _two(outer: str, inner: str, on_text: TextCheck, accept: Check, walk: Test) -> Test:
    whole = f"{outer}.{inner}"

    def test(event: Event) -> bool:
        body = event.body
        inside = body.get(outer)
        if isinstance(inside, dict):
            node = inside.get(inner)
            if isinstance(node, str):
                if on_text(node):
                    return True
            elif node is not None and accept(node):
                return True
        elif isinstance(inside, list):
            return walk(event)
        return whole in body and accept(body[whole])

    return test


def _three(outer: str, middle: str, inner: str, *, accept: Check, walk: Test) -> Test:
    start, end, whole = f"{outer}.{middle}", f"{middle}.{inner}", f"{outer}.{middle}.{inner}"

    def test(event: Event) -> bool:
        body = event.body
        outside = body.get(outer)
        if isinstance(outside, dict):
            inside = outside.get(middle)
            if isinstance(inside, dict):
                if inner in inside and accept(inside[inner]):
                    return True
            elif isinstance(inside, list):
                return walk(event)
            if end in outside and accept(outside[end]):
                return True
        elif isinstance(outside, list):
            return walk(event)
        if start in body:
            return walk(event)
        return whole in body and accept(body[whole])

    return test


def exists(field: str) -> Test:
    """Return a test: did the sender or a plugin supply the field?"""
    parts = split_path(field)
    if len(parts) != 2:
        return lambda event: event.exists(field)
    outer, inner = parts

    def test(event: Event) -> bool:
        inside = event.body.get(outer)
        if isinstance(inside, dict) and isinstance(inside.get(inner), str | int | float):
            return field not in event.defaulted
        return event.exists(field)

    return test


def any_string(on_text_field: TextCheck, on_keyword: TextCheck) -> Test:
    """Return a test: does any string of the event pass, at any depth, whatever its field?

    :param on_text_field: the check for strings under text fields.
    :param on_keyword: the check for all other strings.
    """

    def look(node: object, path: str) -> bool:
        if isinstance(node, str):
            return on_text_field(node) if path in TEXT_FIELDS else on_keyword(node)
        if isinstance(node, Mapping):
            start = f"{path}." if path else ""
            return any(look(value, start + name) for name, value in node.items())
        return isinstance(node, list) and any(look(element, path) for element in node)

    return lambda event: look(event.body, "")
