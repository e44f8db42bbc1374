"""What the readers share: a table of message forms, tried by how a message begins."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple


class Form(NamedTuple):
    """One form of a message.

    :param beginning: what the message begins with; the expression is tried only then.
    :param pattern: the whole message; each named group is a field, and ``address`` is the source address.
    :param always: fields that the form implies.
    """

    beginning: str
    pattern: re.Pattern[str]
    always: Mapping[str, Any]


def form(beginning: str, expression: str, **always: Any) -> Form:
    """Compile one form; the expression begins with the beginning and must fit the rest of the message."""
    return Form(beginning, re.compile(re.escape(beginning) + expression, re.DOTALL), always)


def read(message: str, forms: Sequence[Form]) -> dict[str, Any]:
    """Return the fields of the first form that fits, an empty dict if none does."""
    for beginning, pattern, always in forms:
        if message.startswith(beginning):
            match = pattern.fullmatch(message)
            if match is not None:
                return {**_fields(match), **always}
    return {}


def _fields(match: re.Match[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in match.groupdict().items():
        if not value:
            continue
        if name == "address":
            address = clean_address(value)
            if address is not None:
                fields["sourceipaddress"] = address
        elif name == "invaliduser":
            fields[name] = True
        else:
            fields[name] = value
    return fields


@lru_cache(maxsize=65_536)
def clean_address(text: str) -> str | None:
    """Return an address in its short form, without zone, v4-mapped as v4; None when it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
